//! `rapport restore`: puts a backup in the place of the store, which is kept beside it.

use std::path::PathBuf;

use clap::Args;

use super::Frame;
use crate::data;
use crate::print::Exit;

/// Flags of `restore`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The backup
    file: PathBuf,
}

/// Restores into the data folder, which no server may use.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let inputs = frame.inputs();
    let folder = match frame.load(&inputs) {
        Ok(loaded) => loaded.config.data,
        Err(exit) => return Ok(exit),
    };
    data::private_folder(&folder)?;
    storage::restore(&options.file, &folder)?;
    let (from, to) = (options.file.display(), folder.display());
    frame.printer.line(&format!("restored {from} into {to}; the store before it is in backups/"));
    Ok(Exit::Fine)
}
