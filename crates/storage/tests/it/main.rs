//! The store as its users see it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]
#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod backups;
mod faults;
mod folders;
mod later;
mod migrations;
mod writes;

use std::path::Path;

use serde_json::Value;
use storage::rusqlite::Connection;
use storage::{Database, Durability, Place, Schema, Stored};
use wire::{Code, Fault};

const NOTES: &[&Schema] = &[&Schema {
    name: "notes",
    steps: &["CREATE TABLE note(n INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)"],
    later: &[LATER, NAMES],
}];

const LATER: &str = "CREATE TABLE later(n INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL);
    CREATE INDEX later_word ON later(word);";
const NAMES: &str = "CREATE TABLE name(word TEXT PRIMARY KEY) WITHOUT ROWID;";

async fn open(folder: &Path) -> Result<Database, Fault> {
    Database::open(Place::Folder(folder.to_path_buf()), NOTES).await
}

async fn add(db: &Database, durability: Durability, body: &str) -> Result<(), Fault> {
    let body = body.to_owned();
    let job = move |c: &Connection| {
        c.execute("INSERT INTO note(body) VALUES (?1)", [body]).stored().map(drop)
    };
    db.write(durability, job).await
}

async fn count(db: &Database) -> i64 {
    db.read(|c| c.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).stored())
        .await
        .unwrap()
}

#[track_caller]
fn refused<T>(result: Result<T, Fault>, code: Code, reason: &str) -> Fault {
    let Err(fault) = result else { panic!("it was not refused") };
    assert_eq!(fault.code(), code, "{fault:?}");
    let found = fault.detail_values().and_then(|d| d.get("reason")).and_then(Value::as_str);
    assert_eq!(found.unwrap_or(""), reason, "{fault:?}");
    fault
}
