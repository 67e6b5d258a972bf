//! `rapport connect` and `disconnect`: the entry for this program in other programs' lists of MCP
//! servers.

mod apps;
pub(super) mod attach;
mod doctor;
mod edit;
mod entry;
mod file;
mod key;
pub(super) mod led;
mod list;
mod machine;
mod running;
mod target;
mod wrap;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Frame;
use super::reach::Reach;
use crate::print::Exit;
use apps::App;
use entry::State;
use machine::Machine;

pub(super) use doctor::run as claude_desktop;

pub(super) use file::{Change, difference, replace_all};

/// The JSON text with this value at this path, everything else byte for byte; `None` when it cannot
/// be read.
pub(super) fn set_json(text: &str, path: &[&str], value: &Value) -> Option<String> {
    edit::set_value(text, path, value).ok()
}

/// The lists of MCP servers that applications of this machine have: whose each is, and where.
pub(super) fn client_files(env: &crate::config::Environment) -> Vec<(&'static str, PathBuf)> {
    let machine = Machine::here(env);
    let files = apps::APPS.iter().flat_map(|app| {
        let all = (app.files)(&machine).into_iter().filter(|file| file.is_file());
        all.map(|file| (app.id, file))
    });
    files.collect()
}

/// Flags of both commands.
#[derive(Clone, Debug, Args)]
struct Which {
    /// claude-desktop, claude-code, cursor, vscode, codex, gemini, windsurf or zed
    #[arg(value_name = "APPLICATION")]
    applications: Vec<String>,
    /// Every application that is found here
    #[arg(long)]
    all: bool,
    /// The entry's name
    #[arg(long, default_value = "rapport")]
    name: String,
    /// The file of the project in this folder instead of the user's
    #[arg(long)]
    project: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Flags of `connect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    which: Which,
    /// Write the server's address instead of a command, where the application takes one
    #[arg(long)]
    http: bool,
    /// Make a key for the application; it is kept in a file that only you can read
    #[arg(long)]
    with_key: bool,
    /// Also where the application was not found, or an entry of this name was made by hand
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Flags of `disconnect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Disconnect {
    #[command(flatten)]
    which: Which,
    /// Also an entry of this name that was made by hand
    #[arg(long)]
    force: bool,
}

/// What became of one file.
#[derive(Debug)]
struct Done {
    /// What happened, for people.
    text: String,
    /// For programs.
    value: Value,
    /// What to do now.
    hint: Option<String>,
}

/// Connects what was named; without a name, shows what there is.
///
/// # Errors
/// When the system does not say where this program is.
pub(super) fn connect(frame: &mut Frame, options: &Connect) -> anyhow::Result<Exit> {
    let machine = Machine::here(&frame.env);
    let which = &options.which;
    if let Err(invalid) = entry::check_port(frame) {
        frame.printer.error(&invalid.to_string());
        return Ok(Exit::InvalidPort);
    }
    let binary = entry::binary(&machine)?;
    if which.applications.is_empty() && !which.all {
        let wanted = |app: &App| entry::command(app, &binary, &entry::words(frame), None);
        let rows = list::rows(&machine, &which.name, &wanted);
        return list::show(frame, &rows);
    }
    if !is_name(&which.name) {
        let text = format!("`{}` is no name: use letters, digits, - and _, 32 at most", which.name);
        frame.printer.error(&text);
        return Ok(Exit::Usage);
    }
    if let (Some(why), false) = (entry::is_passing(&binary), options.http) {
        let text = format!("`{}` lies in {why}: install the program first", binary.display());
        frame.printer.warn(&text);
    }
    each(frame, which, |frame, app| {
        let wanted = wanted(frame, options, (app, &binary))?;
        let files = target::files(app, &machine, which.project, options.force)?;
        let change = |file: &Path| connect_one(&wanted, (app, file), options);
        files.iter().map(|file| change(file)).collect()
    })
}

/// Takes the entry out of what was named.
///
/// # Errors
/// None that ends the command; each is said.
pub(super) fn disconnect(frame: &mut Frame, options: &Disconnect) -> anyhow::Result<Exit> {
    let machine = Machine::here(&frame.env);
    let which = &options.which;
    if which.applications.is_empty() && !which.all {
        frame.printer.error("disconnect what? Name an application, or use --all");
        frame.printer.hint("`rapport connect` shows which are connected");
        return Ok(Exit::Usage);
    }
    each(frame, which, |_, app| {
        let files = target::all(app, &machine, which.project)?;
        files.iter().map(|file| disconnect_one((app, file), options)).collect()
    })
}

/// Does something for every application that was named, whatever becomes of the others.
fn each(
    frame: &mut Frame,
    which: &Which,
    mut work: impl FnMut(&mut Frame, &'static App) -> anyhow::Result<Vec<Done>>,
) -> anyhow::Result<Exit> {
    let mut chosen = Vec::new();
    for id in &which.applications {
        let Some(app) = apps::find(&id.to_lowercase()) else {
            let text = format!("`{id}` is no application known here: {}", apps::ids());
            frame.printer.error(&text);
            return Ok(Exit::Usage);
        };
        chosen.push(app);
    }
    if which.all {
        let machine = Machine::here(&frame.env);
        chosen = apps::APPS.iter().filter(|app| target::is_found(app, &machine)).collect();
        if chosen.is_empty() {
            frame.printer.error("none of the applications was found here");
            frame.printer.hint(&format!("these are known: {}", apps::ids()));
            return Ok(Exit::Problem);
        }
    }
    let mut exit = Exit::Fine;
    let mut values = Vec::new();
    for app in chosen {
        match work(frame, app) {
            Ok(all) => {
                for done in all {
                    values.push(done.value);
                    if !frame.printer.is_json() {
                        frame.printer.line(&done.text);
                    }
                    if let Some(hint) = &done.hint {
                        frame.printer.hint(hint);
                    }
                }
            }
            Err(error) => {
                exit = Exit::Problem;
                frame.printer.error(&format!("{}: {error:#}", app.id));
            }
        }
    }
    if frame.printer.is_json() {
        frame.printer.json(&values)?;
    }
    Ok(exit)
}

/// The entry that this application is to have.
fn wanted(
    frame: &mut Frame,
    options: &Connect,
    (app, binary): (&'static App, &Path),
) -> anyhow::Result<Value> {
    let key = if options.with_key { Some(key::of(frame, options, app)?) } else { None };
    if !options.http {
        let file = key.as_ref().map(|key| key.file.as_path());
        return Ok(entry::command(app, binary, &entry::words(frame), file));
    }
    let url = target::address(frame)?;
    let secret = key.as_ref().map(|key| key.secret.as_str());
    let entry = app.shape.address(&url, secret);
    entry
        .map(Value::Object)
        .ok_or_else(|| anyhow::anyhow!("{} only starts commands: leave --http out", app.name))
}

fn connect_one(
    wanted: &Value,
    (app, path): (&'static App, &Path),
    options: &Connect,
) -> anyhow::Result<Done> {
    let which = &options.which;
    let place = [app.group, which.name.as_str()];
    let before = file::read(path)?;
    let found = app.format.find(&before, &place);
    let there = found.as_ref().ok().cloned().flatten();
    match entry::look(found, wanted) {
        State::Connected => {
            let text = format!("{} is connected already: {}", app.name, path.display());
            let value = report(app, path, "unchanged");
            return Ok(Done { text, value, hint: None });
        }
        State::Foreign(why) if !options.force => anyhow::bail!(
            "`{}` in `{}` was made by hand ({why}): use --force to replace it, or another --name",
            which.name,
            path.display()
        ),
        State::Broken(wrong) => anyhow::bail!("`{}` cannot be read: {wrong}", path.display()),
        State::Absent | State::Differs(_) | State::Foreign(_) => {}
    }
    let merged = there.as_ref().and_then(|there| entry::merged(there, wanted));
    let entry = merged.or_else(|| wanted.as_object().cloned()).unwrap_or_default();
    let after = edited(app.format.set(&before, &place, &entry), path)?;
    write((app, path), (&before, &after), (which.dry_run, "connected"))
}

fn disconnect_one(
    (app, path): (&'static App, &Path),
    options: &Disconnect,
) -> anyhow::Result<Done> {
    let which = &options.which;
    let place = [app.group, which.name.as_str()];
    let before = file::read(path)?;
    let found = app.format.find(&before, &place);
    match entry::look(found, &Value::Null) {
        State::Absent => {
            let text = format!("{} is not connected: {}", app.name, path.display());
            return Ok(Done { text, value: report(app, path, "unchanged"), hint: None });
        }
        State::Foreign(why) if !options.force => anyhow::bail!(
            "`{}` in `{}` was made by hand ({why}): use --force to remove it",
            which.name,
            path.display()
        ),
        State::Broken(wrong) => anyhow::bail!("`{}` cannot be read: {wrong}", path.display()),
        State::Connected | State::Differs(_) | State::Foreign(_) => {}
    }
    let after = edited(app.format.remove(&before, &place), path)?;
    write((app, path), (&before, &after), (which.dry_run, "disconnected"))
}

fn edited(done: Result<String, edit::Refused>, path: &Path) -> anyhow::Result<String> {
    done.map_err(|refused| anyhow::anyhow!("`{}`: {refused}", path.display()))
}

/// Writes a file, or shows what would be written.
fn write(
    (app, path): (&'static App, &Path),
    (before, after): (&str, &str),
    (dry_run, word): (bool, &str),
) -> anyhow::Result<Done> {
    let difference = hidden(&difference(before, after));
    let mut value = report(app, path, if dry_run { "would change" } else { word });
    let put = |value: &mut Value, name: &str, text: &str| {
        if let Some(map) = value.as_object_mut() {
            map.insert(name.to_owned(), text.into());
        }
    };
    put(&mut value, "difference", &difference);
    if dry_run {
        let text = format!("{}\n{difference}", path.display());
        let hint = "nothing was changed: this was a dry run".to_owned();
        return Ok(Done { text, value, hint: Some(hint) });
    }
    let copy = file::replace(path, before, after)?;
    let mut text = format!("{}\n{difference}\n{word} {}", path.display(), app.name);
    if let Some(copy) = copy {
        text.push_str(&format!("; the file as it was is {}", copy.display()));
        put(&mut value, "backup", &copy.display().to_string());
    }
    let running = running::runs(app, path);
    put(&mut value, "running", if running { "yes" } else { "no" });
    let mut hint = format!("{}: {}", app.name, app.reload);
    if running {
        hint = format!(
            "{} runs and may write its file anew: quit it, look with `rapport connect` whether the \
             entry is as you want it, and start it again",
            app.name
        );
    }
    Ok(Done { text, value, hint: Some(hint) })
}

fn report(app: &App, path: &Path, what: &str) -> Value {
    json!({"application": app.id, "file": path.display().to_string(), "result": what})
}

/// A difference without the keys in it.
fn hidden(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("Bearer ") {
        let (head, tail) = rest.split_at(at + "Bearer ".len());
        out.push_str(head);
        out.push_str("[hidden]");
        rest = tail.trim_start_matches(|c: char| !matches!(c, '"' | '\'' | '\n'));
    }
    out + rest
}

/// Clients put the name before every tool's, and count to 64.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=32).contains(&name.len()) && name.chars().all(fits)
}

/// Puts a member into a JSON file of a client; every other byte stays.
///
/// # Errors
/// When the file cannot be read or written, or is no JSON.
pub(super) fn set_member(path: &Path, name: &str, value: &Value) -> anyhow::Result<()> {
    let before = file::read(path)?;
    let after = edit::set_value(&before, &[name], value)
        .map_err(|wrong| anyhow::anyhow!("`{}`: {wrong}", path.display()))?;
    replace_text(path, &before, &after)
}

/// Replaces a file of a client in one step; the one that was there stays beside it.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace_text(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    if before == after {
        return Ok(());
    }
    file::replace(path, before, after).map(drop)
}

/// The text of a file of a client; empty when there is none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    file::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_no_key() {
        let text = "+ \"Authorization\": \"Bearer rap_secret\"\n+ x = 'Bearer rap_2'\n";
        assert_eq!(
            hidden(text),
            "+ \"Authorization\": \"Bearer [hidden]\"\n+ x = 'Bearer [hidden]'\n"
        );
        assert!(is_name("rapport-2") && !is_name("") && !is_name("a.b") && !is_name("ü"));
        assert!(!is_name(&"x".repeat(33)));
    }
}
