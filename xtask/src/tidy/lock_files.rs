//! Rule: a lock file names the public registries and no mirror of them.

use crate::tree::{Problem, Tree};

const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.files() {
        let (key, allowed) = match file.name() {
            "Cargo.lock" => ("source = ", CRATES),
            "package-lock.json" => ("\"resolved\": ", NPM),
            _ => continue,
        };
        for (number, line) in file.lines() {
            let Some(value) = line.trim_start().strip_prefix(key) else { continue };
            if !value.trim_start_matches('"').starts_with(allowed) {
                let mend = format!("take it from `{allowed}`");
                problems.push(Problem::new(&file.path, number, "an unknown source", mend));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_found_in_both_kinds() {
        let cargo = format!("source = \"{CRATES}\"\nsource = \"registry+https://mirror/index\"\n");
        let npm =
            format!("  \"resolved\": \"{NPM}axios\",\n  \"resolved\": \"http://mirror/x\",\n");
        let tree = Tree::of(&[("Cargo.lock", &cargo), ("tests/samples/package-lock.json", &npm)]);
        let lines: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains(":2: an unknown source")));
    }
}
