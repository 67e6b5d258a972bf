//! Points another program's configuration at an address for a while, and puts it back.
//!
//! Invariant: what was there is on disk before anything changes; so it comes back byte for byte,
//! also when this process was killed: then the next one restores it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::edit::Format;
use super::machine::Machine;
use super::wrap::{self, Entry, Through};
use super::{apps, file, target};
use crate::command::Frame;
use crate::data;

/// A place in a configuration that can be pointed elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command) struct Place {
    path: PathBuf,
    before: String,
    /// The address it leads to now, as `https://host:port`; nothing where only programs are meant.
    pub(in crate::command) leads_to: Option<String>,
    /// The servers that a command starts.
    started: Vec<Entry>,
}

/// What was changed, as it is kept on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    process: u32,
    path: PathBuf,
    before: String,
    after: String,
    /// Empty where only programs are started otherwise.
    leads_to: String,
    now_to: String,
    /// The program that stands before others.
    #[serde(default)]
    program: String,
    /// Whom it stands before.
    #[serde(default)]
    started: Vec<String>,
}

/// A configuration that leads to an address of ours; it is put back when this drops.
#[derive(Debug)]
pub(in crate::command) struct Attached {
    kept: Kept,
    note: PathBuf,
}

/// Finds what is to be pointed elsewhere: in a file, or in the one of a known application.
///
/// `wanted` is the address that is looked for, as `host:port`; without one the file must name
/// exactly one, or `server` says whose.
///
/// # Errors
/// When nothing fits, or more than one thing does.
pub(in crate::command) fn find(
    frame: &Frame,
    what: &str,
    server: Option<&str>,
    wanted: Option<&str>,
) -> anyhow::Result<Place> {
    let path = path_of(frame, what)?;
    let before = file::read(&path)?;
    if before.is_empty() {
        bail!("`{}` is not there, or empty", path.display());
    }
    let shown = path.display();
    let (urls, started) = named(&path, &before, server)?;
    let fitting: Vec<&String> = match wanted {
        Some(wanted) => urls.iter().filter(|url| is_same(url, wanted)).collect(),
        None => urls.iter().collect(),
    };
    let leads_to = match (fitting.as_slice(), wanted) {
        ([one], _) | ([one, ..], Some(_)) => Some((*one).clone()),
        ([], None) if !started.is_empty() => None,
        ([], _) if urls.is_empty() => {
            bail!("`{shown}` names no address; give the program its base URL by hand")
        }
        ([], _) => bail!(
            "`{shown}` has no address of `{}`; it has {}",
            wanted.unwrap_or_default(),
            urls.join(", ")
        ),
        _ => bail!("`{shown}` names {}: say which with --to or --server", urls.join(", ")),
    };
    Ok(Place { path, before, leads_to, started })
}

/// The addresses of a text and the servers that a command starts: of one server, or of all.
fn named(
    path: &Path,
    text: &str,
    server: Option<&str>,
) -> anyhow::Result<(Vec<String>, Vec<Entry>)> {
    let format = format_of(path);
    let readable = format.find(text, &[]);
    let mut all = wrap::entries(format, text);
    if let Some(server) = server {
        readable.map_err(|wrong| anyhow!("`{}`: {wrong}", path.display()))?;
        all.retain(|entry| entry.name == server);
        if all.is_empty() {
            bail!("`{}` has no server `{server}`", path.display());
        }
    }
    if all.is_empty() {
        return Ok((origins(text), Vec::new()));
    }
    let mut urls = Vec::new();
    for url in all.iter().filter_map(Entry::url).flat_map(origins) {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    all.retain(|entry| entry.command().is_some());
    Ok((urls, all))
}

fn path_of(frame: &Frame, what: &str) -> anyhow::Result<PathBuf> {
    let Some(app) = apps::find(&what.to_lowercase()) else {
        let path = std::path::absolute(what)?;
        if !path.is_file() {
            bail!("`{what}` is neither a file nor one of {}", apps::ids());
        }
        return Ok(path);
    };
    let machine = Machine::here(&frame.env);
    let files = target::files(app, &machine, false, false)?;
    let there = files.into_iter().find(|file| file.is_file());
    there
        .ok_or_else(|| anyhow!("{} has no file of servers yet: `rapport connect {what}`", app.name))
}

fn format_of(path: &Path) -> Format {
    if path.extension().is_some_and(|end| end == "toml") { Format::Toml } else { Format::Json }
}

/// The addresses of a text, each once, in their order: `scheme://host:port`.
fn origins(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let starts = text.match_indices("http").map(|(at, _)| at);
    for rest in starts.filter_map(|at| text.get(at..)) {
        let scheme = ["http://", "https://"].iter().find(|scheme| rest.starts_with(**scheme));
        let Some(scheme) = scheme else { continue };
        let after = rest.get(scheme.len()..).unwrap_or_default();
        let end = after.find(|c: char| !is_of_authority(c)).unwrap_or(after.len());
        let authority = after.get(..end).unwrap_or_default();
        let origin = format!("{scheme}{authority}");
        if !authority.is_empty() && !all.contains(&origin) {
            all.push(origin);
        }
    }
    all
}

fn is_of_authority(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']')
}

/// Whether an address leads to `host:port`; the names of this machine are one.
fn is_same(origin: &str, wanted: &str) -> bool {
    let plain = |text: &str| -> String {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let rest = match (has_port, scheme) {
            (true, _) => rest.to_owned(),
            (false, "http") => format!("{rest}:80"),
            (false, _) => format!("{rest}:443"),
        };
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest.as_str(), ""));
        let host = if ["127.0.0.1", "[::1]"].contains(&host) { "localhost" } else { host };
        format!("{}:{port}", host.to_ascii_lowercase())
    };
    plain(origin) == plain(wanted)
}

/// The text with every address that leads to `from` leading to `to`.
fn pointed(text: &str, from: &str, to: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(from) {
        let (head, tail) = rest.split_at(at);
        let after = tail.get(from.len()..).unwrap_or_default();
        out.push_str(head);
        // `http://host:80` also begins `http://host:8080`.
        let is_whole = !after.starts_with(is_of_authority);
        out.push_str(if is_whole { to } else { from });
        rest = after;
    }
    out + rest
}

/// Points a place at `to` (`http://host:port`), and keeps in `folder` what it was.
///
/// # Errors
/// When the file or the note about it cannot be written.
pub(in crate::command) fn attach(
    place: Place,
    to: &str,
    folder: &Path,
) -> anyhow::Result<Attached> {
    let Place { path, before, leads_to, started } = place;
    let program = std::env::current_exe().context("this program's own path is not known")?;
    let program = program.display().to_string();
    let mut after = before.clone();
    if let Some(from) = &leads_to {
        after = pointed(&after, from, to);
    }
    if !started.is_empty() {
        let format = format_of(&path);
        // An address that is pointed elsewhere may stand among what a program is given.
        let names: Vec<&String> = started.iter().map(|entry| &entry.name).collect();
        let mut now = wrap::entries(format, &after);
        now.retain(|entry| entry.command().is_some() && names.contains(&&entry.name));
        let through = Through { program: &program, to };
        let wrapped = wrap::wrapped((format, &after), &now, through);
        after = wrapped.map_err(|why| anyhow!("`{}`: {why}", path.display()))?;
    }
    data::private_folder(folder)?;
    let process = std::process::id();
    let kept = Kept {
        process,
        path,
        before,
        after,
        leads_to: leads_to.unwrap_or_default(),
        now_to: to.to_owned(),
        program,
        started: started.into_iter().map(|entry| entry.name).collect(),
    };
    let note = folder.join(format!("attached-{process}.json"));
    data::write_private(&note, serde_json::to_string(&kept)?.as_bytes())
        .with_context(|| format!("cannot write `{}`", note.display()))?;
    let attached = Attached { kept, note };
    let kept = &attached.kept;
    over(&kept.path, &kept.before, &kept.after)?;
    Ok(attached)
}

/// Replaces a file's text, and leaves no copy: the note is one.
fn over(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    if let Some(copy) = file::replace(path, before, after)? {
        std::fs::remove_file(&copy)
            .with_context(|| format!("cannot remove `{}`", copy.display()))?;
    }
    Ok(())
}

impl Attached {
    /// What was changed, a line each.
    pub(in crate::command) fn told(&self) -> Vec<String> {
        let Kept { path, leads_to, started, .. } = &self.kept;
        let path = path.display();
        let mut lines = Vec::new();
        if !leads_to.is_empty() {
            lines.push(format!("{path} leads here instead of to {leads_to} while this runs"));
        }
        if !started.is_empty() {
            let names = started.join("`, `");
            lines.push(format!("{path} starts `{names}` through the inspector while this runs"));
        }
        lines
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if put_back(&self.kept).is_ok() {
            // One that stays is looked at by the next run, and found to be done.
            let _gone = std::fs::remove_file(&self.note);
        }
    }
}

/// Puts a file back as it was; where its program wrote it anew meanwhile, only the address.
fn put_back(kept: &Kept) -> anyhow::Result<()> {
    let now = file::read(&kept.path)?;
    if now == kept.before {
        return Ok(());
    }
    let before = if now == kept.after {
        kept.before.clone()
    } else {
        let through = Through { program: &kept.program, to: &kept.now_to };
        let now = wrap::unwrapped((format_of(&kept.path), &now), &kept.before, through);
        if kept.leads_to.is_empty() { now } else { pointed(&now, &kept.now_to, &kept.leads_to) }
    };
    if before == now { Ok(()) } else { over(&kept.path, &now, &before) }
}

/// Puts back what processes that are gone had changed; one line for each file, and whether that
/// was done.
pub(in crate::command) fn recover(folder: &Path) -> Vec<(bool, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut said = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("attached-") || path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let kept = std::fs::read_to_string(&path).ok();
        let kept = kept.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let Some(kept) = kept.filter(|kept| !crate::runtime::is_alive(kept.process)) else {
            continue;
        };
        let shown = kept.path.display();
        match put_back(&kept) {
            Ok(()) => {
                let text =
                    format!("put `{shown}` back: an inspector that was killed had changed it");
                said.push((true, text));
                // As above.
                let _gone = std::fs::remove_file(&path);
            }
            Err(why) => {
                let (to, note) = (&kept.now_to, path.display());
                let text = format!(
                    "`{shown}` still leads to {to} and cannot be put back: {why:#}; {note} has \
                     what it was"
                );
                said.push((false, text));
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  // mine\n  \"mcpServers\": {\
                        \"a\": {\"url\": \"http://localhost:61900/mcp\"},\n\
                        \t\"b\": {\"url\" : \"http://localhost:619\"}, },\n}\r\n";

    fn place(path: &Path) -> Place {
        std::fs::write(path, TEXT).unwrap();
        let leads_to = Some("http://localhost:61900".to_owned());
        Place { path: path.to_owned(), before: TEXT.to_owned(), leads_to, started: Vec::new() }
    }

    #[test]
    fn addresses_are_found_and_names_of_this_machine_are_one() {
        assert_eq!(origins(TEXT), ["http://localhost:61900", "http://localhost:619"]);
        assert_eq!(
            origins("A=https://x.y/z\nB=http://[::1]:1?q"),
            ["https://x.y", "http://[::1]:1"]
        );
        assert!(is_same("http://127.0.0.1:61900", "localhost:61900"));
        assert!(is_same("https://api.x.com", "https://api.x.com:443"));
        assert!(!is_same("http://localhost:61900", "localhost:61901"));
        let text = pointed("http://h:80/a http://h:8080 http://h:80", "http://h:80", "X");
        assert_eq!(text, "X/a http://h:8080 X");
    }

    #[test]
    fn a_file_comes_back_byte_for_byte_also_when_its_program_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.json");
        let notes = dir.path().join("notes");
        let read = || std::fs::read_to_string(&path).unwrap();
        let attached = attach(place(&path), "http://127.0.0.1:8888", &notes).unwrap();
        assert!(read().contains("\"http://127.0.0.1:8888/mcp\"") && read().contains("// mine"));
        drop(attached);
        assert_eq!(read(), TEXT);
        assert_eq!(std::fs::read_dir(&notes).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no copies stay");
        let attached = attach(place(&path), "http://127.0.0.1:8888", &notes).unwrap();
        std::fs::write(&path, read() + "// new\n").unwrap();
        drop(attached);
        assert_eq!(read(), format!("{TEXT}// new\n"));
    }

    #[test]
    fn what_a_killed_process_left_is_put_back_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.json");
        let attached = attach(place(&path), "http://127.0.0.1:8888", dir.path()).unwrap();
        assert_eq!(recover(dir.path()), [], "its process is alive");
        // A kill drops nothing; and a number that no process has stands for one that is gone.
        let kept = Kept {
            process: i32::MAX as u32,
            ..serde_json::from_str(&std::fs::read_to_string(&attached.note).unwrap()).unwrap()
        };
        std::fs::write(&attached.note, serde_json::to_string(&kept).unwrap()).unwrap();
        let said = recover(dir.path());
        assert!(said[0].0 && said[0].1.starts_with("put `"), "{said:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        assert_eq!(recover(dir.path()), []);
    }
}
