//! Rule: a file begins with the sentence that says what it is for.

use crate::tree::{File, Problem, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.with_extension(&["rs"])
        .filter_map(|file| {
            let what = fault(file)?;
            let mend = "begin the file with `//! What it is for, as one sentence.`";
            Some(Problem::new(&file.path, 1, what, mend))
        })
        .collect()
}

fn fault(file: &File) -> Option<&'static str> {
    let paragraph: Vec<&str> =
        file.text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
    let (Some(first), Some(last)) = (paragraph.first(), paragraph.last()) else {
        return Some("the first line is no `//!` sentence");
    };
    let begins = first.chars().next().is_some_and(|c| !c.is_lowercase() && c != '#');
    let placeholder = first.to_lowercase().starts_with("placeholder");
    if !begins {
        Some("the sentence on the first line does not begin like one")
    } else if !last.trim_end().ends_with('.') {
        Some("the sentence on the first line has no full stop")
    } else if placeholder {
        Some("the sentence on the first line says nothing")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn faults(text: &str, expected: usize) {
        assert_eq!(check(&Tree::of(&[("crates/wire/src/lib.rs", text)])).len(), expected, "{text}");
    }

    #[test]
    fn a_sentence_of_one_or_two_lines_is_right() {
        faults("//! What bytes mean.\nmod a;\n", 0);
        faults(
            "//! Step 3: takes a place for the request; it is\n//! given back.\n//!\n//! More",
            0,
        );
        faults("//! `Fault` is the error that crosses crates.\n", 0);
    }

    #[test]
    fn anything_else_is_found() {
        faults("mod a;\n", 1);
        faults("// What bytes mean.\n", 1);
        faults("//! what bytes mean.\n", 1);
        faults("//! What bytes mean\nmod a;\n", 1);
        faults("//! Placeholder sentence.\n", 1);
        faults("\n//! What bytes mean.\n", 1);
    }
}
