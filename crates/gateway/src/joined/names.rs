//! The names under which joined tools are offered: unique, short, and the same after a restart.

use std::collections::HashSet;

/// Limit: what is left of 64 characters after a client's own `mcp__rapport__`.
const NAME_MAX: usize = 50;
/// Characters of the mark that makes a name unique.
const MARK: usize = 8;
/// What stands between the name of a server and that of its tool.
const BETWEEN: &str = "__";

/// The names of tools, given out one by one in a fixed order.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Takes a name that is ours.
    pub(super) fn take(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// The name for a tool of a server.
    pub(super) fn give(&mut self, server: &str, tool: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let whole: String = format!("{server}{BETWEEN}{tool}").chars().map(plain).collect();
        if whole.len() <= NAME_MAX && self.0.insert(whole.clone()) {
            return whole;
        }
        let mut again = 0_u32;
        loop {
            let mark = blake3::hash(format!("{server}\0{tool}\0{again}").as_bytes()).to_hex();
            let mark: String = mark.chars().take(MARK).collect();
            let kept: String = whole.chars().take(NAME_MAX - MARK - 1).collect();
            let name = format!("{kept}_{mark}");
            if self.0.insert(name.clone()) {
                return name;
            }
            again += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_legal_unique_and_stable() {
        let tools = [
            ("a", "read"),
            ("a", "read.file"),
            ("a", "read/file"),
            ("a", "lire-le-fichier-été"),
            ("a_", "_x"),
            ("a", "__x"),
            ("server", "a_name_that_goes_on_and_on_and_on_and_on_and_on_and_on_one"),
            ("server", "a_name_that_goes_on_and_on_and_on_and_on_and_on_and_on_two"),
            ("context", "list"),
        ];
        let give = || {
            let mut names = Names::default();
            names.take("context__list");
            tools.map(|(server, tool)| names.give(server, tool))
        };
        let given = give();
        assert_eq!(given, give());
        assert_eq!(given[0], "a__read");
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        for name in &given {
            assert!(name.len() <= NAME_MAX && name.chars().all(legal), "{name}");
        }
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len(), "{given:?}");
        assert_ne!(given[8], "context__list");
    }
}
