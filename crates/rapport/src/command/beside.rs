//! What lies beside the store and belongs into its backup: what the API added, as the file has it.

use std::path::Path;

use anyhow::Context as _;
use storage::rusqlite::{Connection, params};

use crate::data::write_private;

/// The files, by name. The master key is none of them: a backup that lies around must not open.
const FILES: &[&str] = &["providers.json", "mcp.json"];
/// The master key.
const VAULT: &str = "vault.key";

/// What was done with the files beside a store.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The files that came along.
    pub(super) files: Vec<&'static str>,
    /// There is a master key, and it stayed where it is.
    pub(super) has_vault: bool,
    /// Keys among them are encrypted.
    pub(super) is_sealed: bool,
}

impl Beside {
    /// What came along, for people: `, with providers.json`.
    pub(super) fn told(&self) -> String {
        if self.files.is_empty() {
            String::new()
        } else {
            format!(", with {}", self.files.join(", "))
        }
    }
}

/// Puts the files of `data` into the copy of a store.
///
/// # Errors
/// When a file cannot be read, or the copy not be written.
pub(super) fn pack(copy: &Path, data: &Path) -> anyhow::Result<Beside> {
    let mut beside = Beside { has_vault: data.join(VAULT).is_file(), ..Beside::default() };
    let target = Connection::open(copy)?;
    target.execute_batch(
        "DROP TABLE IF EXISTS backup_file;
         CREATE TABLE backup_file(name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
    )?;
    for name in FILES {
        let file = data.join(name);
        if !file.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        target.execute("INSERT INTO backup_file VALUES (?1, ?2)", params![name, text])?;
        beside.is_sealed |= text.contains("\"sealed:");
        beside.files.push(name);
    }
    target.close().map_err(|(_, error)| error)?;
    Ok(beside)
}

/// Takes the files out of a restored store. What was there before is kept in `backups/`.
///
/// # Errors
/// When the store cannot be opened, or a file not be written.
pub(super) fn unpack(data: &Path, stamp: &str) -> anyhow::Result<Beside> {
    let mut beside = Beside { has_vault: data.join(VAULT).is_file(), ..Beside::default() };
    let store = Connection::open(data.join("rapport.db"))?;
    let table = "SELECT 1 FROM sqlite_schema WHERE name = 'backup_file'";
    if !store.prepare(table)?.exists([])? {
        return Ok(beside);
    }
    for name in FILES {
        let text: String = {
            let mut one = store.prepare("SELECT content FROM backup_file WHERE name = ?1")?;
            let mut rows = one.query([name])?;
            let Some(row) = rows.next()? else { continue };
            row.get(0)?
        };
        let file = data.join(name);
        if let Ok(before) = std::fs::read(&file) {
            let folder = data.join("backups");
            crate::data::private_folder(&folder)?;
            write_private(&folder.join(format!("{stamp}-{name}")), &before)?;
        }
        write_private(&file, text.as_bytes())?;
        beside.is_sealed |= text.contains("\"sealed:");
        beside.files.push(name);
    }
    store.execute_batch("DROP TABLE backup_file")?;
    store.close().map_err(|(_, error)| error)?;
    Ok(beside)
}
