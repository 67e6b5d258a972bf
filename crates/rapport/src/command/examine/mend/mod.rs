//! `rapport doctor --fix`: shows the safe changes to configuration files, and makes them.
//!
//! Invariant: only the files that were named, or that are lists of MCP servers or the configuration
//! of this product, are written, each with a copy beside it; nothing else on the machine changes.

mod entry;
mod moved;
mod own;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::command::{Frame, config, connect, given};
use crate::config::load;
use crate::runtime;

/// Limit: a larger file is no configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is done with the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// They are shown.
    Show,
    /// They are shown, and made when the user says so.
    Ask,
    /// They are shown and made.
    Make,
}

impl How {
    /// What the flags and the terminal say.
    pub(super) fn of(yes: bool, dry_run: bool) -> Self {
        match (yes, dry_run) {
            (_, true) => Self::Show,
            (true, false) => Self::Make,
            (false, false) if given::is_typed() => Self::Ask,
            (false, false) => Self::Show,
        }
    }
}

/// Mends files, after the server and its clients were moved from a port that cannot be had; `named`
/// are those of the command line. True when a file was changed.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn run(
    frame: &mut Frame,
    files: &[PathBuf],
    named: &[PathBuf],
    how: How,
) -> anyhow::Result<bool> {
    let moved = moved::run(frame, named, how)?;
    let mut changed = moved == Some(true);
    let mut found = moved.is_some();
    for path in files {
        let Some(plan) = plan(frame, path) else { continue };
        found = true;
        changed |= carry_out(frame, path, &plan, how)?;
    }
    if !found {
        frame.printer.note("there is nothing that could be mended safely");
    }
    Ok(changed)
}

/// What a file is to become.
struct Plan {
    before: Vec<u8>,
    after: String,
    notes: Vec<String>,
    /// It holds a secret that others can read.
    private: bool,
}

/// `None` when there is nothing to do.
fn plan(frame: &Frame, path: &Path) -> Option<Plan> {
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    if length > FILE_BYTES_MAX {
        return None;
    }
    let before = std::fs::read(path).ok()?;
    let text::Repaired { mut text, mut notes } = text::decoded(&before)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_loose = path.display().to_string().contains(".vscode") || name == "settings.json";
    let is_list = name.ends_with(".json") && !is_loose && !name.starts_with("rapport.");
    if is_list && let Some(repaired) = text::json(&text) {
        text = repaired.text;
        notes.extend(repaired.notes);
        let (mended, said) = entry::repaired(&text, &name, &machine(frame, path));
        text = mended;
        notes.extend(said);
    }
    if name.starts_with("rapport.") {
        let mut inputs = frame.inputs();
        inputs.file = Some(path.to_owned());
        if let Err(refused) = load(&inputs) {
            let (mended, said) = own::repaired(&text, &refused);
            text = mended;
            notes.extend(said);
        }
    }
    let ports = config::with_ports(&text);
    if ports != text {
        notes.push("wrote ports that exist".to_owned());
        text = ports;
    }
    let private = is_list && is_open(path) && has_secret(&text);
    if private {
        notes.push("lets only its owner read it (mode 600): it holds a secret".to_owned());
    }
    let same = text.as_bytes() == before.as_slice();
    (!same || private).then_some(Plan { before, after: text, notes, private })
}

fn machine(frame: &Frame, path: &Path) -> entry::Machine {
    let home = frame.env.home();
    let mut search: Vec<PathBuf> =
        std::env::split_paths(frame.env.get("PATH").unwrap_or_default()).collect();
    let usual = [".local/bin", ".cargo/bin", ".bun/bin", ".deno/bin", ".volta/bin"];
    search.extend(home.iter().flat_map(|home| usual.map(|folder| home.join(folder))));
    search.extend(["/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    let running = runtime::all(&frame.env);
    let own = match running.as_slice() {
        [only] => Some(only.url.trim_end_matches('/').to_owned()),
        _ => None,
    };
    let listening = ::doctor::sockets::listeners().ok();
    let listening = listening.map(|rows| rows.iter().map(|row| row.port).collect());
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    entry::Machine { home, search, listening, own, folder }
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_open(_path: &Path) -> bool {
    false
}

/// Whether an entry of the list has a secret in its environment.
fn has_secret(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return false };
    let servers = value.get("mcpServers").or_else(|| value.get("servers"));
    let servers = servers.and_then(serde_json::Value::as_object).into_iter().flatten();
    let variables =
        servers.filter_map(|(_, entry)| entry.get("env")?.as_object()).flat_map(|env| env.iter());
    let mut named = variables.filter(|(name, value)| {
        let name = name.to_ascii_uppercase();
        let words = ["KEY", "TOKEN", "SECRET", "PASSWORD"];
        let value = value.as_str().unwrap_or_default();
        words.iter().any(|word| name.ends_with(word)) && value.len() >= 8 && !value.starts_with('$')
    });
    named.next().is_some()
}

fn carry_out(frame: &mut Frame, path: &Path, plan: &Plan, how: How) -> anyhow::Result<bool> {
    let shown = path.display();
    frame.printer.note(&format!("{shown}:"));
    for note in &plan.notes {
        frame.printer.note(&format!("  {note}"));
    }
    let before = String::from_utf8_lossy(&plan.before);
    let difference = connect::difference(&without_secrets(&before), &without_secrets(&plan.after));
    // With --json standard output is the report's.
    if frame.printer.is_json() {
        frame.printer.note(difference.trim_end());
    } else {
        frame.printer.line(difference.trim_end());
    }
    let agreed = match how {
        How::Make => true,
        How::Show => false,
        How::Ask => given::agreed(frame, "make these changes?")?,
    };
    if !agreed {
        frame.printer.hint("nothing was changed; --fix --yes makes these changes");
        return Ok(false);
    }
    let copy = crate::data::backup_name(path);
    std::fs::copy(path, &copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
    // Written in place, so that owner, mode and links stay as they are.
    std::fs::write(path, &plan.after).with_context(|| format!("cannot write `{shown}`"))?;
    if plan.private {
        only_for_owner(path)?;
        only_for_owner(&copy)?;
    }
    frame.printer.note(&format!("changed; the file as it was is {}", copy.display()));
    Ok(true)
}

/// A text for people: what follows a name that sounds like a secret is left out.
fn without_secrets(text: &str) -> String {
    let names = ["key", "token", "secret", "password", "authorization"];
    let shown = text.lines().map(|line| {
        let lower = line.to_ascii_lowercase();
        let place = names.iter().filter_map(|name| lower.find(name)).min();
        match place.and_then(|at| Some((at, line.get(at..)?.find([':', '='])?))) {
            Some((at, sign)) => {
                let head = line.get(..=at + sign).unwrap_or_default();
                format!("{head} [hidden]")
            }
            None => line.to_owned(),
        }
    });
    shown.collect::<Vec<String>>().join("\n")
}

#[cfg(unix)]
fn only_for_owner(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode)
        .with_context(|| format!("cannot change the mode of `{}`", path.display()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn only_for_owner(_path: &Path) -> anyhow::Result<()> {
    Ok(())
}
