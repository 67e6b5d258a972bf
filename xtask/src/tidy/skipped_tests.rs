//! Rule: a test runs; one that waits for better times tells nobody anything.

use crate::tree::{Problem, Tree};

/// Extension, what it looks like, and what to do instead.
const WAYS: [(&str, &str, &str); 6] = [
    ("rs", concat!("#[ign", "ore"), "assert what is true today, with a comment"),
    ("rs", concat!("#[should", "_panic"), "return an error and assert on it"),
    ("rs", concat!("assert!(tr", "ue)"), "assert what the test is about"),
    ("js", concat!(".sk", "ip("), "assert what is true today, with a comment"),
    ("mjs", concat!(".sk", "ip("), "assert what is true today, with a comment"),
    ("py", concat!("@unittest.sk", "ip("), "assert what is true today, with a comment"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (extension, way, mend) in WAYS {
        for file in tree.with_extension(&[extension]).filter(|file| file.text.contains(way)) {
            let number = file.line_of(way);
            let what = format!("`{way}`: a test that cannot fail");
            problems.push(Problem::new(&file.path, number, what, mend));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_skip_is_found() {
        for (extension, way, _) in WAYS {
            let tree = Tree::of(&[(&format!("tests/a.{extension}"), &format!("x\n  {way}x\n"))]);
            let found = check(&tree);
            assert_eq!(found.len(), 1, "{way}");
            assert!(found[0].to_string().contains(":2: "), "{}", found[0]);
        }
    }
}
