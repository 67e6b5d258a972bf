//! Rule: a line fits beside another one.

use crate::tree::{Problem, Tree};

// Limit: columns of a line of code.
const COLUMNS_MAX: usize = 100;
const CODE: [&str; 6] = ["rs", "py", "js", "mjs", "ts", "sh"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.with_extension(&CODE) {
        for (number, line) in file.lines() {
            // A line is never wider than its bytes; most are settled without counting.
            if line.len() > COLUMNS_MAX && line.chars().count() > COLUMNS_MAX {
                let what = format!("{} columns, {COLUMNS_MAX} are the most", line.chars().count());
                problems.push(Problem::new(&file.path, number, what, "break the line"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_not_bytes() {
        let wide = format!("//! W.\n{}\n", "x".repeat(101));
        let exact = format!("{}\n", "ü".repeat(100));
        let found = check(&Tree::of(&[("a.rs", &wide), ("b.rs", &exact), ("c.md", &wide)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("a.rs:2: 101 columns"), "{}", found[0]);
    }
}
