//! Finds the folder of the workspace, from wherever the chore was called.

use std::path::PathBuf;

use anyhow::Context as _;

/// The nearest folder above the current one whose `Cargo.toml` is the workspace's.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    here.ancestors()
        .find(|folder| {
            std::fs::read_to_string(folder.join("Cargo.toml"))
                .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
        })
        .map(PathBuf::from)
        .with_context(|| format!("no workspace above `{}`", here.display()))
}
