//! Backup of the whole store while it runs, and its way back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use wire::{Code, Fault};

use crate::fault::Stored;
use crate::folder::{self, FILE, unreadable};

/// Pages copied between two reports of progress (2 MiB).
const STEP_PAGES: i32 = 256;
/// Where automatic backups are kept, below the data folder.
const BACKUPS: &str = "backups";

/// Copies one snapshot of the database into the new file `to`, which appears only when it is whole.
pub(crate) fn copy(
    from: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Fault> {
    if to.exists() {
        return Err(Fault::new(Code::InvalidInput, format!("`{}` exists already", to.display()))
            .hint("name a file that does not exist yet")
            .details(json!({ "reason": "exists" })));
    }
    let part = with_suffix(to, ".part");
    remove(&part).map_err(|error| unwritable(to, error))?;
    let copied = fill(from, &part, progress)
        .and_then(|()| {
            fs::File::open(&part).and_then(|f| f.sync_all()).map_err(|e| unwritable(to, e))
        })
        .and_then(|()| fs::rename(&part, to).map_err(|error| unwritable(to, error)));
    if copied.is_err()
        && let Err(error) = remove(&part)
    {
        tracing::warn!(file = %part.display(), %error, "a half backup could not be removed");
    }
    copied
}

fn fill(from: &Connection, part: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Fault> {
    // SQLite would make it readable for everybody.
    let mut narrow = fs::OpenOptions::new();
    crate::rights::narrow(narrow.write(true).create_new(true))
        .open(part)
        .map_err(|error| unwritable(part, error))?;
    let mut target = Connection::open(part).map_err(|error| unwritable(part, error))?;
    // The caller's transaction begins with its first read. Without it every step would see a newer
    // database and start over, and under load the copy would never end.
    from.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).stored()?;
    {
        let backup = Backup::new(from, &mut target).stored()?;
        while backup.step(STEP_PAGES).stored()? != StepResult::Done {
            let state = backup.progress();
            let all = u64::try_from(state.pagecount).unwrap_or(0);
            let left = u64::try_from(state.remaining).unwrap_or(0);
            progress(all.saturating_sub(left), all);
        }
        let all = u64::try_from(backup.progress().pagecount).unwrap_or(0);
        progress(all, all);
    }
    // One file, without a log beside it, is what people move around.
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).stored()?;
    target.close().map_err(|(_, error)| error).stored()
}

/// Keeps the file as it is before a migration changes it.
pub(crate) fn before_migration(
    from: &Connection,
    path: &Path,
    program: &str,
) -> Result<PathBuf, Fault> {
    let folder = path.parent().unwrap_or(Path::new(".")).join(BACKUPS);
    make_folder(&folder)?;
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%6f");
    let to = folder.join(format!("rapport-{program}-{time}.db"));
    copy(from, &to, &mut |_, _| ())?;
    Ok(to)
}

fn make_folder(folder: &Path) -> Result<(), Fault> {
    let made = crate::rights::folder().recursive(true).create(folder);
    made.map_err(|error| unwritable(folder, error))
}

/// Puts the backup `from` in the place of the database in `folder`; blocks. The database that was
/// there is kept below `backups`.
///
/// # Errors
/// `configuration_error` when a server uses the folder, or when `from` is no backup of ours;
/// `storage_error` when a file cannot be copied or moved.
pub fn restore(from: &Path, folder: &Path) -> Result<(), Fault> {
    inspect(from)?;
    let claim = folder::claim(folder)?;
    let place = folder.join(FILE);
    let part = with_suffix(&place, ".part");
    let moved = |error: io::Error| unwritable(&place, error);
    fs::copy(from, &part).map_err(moved)?;
    fs::File::open(&part).and_then(|file| file.sync_all()).map_err(moved)?;
    if place.exists() {
        let backups = folder.join(BACKUPS);
        make_folder(&backups)?;
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%6f");
        let kept = backups.join(format!("rapport-replaced-{time}.db"));
        // The log belongs to the file: it moves along under the name that SQLite looks for.
        for suffix in ["", "-wal"] {
            let old = with_suffix(&place, suffix);
            if old.exists() {
                fs::rename(&old, with_suffix(&kept, suffix)).map_err(moved)?;
            }
        }
    }
    remove(&with_suffix(&place, "-shm")).map_err(moved)?;
    fs::rename(&part, &place).map_err(moved)?;
    fs::File::open(folder).and_then(|file| file.sync_all()).map_err(moved)?;
    drop(claim);
    Ok(())
}

/// Refuses a file that is not a whole database of ours.
fn inspect(from: &Path) -> Result<(), Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(from, flags);
    let connection = opened.map_err(|error| unreadable(from, error))?;
    let ours: bool = connection
        .query_row(
            "SELECT count(*) = 1 FROM sqlite_schema WHERE name = 'schema_version'",
            [],
            |row| row.get(0),
        )
        .map_err(|error| unreadable(from, error))?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| unreadable(from, error))?;
    if ours && verdict == "ok" { Ok(()) } else { Err(folder::damaged(from)) }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::new(Code::StorageError, format!("`{}` cannot be written", path.display()))
        .hint(
            "check that its folder exists, that this user may write there, and that there is room",
        )
        .details(json!({ "reason": "io_error" }))
        .because(error)
}
