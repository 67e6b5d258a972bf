//! The virtual environment of the tests: made once, filled again when what it needs changes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::program::{self, command};
use crate::step::{self, Outcome};
use crate::tree::{File, Tree};

const FOLDER: &str = "target/venv";
const REQUIREMENTS: &str = "requirements.txt";
/// What was installed last, word for word; written after the installation only.
const STAMP: &str = "installed.txt";

/// The tree has tests in Python.
pub(super) fn applies(root: &Path) -> bool {
    root.join(super::PYTHON_CLIENT).is_dir() || root.join(super::SAMPLES).is_file()
}

/// The interpreter of the environment.
pub(super) fn program(root: &Path) -> PathBuf {
    root.join(FOLDER).join("bin/python")
}

/// The outcome of a step that needs the environment when it could not be made.
pub(super) fn missing(root: &Path) -> Option<Outcome> {
    let what = format!("`{FOLDER}`, which needs python3 and python3-venv");
    (!program(root).is_file()).then(|| Outcome::Missing(vec![what]))
}

/// The step: makes the environment and installs every pinned list that stands in the tree.
pub(super) fn install(root: &Path) -> anyhow::Result<Outcome> {
    let lacking = super::packages::missing_of("python");
    let Some(system) = program::find("python3").filter(|_| lacking.is_empty()) else {
        return Ok(Outcome::Missing(lacking));
    };
    let tree = Tree::read(root)?;
    let lists: Vec<_> = tree.files().filter(|file| file.name() == REQUIREMENTS).collect();
    fill(root, (&system, FOLDER), &lists)
}

/// An environment of its own for one list: two versions of a package do not live in one.
pub(super) fn environment(root: &Path, folder: &str, list: &str) -> anyhow::Result<Outcome> {
    let lacking = super::packages::missing_of("python");
    let Some(system) = program::find("python3").filter(|_| lacking.is_empty()) else {
        return Ok(Outcome::Missing(lacking));
    };
    let tree = Tree::read(root)?;
    let lists: Vec<_> = tree.files().filter(|file| file.path == list).collect();
    fill(root, (&system, folder), &lists)
}

/// Makes an environment and installs the lists, unless that was done.
fn fill(root: &Path, (system, folder): (&Path, &str), lists: &[&File]) -> anyhow::Result<Outcome> {
    let python = root.join(folder).join("bin/python");
    if !python.is_file() {
        let outcome = step::outcome_of(command(root, system, &["-m", "venv", folder]))?;
        if !matches!(outcome, Outcome::Passed(_)) {
            return Ok(outcome);
        }
    }
    let wanted: String = lists.iter().map(|list| list.text.as_str()).collect();
    let stamp = root.join(folder).join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Outcome::Passed(vec!["everything is there".to_owned()]));
    }
    let mut pip = command(root, &python, &["-m", "pip", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--no-input"]);
    for list in lists {
        pip.args(["-r", &list.path]);
    }
    if !lists.is_empty() {
        let outcome = step::outcome_of(pip)?;
        if !matches!(outcome, Outcome::Passed(_)) {
            return Ok(outcome);
        }
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("`{}`", stamp.display()))?;
    let names = lists.iter().map(|list| format!("installed {}", list.path));
    Ok(Outcome::Passed(names.collect()))
}
