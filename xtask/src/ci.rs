//! What the pipeline runs: the cheap checks first, then every test; the first failure ends it.

use std::path::Path;

use crate::options::Options;
use crate::program::command;
use crate::step::{self, Outcome, Step, always};
use crate::{cross, deny, test, tidy};

const CHECKS: &[Step] = &[
    Step {
        name: "format",
        about: "every file is formatted",
        after: &[],
        applies: always,
        run: format,
    },
    Step {
        name: "clippy",
        about: "no lint of the workspace fires",
        after: &[],
        applies: always,
        run: clippy,
    },
    Step {
        name: "docs",
        about: "the documentation of the code builds",
        after: &[],
        applies: always,
        run: docs,
    },
    Step {
        name: "tidy",
        about: "the rules of the tree hold",
        after: &[],
        applies: always,
        run: tidy::as_step,
    },
    Step {
        name: "deny",
        about: "licences, banned crates and sources of the dependencies",
        after: &[],
        applies: always,
        run: deny::as_step,
    },
    Step {
        name: "cross",
        about: "it compiles for Windows and macOS, where their parts are installed",
        after: &[],
        applies: always,
        run: cross::as_step,
    },
];

/// The chore: false when a step failed.
///
/// # Errors
/// When `--only` names a step that does not exist.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<bool> {
    let steps: Vec<Step> = CHECKS.iter().chain(test::STEPS).copied().collect();
    step::run_all(root, &steps, options)
}

fn format(root: &Path) -> anyhow::Result<Outcome> {
    step::outcome_of(command(root, "cargo", &["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> anyhow::Result<Outcome> {
    let words = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step::outcome_of(command(root, "cargo", &words))
}

fn docs(root: &Path) -> anyhow::Result<Outcome> {
    let words = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    let mut command = command(root, "cargo", &words);
    command.env("RUSTDOCFLAGS", "-D warnings");
    step::outcome_of(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_steps_have_one_name_and_every_need_stands_before() {
        let steps: Vec<&Step> = CHECKS.iter().chain(test::STEPS).collect();
        for (index, step) in steps.iter().enumerate() {
            let before: Vec<&str> = steps[..index].iter().map(|step| step.name).collect();
            assert!(!before.contains(&step.name), "{} stands twice", step.name);
            assert!(step.after.iter().all(|need| before.contains(need)), "{}", step.name);
        }
    }
}
