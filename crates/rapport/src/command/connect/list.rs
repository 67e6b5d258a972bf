//! `rapport connect` without a name: which applications are here, and whether they are connected.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::apps::{APPS, App};
use super::entry::{self, State};
use super::machine::Machine;
use super::{file, running, target};
use crate::command::Frame;
use crate::command::table::table;
use crate::print::Exit;

/// One application, or one file of it.
#[derive(Debug)]
pub(super) struct Row {
    app: &'static App,
    file: Option<PathBuf>,
    /// One word.
    word: &'static str,
    detail: String,
    runs: bool,
}

/// What there is.
pub(super) fn rows(machine: &Machine, name: &str, wanted: &dyn Fn(&App) -> Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for app in APPS {
        match target::files(app, machine, false, false) {
            Ok(files) => {
                rows.extend(files.into_iter().map(|file| row(app, file, name, &wanted(app))));
            }
            Err(error) => {
                let found = target::is_found(app, machine);
                let word = if found { "unclear" } else { "not found" };
                let detail = if found { format!("{error:#}") } else { String::new() };
                rows.push(Row { app, file: None, word, detail, runs: false });
            }
        }
    }
    rows
}

fn row(app: &'static App, path: PathBuf, name: &str, wanted: &Value) -> Row {
    let (word, detail) = match file::read(&path) {
        Err(error) => ("unreadable", format!("{error:#}")),
        Ok(text) => match entry::look(app.format.find(&text, &[app.group, name]), wanted) {
            State::Absent => ("not connected", String::new()),
            State::Connected => ("connected", String::new()),
            State::Differs(why) => ("connected", format!("{why}; connect it again to change that")),
            State::Foreign(why) => ("made by hand", why),
            State::Broken(wrong) => ("unreadable", wrong.to_string()),
        },
    };
    let runs = running::runs(app, &path);
    Row { app, file: Some(path), word, detail, runs }
}

/// Prints them.
///
/// # Errors
/// When they have no JSON.
pub(super) fn show(frame: &mut Frame, rows: &[Row]) -> anyhow::Result<Exit> {
    if frame.printer.is_json() {
        let values: Vec<Value> = rows.iter().map(value).collect();
        frame.printer.json(&values)?;
        return Ok(Exit::Fine);
    }
    let mut shown = table(&["application", "state", "file"]);
    for row in rows {
        let path = row.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let runs = if row.runs { ", runs now" } else { "" };
        shown.add_row([row.app.id.to_owned(), format!("{}{runs}", row.word), path]);
    }
    frame.printer.line(&shown.trim_fmt());
    for row in rows.iter().filter(|row| !row.detail.is_empty()) {
        frame.printer.note(&format!("{}: {}", row.app.id, row.detail));
    }
    if rows.iter().any(|row| row.word == "not connected") {
        frame.printer.hint("connect one by its name, or all with --all");
    }
    Ok(Exit::Fine)
}

fn value(row: &Row) -> Value {
    json!({
        "application": row.app.id, "name": row.app.name, "state": row.word,
        "file": row.file.as_ref().map(|path| path.display().to_string()),
        "detail": row.detail, "running": row.runs,
    })
}
