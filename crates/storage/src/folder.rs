//! The data folder: made with narrow rights, owned by one process, opened with clear refusals.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use wire::{Code, Fault};

use crate::fault::Stored;
use crate::health::free_bytes;
use crate::rights;

/// The database file in the data folder.
pub(crate) const FILE: &str = "rapport.db";
/// The file whose lock says who owns the folder.
const LOCK: &str = "rapport.lock";
/// Least room on the disk to start with: below it the first messages would already fail.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Larger pages waste less behind rows of about a kilobyte (4 KiB pages double the file).
const PAGE_BYTES: u32 = 8192;
/// The log file is cut back to this size when it starts over.
const LOG_BYTES_KEPT: i64 = 32 * 1024 * 1024;
/// How long a statement waits for another program that reads the file (`sqlite3`, a backup).
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Different statements the program keeps ready per connection.
const STATEMENTS_KEPT: usize = 128;

/// The right to use a folder; given back when it drops.
#[derive(Debug)]
pub(crate) struct Claim {
    _file: File,
}

/// Makes the folder when it is missing, and takes it for this process.
pub(crate) fn claim(folder: &Path) -> Result<Claim, Fault> {
    make(folder)?;
    let path = folder.join(LOCK);
    let mut file = rights::narrow(OpenOptions::new().create(true).truncate(false))
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| unusable(folder, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(folder, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(folder, error)),
    }
    let text = format!("{}\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|error| unusable(folder, error))?;
    if let Some(free) = free_bytes(folder)
        && free < FREE_BYTES_MIN
    {
        return Err(refusal(
            "disk_full",
            format!(
                "the disk of the data folder `{}` has only {free} bytes left",
                folder.display()
            ),
            "free some space, or choose a folder on another disk with `--data`",
        ));
    }
    Ok(Claim { _file: file })
}

fn make(folder: &Path) -> Result<(), Fault> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {
            if rights::are_wide(&found) {
                tracing::warn!(
                    folder = %folder.display(),
                    "other users of this machine may look into the data folder; `chmod 700` it"
                );
            }
            Ok(())
        }
        Ok(_) => Err(refusal(
            "not_a_folder",
            format!("the data folder `{}` is a file", folder.display()),
            "name a folder with `--data`, or move the file away",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = rights::folder().create(folder);
            made.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => refusal(
                    "missing_parent",
                    format!(
                        "the data folder `{}` cannot be made: its parent folder is missing",
                        folder.display()
                    ),
                    "check the path for a typing error, or create it with `mkdir -p`",
                )
                .because(error),
                _ => unusable(folder, error),
            })
        }
        Err(error) => Err(unusable(folder, error)),
    }
}

fn held(folder: &Path, file: &mut File) -> Fault {
    let mut text = String::new();
    let holder = match file.take(32).read_to_string(&mut text) {
        Ok(_) => text.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let name = folder.display();
    Fault::new(Code::ConfigurationError, format!("the data folder `{name}` is in use by {who}"))
        .hint("use the server that is already running, stop it, or choose another `--data` folder")
        .details(json!({ "reason": "in_use", "pid": holder }))
}

fn unusable(folder: &Path, error: io::Error) -> Fault {
    let (reason, why) = match error.kind() {
        io::ErrorKind::PermissionDenied => ("permission_denied", "this user may not write there"),
        io::ErrorKind::ReadOnlyFilesystem => ("read_only", "its disk is mounted read-only"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("disk_full", "the disk is full")
        }
        io::ErrorKind::NotADirectory => ("not_a_folder", "a part of the path is a file"),
        _ => ("io_error", "the system refuses it"),
    };
    refusal(
        reason,
        format!("the data folder `{}` cannot be used: {why}", folder.display()),
        "give this user write access, or choose another folder with `--data`",
    )
    .because(error)
}

pub(crate) fn refusal(reason: &str, text: String, hint: &str) -> Fault {
    Fault::new(Code::ConfigurationError, text).hint(hint).details(json!({ "reason": reason }))
}

/// The database file, made readable for its owner only.
pub(crate) fn file(folder: &Path) -> Result<PathBuf, Fault> {
    let path = folder.join(FILE);
    rights::narrow(OpenOptions::new().create(true).truncate(false))
        .write(true)
        .open(&path)
        .map_err(|error| unusable(folder, error))?;
    Ok(path)
}

/// Opens the connection that writes, and checks that the file is one of ours.
pub(crate) fn connect_writer(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).stored()?;
    connection.busy_timeout(BUSY_WAIT).stored()?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).stored()?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| unreadable(path, error))?;
    if mode != "wal" {
        return Err(refusal(
            "no_wal",
            format!("the file `{}` cannot be used with a write-ahead log", path.display()),
            "choose a folder on a local disk with `--data`",
        ));
    }
    connection.pragma_update(None, "wal_autocheckpoint", 0).stored()?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(()))
        .stored()?;
    // What is deleted is written over wherever that costs no further page.
    connection.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(())).stored()?;
    tune(&connection)?;
    Ok(connection)
}

/// Opens a further connection to a database that the writer has open.
pub(crate) fn connect_beside(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).stored()?;
    connection.busy_timeout(BUSY_WAIT).stored()?;
    tune(&connection)?;
    Ok(connection)
}

/// Opens a database that lives as long as the connection.
pub(crate) fn connect_memory() -> Result<Connection, Fault> {
    let connection = Connection::open_in_memory().stored()?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).stored()?;
    tune(&connection)?;
    Ok(connection)
}

fn tune(connection: &Connection) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "synchronous", "FULL").stored()?;
    connection.pragma_update(None, "foreign_keys", false).stored()?;
    connection.pragma_update(None, "temp_store", "MEMORY").stored()?;
    // Negative: KiB. The system's page cache holds the rest. No memory map: with one, a disk error
    // would be a signal that ends the process instead of a fault.
    connection.pragma_update(None, "cache_size", -2048).stored()?;
    Ok(())
}

/// A file that is there and cannot be read as a database.
pub(crate) fn unreadable(path: &Path, error: rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let name = path.display();
    match error.sqlite_error_code() {
        Some(NotADatabase | DatabaseCorrupt) => damaged(path).because(error),
        _ => refusal(
            "unreadable",
            format!("the database file `{name}` cannot be opened"),
            "check that this user owns the file and its folder",
        )
        .because(error),
    }
}

pub(crate) fn damaged(path: &Path) -> Fault {
    refusal(
        "corrupt",
        format!("the file `{}` is damaged or is not a database of rapport", path.display()),
        "move the file away to begin anew, or put a backup in its place with `rapport restore`",
    )
}
