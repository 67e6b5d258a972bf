//! Rule: a file that no longer fits in a head becomes a folder.

use crate::tree::{Problem, Tree};

// Limit: lines of a file of code.
const LINES_MAX: usize = 500;
/// Pages that are read in one sitting.
const PAGES: [(&str, usize); 1] = [("ARCHITECTURE.md", 250)];
const CODE: [&str; 8] = ["rs", "py", "js", "mjs", "ts", "css", "html", "sh"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let code = tree.with_extension(&CODE).map(|file| (file, LINES_MAX));
    let pages = PAGES.iter().filter_map(|(path, max)| Some((tree.file(path)?, *max)));
    code.chain(pages)
        .filter_map(|(file, max)| {
            let lines = file.text.lines().count();
            (lines > max).then(|| {
                let what = format!("{lines} lines, {max} are the most");
                let mend = "make it a folder, or move its tests to a sibling `tests.rs`";
                Problem::new(&file.path, max + 1, what, mend)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_too_many_is_found_and_the_last_one_allowed_is_not() {
        let full = "x\n".repeat(500);
        let over = "x\n".repeat(501);
        let page = "x\n".repeat(251);
        let found = check(&Tree::of(&[
            ("crates/wire/src/full.rs", &full),
            ("crates/wire/src/over.rs", &over),
            ("clients/python/over.py", &over),
            ("ARCHITECTURE.md", &page),
            ("docs/data.json", &over),
        ]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("crates/wire/src/over.rs:501: 501 lines"), "{lines:?}");
    }
}
