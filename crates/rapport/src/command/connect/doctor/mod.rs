//! `rapport doctor claude-desktop`: why Claude Desktop does not show a server.

mod entries;
mod log;
mod start;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::apps::{self, App};
use super::machine::Machine;
use super::{edit, entry, file, running, target};
use crate::command::Frame;
use crate::print::Exit;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Fine,
    Note,
    Warning,
    Fault,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fault => "FAULT",
        }
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    /// What was looked at, in one word.
    check: &'static str,
    text: String,
    /// What to do.
    fix: String,
}

impl Finding {
    fn new(level: Level, check: &'static str, text: impl Into<String>) -> Self {
        Self { level, check, text: text.into(), fix: String::new() }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// Looks at Claude Desktop's files, its servers and what it wrote about them. The exit codes are
/// the doctor's: 0 healthy, 1 a named fault, 3 uncertain.
///
/// # Errors
/// When there is no runtime to work in.
pub(in crate::command) fn run(frame: &mut Frame) -> anyhow::Result<Exit> {
    let machine = Machine::here(&frame.env);
    let Some(app) = apps::find("claude-desktop") else { return Ok(Exit::InvalidPort) };
    let (path, mut findings) = look(app, &machine);
    if let Some(path) = &path {
        let servers = servers_of(path);
        findings.extend(log::check(&machine, servers.keys()));
        for (name, entry) in &servers {
            findings.extend(start::check(frame, (name, entry))?);
        }
    }
    show(frame, path.as_deref(), &findings)
}

/// What its files tell.
fn look(app: &'static App, machine: &Machine) -> (Option<PathBuf>, Vec<Finding>) {
    let files = match target::files(app, machine, false, false) {
        Ok(files) => files,
        Err(error) => {
            let known = target::is_found(app, machine);
            let level = if known { Level::Fault } else { Level::Note };
            let finding = Finding::new(level, "file", format!("{error:#}"));
            let fix = "install Claude Desktop and start it once";
            return (None, vec![if known { finding } else { finding.fix(fix) }]);
        }
    };
    let Some(path) = files.into_iter().next() else { return (None, Vec::new()) };
    let mut findings = places(app, machine, &path);
    if running::runs(app, &path) {
        let text = "Claude Desktop runs: it reads its file when it starts, and may write it anew";
        let fix = "after a change quit it (closing the window is not enough) and start it again";
        findings.push(Finding::new(Level::Note, "running", text).fix(fix));
    }
    match file::read(&path) {
        Err(error) => findings.push(Finding::new(Level::Fault, "file", format!("{error:#}"))),
        Ok(text) => findings.extend(content(app, machine, (&path, &text))),
    }
    (Some(path), findings)
}

/// Whether a file is there that looks right and is not the one that is read.
fn places(app: &App, machine: &Machine, path: &Path) -> Vec<Finding> {
    let all = (app.files)(machine);
    let others = all.iter().filter(|file| file.as_path() != path && file.is_file());
    let finding = |other: &PathBuf| {
        let text = format!("`{}` is there too and is not read", other.display());
        let fix = format!(
            "`Edit Config` of the version from the Microsoft Store opens it; edit `{}` instead",
            path.display()
        );
        Finding::new(Level::Warning, "place", text).fix(fix)
    };
    others.map(finding).collect()
}

fn content(app: &App, machine: &Machine, (path, text): (&Path, &str)) -> Vec<Finding> {
    if text.trim().is_empty() {
        let what = if path.exists() { "is empty" } else { "is not there: no server is configured" };
        let finding = Finding::new(Level::Fault, "file", format!("`{}` {what}", path.display()));
        return vec![finding.fix("rapport connect claude-desktop")];
    }
    let group = match app.format.find(text, &[app.group]) {
        Err(wrong) => {
            let text = format!("`{}` is no JSON: {wrong}", path.display());
            let fix = "correct this place; Claude Desktop starts without any server meanwhile";
            return vec![Finding::new(Level::Fault, "file", text).fix(fix)];
        }
        Ok(group) => group,
    };
    let mut findings = Vec::new();
    if edit::is_loose(text) {
        let text = "the file has comments, or a comma behind the last entry: Claude Desktop wants \
                    strict JSON";
        findings.push(Finding::new(Level::Fault, "file", text).fix("take them out"));
    }
    if text.starts_with('\u{feff}') {
        let text = "the file begins with a byte order mark";
        findings.push(Finding::new(Level::Warning, "file", text).fix("save it as plain UTF-8"));
    }
    let empty = group.as_ref().is_none_or(|group| group.as_object().is_some_and(|g| g.is_empty()));
    if empty {
        findings.push(lost(app, path));
    }
    findings.extend(entries::check(machine, group.as_ref()));
    if findings.iter().all(|finding| finding.level < Level::Warning) {
        let count = group.as_ref().and_then(Value::as_object).map_or(0, serde_json::Map::len);
        let text = format!("`{}` can be read, {count} server(s)", path.display());
        findings.insert(0, Finding::new(Level::Fine, "file", text));
    }
    findings
}

/// There is no server. A copy of ours may tell that there was one.
fn lost(app: &App, path: &Path) -> Finding {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().map(std::fs::read_dir).and_then(Result::ok);
    let copies = folder.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|copy| {
        let copied = copy.file_name().unwrap_or_default().to_string_lossy().into_owned();
        copied.starts_with(&format!("{name}.bak"))
            && file::read(copy).is_ok_and(|text| {
                let group = app.format.find(&text, &[app.group]).ok().flatten();
                // What this program wrote it may have taken out again.
                let foreign = |entry: &Value| entry::is_ours(entry).is_err();
                group.is_some_and(|g| g.as_object().is_some_and(|g| g.values().any(foreign)))
            })
    });
    let newest = copies.max_by_key(|copy| std::fs::metadata(copy).and_then(|m| m.modified()).ok());
    match newest {
        Some(copy) => {
            let text = format!(
                "`mcpServers` is empty, and `{}` has servers: the application wrote its file anew",
                copy.display()
            );
            let fix = "quit Claude Desktop, put the copy's `mcpServers` back, and start it again";
            Finding::new(Level::Fault, "lost", text).fix(fix)
        }
        None => Finding::new(Level::Fault, "servers", "no server is configured (`mcpServers`)")
            .fix("rapport connect claude-desktop"),
    }
}

fn servers_of(path: &Path) -> serde_json::Map<String, Value> {
    let text = file::read(path).unwrap_or_default();
    let group = edit::Format::Json.find(&text, &["mcpServers"]).ok().flatten();
    group.and_then(|group| group.as_object().cloned()).unwrap_or_default()
}

fn show(frame: &mut Frame, path: Option<&Path>, findings: &[Finding]) -> anyhow::Result<Exit> {
    let worst = findings.iter().max_by_key(|finding| finding.level);
    let fault = worst.filter(|finding| finding.level == Level::Fault);
    let warned = worst.filter(|finding| finding.level == Level::Warning);
    let exit = match (path, fault) {
        (_, Some(_)) => Exit::Problem,
        // The doctor's own 3: it is not known.
        (None, None) => Exit::InvalidPort,
        (Some(_), None) => Exit::Fine,
    };
    let verdict = match (path, fault, warned) {
        (_, Some(fault), _) => fault.text.clone(),
        (None, ..) => "Claude Desktop was not found on this machine".to_owned(),
        (_, _, Some(warning)) => format!("Claude Desktop should work, but {}", warning.text),
        _ => "Claude Desktop is configured as it should be".to_owned(),
    };
    if frame.printer.is_json() {
        let row = |f: &Finding| {
            let level = f.level.word();
            json!({"level": level, "check": f.check, "text": f.text, "fix": f.fix})
        };
        let rows: Vec<Value> = findings.iter().map(row).collect();
        frame.printer.json(&json!({
            "verdict": verdict, "healthy": fault.is_none(),
            "file": path.map(|path| path.display().to_string()), "findings": rows,
        }))?;
        return Ok(exit);
    }
    frame.printer.line(&verdict);
    frame.printer.line("");
    for finding in findings {
        let line = format!("  {:<8} {:<9} {}", finding.level.word(), finding.check, finding.text);
        frame.printer.line(&line);
        if !finding.fix.is_empty() {
            frame.printer.line(&format!("  {:<18} fix: {}", "", finding.fix));
        }
    }
    Ok(exit)
}

#[cfg(test)]
mod tests;
