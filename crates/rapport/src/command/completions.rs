//! `rapport completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;
use crate::print::Exit;

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(options: &Options) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(options.shell, &mut Cli::command(), "rapport", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(Exit::Fine)
}
