//! The referee of the Model Context Protocol and real clients, each in the version that is pinned.

use std::path::Path;

use crate::program::command;
use crate::step::{self, Outcome};

const RUNNER: &str = "tests/mcp/run.py";
/// Where the fixtures of the referee are built.
const EXAMPLES: &str = "target/debug/examples";
/// The environments of the two lines of the Python package, and what is in them.
const PYTHONS: [(&str, &str); 2] = [
    ("target/venv-mcp-1", "tests/mcp/python-1.txt"),
    ("target/venv-mcp-2", "tests/mcp/python-2.txt"),
];

/// The tree has these tests.
pub(super) fn applies(root: &Path) -> bool {
    root.join(RUNNER).is_file()
}

/// The step.
pub(super) fn run(root: &Path) -> anyhow::Result<Outcome> {
    if let Some(missing) = super::python::missing(root) {
        return Ok(missing);
    }
    for (folder, list) in PYTHONS {
        let outcome = super::python::environment(root, folder, list)?;
        if !matches!(outcome, Outcome::Passed(_)) {
            return Ok(outcome);
        }
    }
    // Not packed at all, which is fast: what is judged is its form.
    let level = flate2::Compression::none();
    let bundle = crate::mcpb::make(root, &root.join(super::RAPPORT), level)?;
    let mut runner = command(root, super::python::program(root), &["-u", RUNNER]);
    runner.args([super::RAPPORT, EXAMPLES]);
    runner.arg("--bundle").arg(bundle);
    runner.args(PYTHONS.map(|(folder, _)| root.join(folder).join("bin/python")));
    step::outcome_of(runner)
}
