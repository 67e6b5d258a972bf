//! Installs what a test needs when it is missing, then runs every test of the tree.

mod mcp;
mod node;
mod packages;
mod python;

use std::path::Path;

use crate::options::Options;
use crate::program::{self, command};
use crate::step::{self, Outcome, Step, always};

/// The program under test, as the step `build` leaves it.
const RAPPORT: &str = "target/debug/rapport";
const SAMPLES: &str = "tests/samples/run.py";
const CONSOLE: &str = "tests/console/run.mjs";
const PYTHON_CLIENT: &str = "clients/python";

/// The steps in order; each says what it needs, so that `--only` can bring it along.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "packages",
        about: "programs that tests need, from Debian",
        after: &[],
        applies: always,
        run: packages::install,
    },
    Step {
        name: "python",
        about: "a virtual environment in target/venv with what tests import",
        after: &["packages"],
        applies: python::applies,
        run: python::install,
    },
    Step {
        name: "node",
        about: "packages of the folders with a package-lock.json",
        after: &["packages"],
        applies: node::applies,
        run: node::install,
    },
    Step {
        name: "build",
        about: "the program and every test, once",
        after: &[],
        applies: always,
        run: build,
    },
    Step {
        name: "tests",
        about: "every test of the workspace",
        after: &["build"],
        applies: always,
        run: tests,
    },
    Step {
        name: "doctests",
        about: "the examples in the documentation of the code",
        after: &["build"],
        applies: always,
        run: doctests,
    },
    Step {
        name: "client",
        about: "the Python client's own tests",
        after: &["python"],
        applies: |root| root.join(PYTHON_CLIENT).join("pyproject.toml").is_file(),
        run: python_client,
    },
    Step {
        name: "samples",
        about: "every documented client against the real program",
        after: &["python", "node", "build"],
        applies: |root| root.join(SAMPLES).is_file(),
        run: samples,
    },
    Step {
        name: "mcp",
        about: "the referee of the Model Context Protocol, and real clients",
        after: &["python", "node", "build"],
        applies: mcp::applies,
        run: mcp::run,
    },
    Step {
        name: "console",
        about: "the console of the real program, in a browser",
        after: &["node", "build"],
        applies: |root| root.join(CONSOLE).is_file(),
        run: console,
    },
];

/// The chore: runs every step, whatever the others did; false when one failed.
///
/// # Errors
/// When `--only` names a step that does not exist.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<bool> {
    let options = Options { keep_going: true, ..options.clone() };
    step::run_all(root, STEPS, &options)
}

/// Programs and tests in one call: asked for apart, their features would differ and everything
/// below them would be compiled twice.
fn build(root: &Path) -> anyhow::Result<Outcome> {
    let words = ["build", "--workspace", "--bins", "--examples", "--tests", "--locked"];
    step::outcome_of(command(root, "cargo", &words))
}

fn tests(root: &Path) -> anyhow::Result<Outcome> {
    let nextest = program::find("cargo-nextest").is_some();
    let words: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--locked"]
    } else {
        &["test", "--workspace", "--bins", "--lib", "--tests", "--locked", "--no-fail-fast"]
    };
    step::outcome_of(command(root, "cargo", words))
}

fn doctests(root: &Path) -> anyhow::Result<Outcome> {
    step::outcome_of(command(root, "cargo", &["test", "--workspace", "--doc", "--locked"]))
}

fn python_client(root: &Path) -> anyhow::Result<Outcome> {
    if let Some(missing) = python::missing(root) {
        return Ok(missing);
    }
    let folder = root.join(PYTHON_CLIENT);
    let mut unittest = command(&folder, python::program(root), &["-m", "unittest"]);
    unittest.env("PYTHONPATH", folder.join("src"));
    let outcome = step::outcome_of(unittest)?;
    // Before Python 3.12 a run that finds nothing is a good run.
    Ok(match outcome {
        Outcome::Passed(lines) if lines.iter().any(|line| line.starts_with("Ran 0 tests")) => {
            Outcome::Failed(lines)
        }
        other => other,
    })
}

fn samples(root: &Path) -> anyhow::Result<Outcome> {
    if let Some(missing) = python::missing(root) {
        return Ok(missing);
    }
    step::outcome_of(command(root, python::program(root), &[SAMPLES, RAPPORT]))
}

fn console(root: &Path) -> anyhow::Result<Outcome> {
    let missing: Vec<String> = ["node", "console"].map(packages::missing_of).concat();
    if !missing.is_empty() {
        return Ok(Outcome::Missing(missing));
    }
    step::outcome_of(command(root, "node", &[CONSOLE, RAPPORT]))
}
