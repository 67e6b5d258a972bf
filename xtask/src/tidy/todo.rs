//! Rule: a task in the code has a number, so that somebody can find it.

use crate::tree::{Problem, Tree};

const TAG: &str = concat!("TO", "DO");
/// Tags that say the same without a number.
const OTHER_TAGS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];
const CODE: [&str; 10] = ["rs", "toml", "py", "js", "mjs", "ts", "css", "html", "sh", "yml"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.with_extension(&CODE) {
        for (number, line) in file.lines() {
            if let Some(tag) = unnumbered(line) {
                let what = format!("`{tag}` without the number of an issue");
                let mend = format!("write `{TAG}(#12): …`, or do it");
                problems.push(Problem::new(&file.path, number, what, mend));
            }
        }
    }
    problems
}

fn unnumbered(line: &str) -> Option<&'static str> {
    if let Some(tag) = OTHER_TAGS.into_iter().find(|tag| has_word(line, tag)) {
        return Some(tag);
    }
    let numbered = |rest: &str| {
        rest.strip_prefix("(#").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    let bare = has_word(line, TAG) && !line.split(TAG).skip(1).all(numbered);
    bare.then_some(TAG)
}

/// The word stands alone: no letter, digit or `_` touches it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        !before.ends_with(part_of_name) && !after.starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_task_with_a_number_may_stay() {
        let text = format!(
            "// {TAG}(#12): later\n// {TAG}: later\n// {}\nlet {TAG}S = 1;\n",
            OTHER_TAGS[0]
        );
        let found = check(&Tree::of(&[("crates/wire/src/a.rs", &text)]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("crates/wire/src/a.rs:2:"), "{lines:?}");
        assert!(lines[1].starts_with("crates/wire/src/a.rs:3:"), "{lines:?}");
    }
}
