//! Checks licences, banned crates and sources of the dependencies, as `deny.toml` says.

use std::path::{Path, PathBuf};

use crate::program;
use crate::say;
use crate::step::{self, Outcome};

/// The version that is installed when none is there; unoptimised, it builds in about a minute.
const VERSION: &str = "0.20.2";
/// The known holes are not in this list: their database is not on crates.io, and a test must not
/// depend on a second host. The pipeline asks for them by name.
const CHECKS: [&str; 3] = ["licenses", "bans", "sources"];

/// The chore: false when something is in the graph that may not be.
///
/// # Errors
/// When cargo-deny cannot be started.
pub(crate) fn run(root: &Path, checks: &[String]) -> anyhow::Result<bool> {
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    let outcome = check(root, if checks.is_empty() { &CHECKS } else { &checks })?;
    if let Outcome::Missing(lines) = &outcome {
        lines.iter().for_each(|line| say::problem(line));
    }
    Ok(matches!(outcome, Outcome::Passed(_)))
}

/// The same as a step.
pub(crate) fn as_step(root: &Path) -> anyhow::Result<Outcome> {
    check(root, &CHECKS)
}

fn check(root: &Path, checks: &[&str]) -> anyhow::Result<Outcome> {
    let tools = root.join("target/tools");
    let Some(program) = installed(&tools).or_else(|| install(root, &tools)) else {
        let why = format!("cargo-deny {VERSION} is missing and could not be installed");
        return Ok(Outcome::Missing(vec![why]));
    };
    let words = ["--locked", "--workspace", "check", "--hide-inclusion-graph"];
    let words: Vec<&str> = words.into_iter().chain(checks.iter().copied()).collect();
    step::outcome_of(program::command(root, program, &words))
}

fn installed(tools: &Path) -> Option<PathBuf> {
    let ours = tools.join("bin/cargo-deny");
    if ours.is_file() { Some(ours) } else { program::find("cargo-deny") }
}

fn install(root: &Path, tools: &Path) -> Option<PathBuf> {
    say::line(&format!("installing cargo-deny {VERSION} into target/tools: it reads deny.toml"));
    let mut command =
        program::command(root, "cargo", &["install", "--locked", "--debug", "--quiet"]);
    command.arg(format!("cargo-deny@{VERSION}")).arg("--root").arg(tools);
    let ran = program::stream(command).ok()?;
    if ran.success { installed(tools) } else { None }
}
