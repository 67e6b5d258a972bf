//! `rapport completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Frame};
use crate::print::Exit;

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(options.shell, &mut Cli::command(), "rapport", &mut script);
    frame.printer.piece(&String::from_utf8(script)?);
    Ok(Exit::Fine)
}
