//! The project's own chores: `cargo xtask tidy`, `ci`, `test`, `deny` and `mcpb`.
//!
//! Invariant: a rule that can be checked is checked here, and the same command runs on a desk and
//! in the pipeline.

mod ci;
mod clock;
mod cross;
mod deny;
mod mcpb;
mod options;
mod place;
mod program;
mod say;
mod step;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use anyhow::bail;

use options::Options;

const USAGE: &str = "\
usage: cargo xtask CHORE [OPTIONS]

chores:
  tidy    the rules of the tree that no compiler checks; lists every problem at once
  ci      format, lints, documentation, tidy, dependencies, then every test; stops at a failure
  test    installs what a test needs when it is missing, then runs every test
  deny    licences, banned crates and sources of the dependencies, or the checks of
          cargo-deny that are named after it
  mcpb    the program as a bundle for Claude Desktop; --binary FILE packs another one

options of ci and test:
  --only STEP[,STEP]  these steps and what they need
  --list              the steps, and nothing else
  --keep-going        ci: go on after a failure
  --allow-missing     a program that cannot be installed here is no failure";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::problem(&format!("xtask: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Runs the chore that the words name; false when it found something wrong.
fn run(words: &[String]) -> anyhow::Result<bool> {
    let Some((chore, rest)) = words.split_first() else {
        bail!("no chore given\n{USAGE}");
    };
    let root = place::root()?;
    match chore.as_str() {
        "tidy" => tidy::run(&root),
        "ci" => ci::run(&root, &Options::parse(rest)?),
        "test" => test::run(&root, &Options::parse(rest)?),
        "mcpb" => mcpb::run(&root, rest),
        "deny" => deny::run(&root, rest),
        "help" | "--help" | "-h" => {
            say::line(USAGE);
            Ok(true)
        }
        other => bail!("`{other}` is no chore\n{USAGE}"),
    }
}
