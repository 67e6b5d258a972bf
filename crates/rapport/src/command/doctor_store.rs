//! `rapport doctor --store`: whether everything in a store is as it was stored.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use context::{Defect, Report, verify_store};
use storage::rusqlite::{Connection, OpenFlags};

use super::Frame;
use crate::config::{Store, load};
use crate::parts::SCHEMAS;
use crate::print::Exit;

/// Limit: defects that are printed for people; `--json` has more.
const PRINTED_MAX: usize = 20;
/// How long a writer may keep us from reading.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the whole store and changes nothing. 0 when it is sound, 1 when it is not, 2 when there is
/// none.
pub(super) fn run(frame: &mut Frame, folder: Option<&Path>) -> anyhow::Result<Exit> {
    let file = match file(frame, folder) {
        Ok(file) => file,
        Err(exit) => return Ok(exit),
    };
    let mut shown = 0;
    let printer = &mut frame.printer;
    let outcome = open(&file).and_then(|connection| {
        whole(&connection)?;
        storage::show_all(&connection, SCHEMAS).map_err(|fault| fault.text().to_owned())?;
        verify_store(&connection, |done, all| {
            // A line now and then; small stores are over before the first.
            if done >= shown + 20_000 {
                shown = done;
                printer.note(&format!("looked at {done} of {all} contexts"));
            }
        })
        .map_err(|fault| fault.chain())
    });
    match outcome {
        Ok(report) => tell(frame, &file, &report),
        Err(reason) => unreadable(frame, &file, &reason),
    }
}

/// The store's file, from the folder that was named or is configured.
fn file(frame: &mut Frame, folder: Option<&Path>) -> Result<PathBuf, Exit> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => match load(&frame.inputs()) {
            Ok(loaded) if loaded.config.store == Store::Sqlite => loaded.config.data,
            Ok(_) => {
                frame.printer.error("the memory store keeps nothing that could be verified");
                frame.printer.hint("name a folder: rapport doctor --store FOLDER");
                return Err(Exit::Usage);
            }
            Err(refused) => {
                for problem in &refused.problems {
                    frame.printer.error(&problem.to_string());
                }
                return Err(Exit::Usage);
            }
        },
    };
    let file = if folder.is_file() { folder.clone() } else { folder.join("rapport.db") };
    if !file.is_file() {
        frame.printer.error(&format!("there is no store in `{}`", folder.display()));
        frame.printer.hint("name the folder that holds rapport.db, or a backup's file");
        return Err(Exit::Usage);
    }
    Ok(file)
}

fn open(file: &Path) -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|e| e.to_string())?;
    connection.busy_timeout(PATIENCE).map_err(|e| e.to_string())?;
    Ok(connection)
}

/// Whether every page of the file is one of a database, also those that hold no entries.
fn whole(connection: &Connection) -> Result<(), String> {
    let mut check = connection.prepare("PRAGMA quick_check(1)").map_err(|e| e.to_string())?;
    let mut rows = check.query([]).map_err(|e| e.to_string())?;
    let Some(row) = rows.next().map_err(|e| e.to_string())? else { return Ok(()) };
    let verdict: String = row.get(0).map_err(|e| e.to_string())?;
    if verdict == "ok" { Ok(()) } else { Err(verdict.replace('\n', " ")) }
}

fn tell(frame: &mut Frame, file: &Path, report: &Report) -> anyhow::Result<Exit> {
    let exit = if report.is_sound() { Exit::Fine } else { Exit::Problem };
    if frame.printer.is_json() {
        let listed: Vec<_> = report.listed.iter().map(defect).collect();
        frame.printer.json(&serde_json::json!({
            "ok": report.is_sound(), "store": file.display().to_string(),
            "contexts": report.contexts, "entries": report.entries,
            "summaries": report.summaries, "sealed": report.sealed,
            "defects": report.defects, "listed": listed,
        }))?;
        return Ok(exit);
    }
    let Report { contexts, entries, summaries, defects, .. } = report;
    let mut seen = format!("{contexts} contexts, {entries} entries, {summaries} summaries");
    if report.sealed > 0 {
        let sealed = report.sealed;
        let _written = write!(seen, "; of {sealed} encrypted contexts the stored bytes only");
    }
    if report.is_sound() {
        frame.printer.line(&format!("✓ The store is sound. [store_sound]\n  {seen}"));
        frame.printer.line("  every hash, running sum, link and summary is as it was stored");
        return Ok(exit);
    }
    let what = if *defects == 1 { "defect" } else { "defects" };
    frame.printer.line(&format!("✗ The store is damaged: {defects} {what}. [store_damaged]"));
    frame.printer.line(&format!("  {seen}\n"));
    for found in report.listed.iter().take(PRINTED_MAX) {
        let place = found.seq.map_or_else(String::new, |seq| format!(", entry {seq}"));
        frame.printer.line(&format!("  context `{}`{place}: {}", found.context, found.what));
    }
    let more = report.listed.len().saturating_sub(PRINTED_MAX);
    if more > 0 {
        frame.printer.line(&format!("  … and {more} more; --json lists them"));
    }
    frame.printer.line(
        "\n  A damaged entry is kept from models; the rest of its context stays usable.\n  1. \
         keep what is there: rapport context export ID\n  2. or go back to a backup: rapport \
         restore FILE\n  3. look at the disk: damage without a crash means that it fails",
    );
    Ok(exit)
}

fn defect(found: &Defect) -> serde_json::Value {
    serde_json::json!({
        "tenant": found.tenant.0, "context": found.context, "seq": found.seq, "what": found.what,
    })
}

fn unreadable(frame: &mut Frame, file: &Path, reason: &str) -> anyhow::Result<Exit> {
    let is_other = reason.contains("no such column") || reason.contains("no such table");
    let (id, sentence, fix) = if is_other {
        let fix = "start the server once with this version; it brings the store up to date";
        ("store_version", "The store is of another version", fix)
    } else {
        let fix = "go back to a backup: rapport restore FILE";
        ("store_unreadable", "The store cannot be read", fix)
    };
    if frame.printer.is_json() {
        frame.printer.json(&serde_json::json!({
            "ok": false, "store": file.display().to_string(), "id": id, "error": reason,
            "fix": fix,
        }))?;
    } else {
        frame.printer.line(&format!("✗ {sentence}. [{id}]\n  {}: {reason}", file.display()));
        frame.printer.line(&format!("  1. {fix}"));
    }
    Ok(Exit::Problem)
}
