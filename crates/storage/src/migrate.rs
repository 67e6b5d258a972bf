//! Forward migrations, one list of steps per schema, with a backup before an existing file changes.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::backup;
use crate::fault::Stored;
use crate::folder::{damaged, refusal, unreadable};
use wire::Fault;

/// Marks a file as ours, so that no foreign database is ever changed: "Rapp".
const APPLICATION: i32 = 0x5261_7070;
/// Files up to this size are checked completely at every start; it costs a few milliseconds.
const CHECKED_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// The tables of one crate.
#[derive(Debug)]
pub struct Schema {
    /// Unique among the schemas of the program.
    pub name: &'static str,
    /// One batch of SQL per step; step `i` leads from version `i` to `i + 1`. Steps that were
    /// released never change.
    pub steps: &'static [&'static str],
    /// Tables that are made with their first row instead of by a step: for each the batch that
    /// begins with `CREATE TABLE name(` and makes it and its indexes, in their newest form. A step
    /// that changes such a table makes the old form first, `IF NOT EXISTS`.
    pub later: &'static [&'static str],
}

/// Brings the database to the newest version of every schema.
pub(crate) fn run(
    connection: &Connection,
    path: Option<&Path>,
    schemas: &[&Schema],
) -> Result<(), Fault> {
    let existing = check(connection, path)?;
    if !existing {
        connection.pragma_update(None, "application_id", APPLICATION).stored()?;
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS schema_version(
                   name TEXT PRIMARY KEY, version INTEGER NOT NULL,
                   program TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
            )
            .stored()?;
    }
    let mut pending = Vec::new();
    for schema in schemas {
        let version = version(connection, schema)?;
        if version < schema.steps.len() {
            pending.push((*schema, version));
        }
    }
    if pending.is_empty() {
        return Ok(());
    }
    if let Some(path) = path.filter(|_| existing) {
        let kept = backup::before_migration(connection, path, &program(connection)?)?;
        tracing::info!(backup = %kept.display(), "the database gets a new version");
    }
    apply(connection, &pending)
}

fn apply(connection: &Connection, pending: &[(&Schema, usize)]) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction().stored()?;
    for (schema, version) in pending {
        for step in schema.steps.iter().skip(*version) {
            transaction.execute_batch(step).stored()?;
        }
        let newest = i64::try_from(schema.steps.len()).unwrap_or(i64::MAX);
        transaction
            .execute(
                "INSERT OR REPLACE INTO schema_version(name, version, program, at)
                 VALUES (?1, ?2, ?3, ?4)",
                params![
                    schema.name,
                    newest,
                    env!("CARGO_PKG_VERSION"),
                    Timestamp::now().as_microsecond()
                ],
            )
            .stored()?;
    }
    transaction.commit().stored()
}

/// Says whether the file already holds our tables; refuses one that is foreign or damaged.
fn check(connection: &Connection, path: Option<&Path>) -> Result<bool, Fault> {
    let Some(path) = path else { return Ok(false) };
    let number = |pragma: &str| -> Result<i64, Fault> {
        connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(|error| unreadable(path, error))
    };
    let application = number("application_id")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| unreadable(path, error))?;
    if application != i64::from(APPLICATION) {
        if application == 0 && tables == 0 {
            return Ok(false);
        }
        return Err(refusal(
            "foreign_database",
            format!("the file `{}` is the database of another program", path.display()),
            "choose another folder with `--data`",
        ));
    }
    let bytes = number("page_count")?.saturating_mul(number("page_size")?);
    if bytes <= CHECKED_BYTES_MAX {
        let verdict: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| unreadable(path, error))?;
        if verdict != "ok" {
            return Err(damaged(path).because(verdict));
        }
    }
    // A process that died between marking the file and making its first table left it empty.
    Ok(tables > 0)
}

fn version(connection: &Connection, schema: &Schema) -> Result<usize, Fault> {
    let found: Option<i64> = connection
        .query_row("SELECT version FROM schema_version WHERE name = ?1", [schema.name], |row| {
            row.get(0)
        })
        .optional()
        .stored()?;
    let found = usize::try_from(found.unwrap_or(0)).unwrap_or(0);
    let known = schema.steps.len();
    if found > known {
        return Err(refusal(
            "newer_version",
            format!(
                "the database has version {found} of `{}`, this program knows {known}",
                schema.name
            ),
            "start the newer program, or restore the backup that it made before the change",
        ));
    }
    Ok(found)
}

/// The version of the program that changed the file last.
fn program(connection: &Connection) -> Result<String, Fault> {
    let found: Option<String> = connection
        .query_row("SELECT program FROM schema_version ORDER BY at DESC LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()
        .stored()?;
    Ok(found.unwrap_or_else(|| "0".to_owned()))
}
