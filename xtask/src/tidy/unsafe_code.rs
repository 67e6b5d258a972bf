//! Rule: `unsafe` stands in `crates/native` alone, and nobody else silences the lint against it.

use crate::tree::{Problem, Tree};

/// Where it may stand.
const ROOM: &str = "crates/native/src/";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.with_extension(&["rs"]).filter(|file| !file.path.starts_with(ROOM)) {
        for (number, line) in file.lines() {
            let words: Vec<&str> =
                line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let silences = ["allow", "expect", "warn"].iter().any(|level| words.contains(level));
            if silences && words.contains(&LINT) {
                let what = format!("`{LINT}` is silenced outside `{ROOM}`");
                let mend = "ask the system in `crates/native`, and read its answer here";
                problems.push(Problem::new(&file.path, number, what, mend));
            }
        }
    }
    problems
}

const LINT: &str = "unsafe_code";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silenced_lint_is_found_everywhere_but_in_its_room() {
        let text = format!("//! A.\n#![expect({LINT}, reason = \"speed\")]\n");
        let found = check(&Tree::of(&[
            ("crates/wire/src/lib.rs", &text),
            ("crates/native/src/lib.rs", &text),
        ]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("crates/wire/src/lib.rs:2: "), "{}", found[0]);
    }
}
