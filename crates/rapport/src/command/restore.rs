//! `rapport restore`: puts a backup in the place of the store, which is kept beside it.

use std::path::PathBuf;

use clap::Args;

use super::{Frame, beside};
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
    if !options.file.is_file() {
        anyhow::bail!(
            "there is no backup `{}`: name a file of `rapport backup`",
            options.file.display()
        );
    }
    data::private_folder(&folder)?;
    let had_store = folder.join("rapport.db").exists();
    storage::restore(&options.file, &folder)?;
    let stamp = crate::clock::now().strftime("%Y%m%d-%H%M%S").to_string();
    let beside = beside::unpack(&folder, &stamp)?;
    let (from, to, told) = (options.file.display(), folder.display(), beside.told());
    let kept = if had_store { "; what was there before is in backups/" } else { "" };
    frame.printer.line(&format!("restored {from} into {to}{told}{kept}"));
    if beside.is_sealed && !beside.has_vault {
        frame.printer.warn(
            "the keys of providers in it are encrypted, and vault.key is not in this folder: put \
             it back, or send the keys again with `PATCH /api/v1/providers/NAME`",
        );
    }
    Ok(Exit::Fine)
}
