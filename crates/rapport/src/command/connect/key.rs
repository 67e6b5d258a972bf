//! The key an application shows: made once, kept in a file that only its user can read.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Connect;
use super::apps::App;
use crate::command::Frame;
use crate::data;

/// A key and where it is kept.
pub(super) struct Kept {
    pub(super) file: PathBuf,
    pub(super) secret: String,
}

/// The application's key; made when there is none.
///
/// # Errors
/// When no key can be made: the server refuses, or the file cannot be written.
pub(super) fn of(frame: &mut Frame, options: &Connect, app: &App) -> anyhow::Result<Kept> {
    let file = frame.env.config_folder().join("keys").join(format!("{}.key", app.id));
    if let Ok(text) = std::fs::read_to_string(&file)
        && !text.trim().is_empty()
    {
        return Ok(Kept { file, secret: text.trim().to_owned() });
    }
    if options.which.dry_run {
        return Ok(Kept { file, secret: "new".to_owned() });
    }
    let made = crate::command::key::make(frame, &options.reach, app.id)?;
    let secret = made.context("no key could be made")?;
    let folder = file.parent().context("the file of the key has no folder")?;
    data::private_folder(folder)?;
    data::write_private(&file, format!("{secret}\n").as_bytes())?;
    frame.printer.note(&format!("The key is in {}, for you alone.", file.display()));
    frame.printer.warn("from now on every caller needs a key: `rapport key create` makes more");
    Ok(Kept { file, secret })
}
