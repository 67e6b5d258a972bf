//! Rule: the tree speaks of itself, never of the machine it was written on.

use crate::tree::{Problem, Tree};

/// Folders of somebody's machine; put together here so that the rule does not find itself.
const PLACES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/fa", "rm/")];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.files() {
        // One look at the whole text spares most files the look at each line.
        if !PLACES.iter().any(|place| file.text.contains(place)) {
            continue;
        }
        for (number, line) in file.lines() {
            if let Some(place) = PLACES.into_iter().find(|place| names_it(line, place)) {
                let what = format!("`{place}` is a folder of one machine");
                let mend = "name the path from the root of the tree, or make one up";
                problems.push(Problem::new(&file.path, number, what, mend));
            }
        }
    }
    problems
}

/// The place begins a path: what stands before it is no part of one.
fn names_it(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-./}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_found_and_a_folder_of_that_name_is_not() {
        let [home, desk, _] = PLACES;
        let text = format!("see {desk}main/a\ncrates{desk}a and ..{home}b\n\"{home}.bashrc\"\n");
        let found = check(&Tree::of(&[("docs/a.md", &text)]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("docs/a.md:1:") && lines[1].starts_with("docs/a.md:3:"));
    }
}
