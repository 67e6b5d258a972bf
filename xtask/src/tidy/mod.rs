//! The rules of the tree that no compiler checks: each is one file here and one line in the list.
//!
//! Invariant: every rule has a test that breaks it on a made-up tree, and the whole list is held
//! against the real tree by a test of this crate.

mod arrows;
mod code_paths;
mod file_length;
mod first_line;
mod line_width;
mod lints_on;
mod lock_files;
mod machine_paths;
mod module_names;
mod providers_and_dialects;
mod registries;
mod skipped_tests;
mod todo;
mod unsafe_code;
mod versions;
mod wire_is_pure;

use std::path::Path;

use crate::clock::Stopwatch;
use crate::say;
use crate::step::Outcome;
use crate::tree::{Problem, Tree};

/// What a rule does: reads the tree and names every place that breaks it.
type Rule = fn(&Tree) -> Vec<Problem>;

const RULES: &[Rule] = &[
    arrows::check,
    code_paths::check,
    file_length::check,
    first_line::check,
    line_width::check,
    lints_on::check,
    lock_files::check,
    machine_paths::check,
    module_names::check,
    providers_and_dialects::check,
    registries::check,
    skipped_tests::check,
    todo::check,
    unsafe_code::check,
    versions::check,
    wire_is_pure::check,
];

/// The chore: prints every problem; false when there is one.
///
/// # Errors
/// When the tree cannot be read.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let problems = problems(root)?;
    problems.iter().for_each(|problem| say::line(&problem.to_string()));
    let took = watch.elapsed().as_millis();
    say::line(&format!("tidy: {} problems in {took} ms", problems.len()));
    Ok(problems.is_empty())
}

/// The same as a step.
pub(crate) fn as_step(root: &Path) -> anyhow::Result<Outcome> {
    let lines: Vec<String> = problems(root)?.iter().map(ToString::to_string).collect();
    lines.iter().for_each(|line| say::line(line));
    let count = vec![format!("{} problems", lines.len())];
    Ok(if lines.is_empty() { Outcome::Passed(count) } else { Outcome::Failed(count) })
}

/// Every problem of the tree, ordered by place.
fn problems(root: &Path) -> anyhow::Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let mut problems: Vec<Problem> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    problems.sort();
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let problems = problems(&crate::place::root().unwrap()).unwrap();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn a_tree_with_nothing_in_it_is_tidy() {
        assert!(RULES.iter().all(|rule| rule(&Tree::of(&[])).is_empty()));
    }
}
