//! `rapport backup`: one consistent copy of the store, also while the server writes to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use storage::rusqlite::backup::{Backup, StepResult};
use storage::rusqlite::{Connection, OpenFlags};

use super::{Frame, beside};
use crate::config::Store;
use crate::print::Exit;
use crate::runtime;

/// Pages copied at a time; the server writes in between.
const PAGES: i32 = 512;

/// Limit: steps in a row in which the server did not let us read.
const BUSY_MAX: u32 = 200;

/// Flags of `backup`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The file to write; it must not exist
    file: PathBuf,
}

/// Copies the store of the data folder.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let inputs = frame.inputs();
    let config = match frame.load(&inputs) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    ensure!(config.store == Store::Sqlite, "the memory store has nothing to copy");
    let (from, to) = (config.data.join("rapport.db"), &options.file);
    ensure!(
        from.is_file(),
        "there is no store in `{}`: name its folder with --data",
        config.data.display()
    );
    ensure!(!to.exists(), "`{}` exists: name a new file", to.display());
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        ensure!(folder.is_dir(), "there is no folder `{}`: make it first", folder.display());
    }
    // Beside the file and under its whole name, so that it is nobody else's.
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let copied = copy(&from, &part, frame)
        .and_then(|pages| Ok((pages, beside::pack(&part, &config.data)?)))
        .inspect_err(|_| {
            // Half a backup is worse than none.
            let _gone = std::fs::remove_file(&part);
        });
    let (pages, beside) = copied?;
    std::fs::rename(&part, to).with_context(|| format!("cannot write `{}`", to.display()))?;
    let bytes = std::fs::metadata(to).map_or(0, |file| file.len());
    if frame.printer.is_json() {
        let file = to.display().to_string();
        let without: &[&str] = if beside.has_vault { &["vault.key"] } else { &[] };
        frame.printer.json(&serde_json::json!({
            "file": file, "bytes": bytes, "pages": pages, "files": beside.files,
            "without": without,
        }))?;
        return Ok(Exit::Fine);
    }
    let told = beside.told();
    let (folder, to) = (config.data.display(), to.display());
    frame.printer.line(&format!("copied the store of {folder} to {to} ({bytes} bytes){told}"));
    if let Some(other) = elsewhere(frame, &config.data) {
        frame.printer.hint(&other);
    }
    if beside.has_vault {
        frame.printer.hint(
            "vault.key, the master key, is not in it: what is encrypted stays closed without it; \
             keep a copy of it at another place",
        );
    }
    Ok(Exit::Fine)
}

/// What to do when servers run, but none on this folder: then another one was likely meant.
fn elsewhere(frame: &Frame, folder: &Path) -> Option<String> {
    if runtime::of_folder(folder).is_some() {
        return None;
    }
    let other = runtime::all(&frame.env).into_iter().next()?;
    Some(format!(
        "no server runs on that folder, but the one at {} keeps another: \
         `rapport backup --data {} FILE` copies it",
        other.url,
        other.data_dir.display()
    ))
}

fn copy(from: &Path, to: &Path, frame: &mut Frame) -> anyhow::Result<i32> {
    let unreadable = || format!("cannot read the store `{}`", from.display());
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(unreadable)?;
    source.busy_timeout(Duration::from_secs(5)).with_context(unreadable)?;
    crate::data::write_private(to, b"")?;
    let mut target =
        Connection::open(to).with_context(|| format!("cannot write `{}`", to.display()))?;
    let backup = Backup::new(&source, &mut target).with_context(unreadable)?;
    let (mut busy, mut told) = (0, 0);
    loop {
        match backup.step(PAGES).with_context(unreadable)? {
            StepResult::Done => return Ok(backup.progress().pagecount),
            StepResult::More => busy = 0,
            _ if busy >= BUSY_MAX => bail!("the store is too busy to be copied: try again"),
            _ => busy += 1,
        }
        let progress = backup.progress();
        let done = i64::from(progress.pagecount - progress.remaining) * 10;
        let tenth = done / i64::from(progress.pagecount.max(1));
        if tenth > told {
            told = tenth;
            frame.printer.note(&format!("copied {tenth}0 %"));
        }
    }
}
