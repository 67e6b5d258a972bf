//! When the server's port cannot be had: its configuration and every client of it move together.
//!
//! Invariant: all files change or none does, each with a copy beside it, and only after they were
//! shown; the program that holds the port is left alone.

mod own;

use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::port::LogicalMap;
use doctor::{Request, diagnose};

use super::{How, without_secrets};
use crate::command::connect::{self, Change, led};
use crate::command::{Frame, block_on, config, given};
use crate::config::{Config, Inputs, Loaded, load};
use crate::listen::{address, bind};
use crate::remote::client_file;
use crate::runtime;

/// Limit: a larger file is no configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long the program on the port may take to show that an entry means it.
const PATIENCE: Duration = Duration::from_secs(4);

/// From where to where, and why.
#[derive(Debug)]
struct Move {
    from: u16,
    to: u16,
    why: String,
    /// The server runs on the new port already.
    runs: bool,
    /// How the old port may be written.
    writings: Vec<String>,
}

impl Move {
    fn text(&self, text: &str) -> String {
        config::with_moved_port(text, &self.writings, self.to)
    }

    fn number(&self, text: &str) -> Option<String> {
        self.writings.iter().any(|known| known == text).then(|| self.to.to_string())
    }
}

/// All that changes.
#[derive(Debug, Default)]
struct Plan {
    changes: Vec<Change>,
    /// What to say of the change at the same place; empty for most.
    notes: Vec<String>,
    /// Entries that stay, and why.
    stay: Vec<String>,
    /// What must be started again.
    restart: Vec<String>,
}

/// Moves when the port cannot be had; `named` are the files of the command line. `None` when there
/// is no need, else whether files were changed.
///
/// # Errors
/// When a file cannot be written; then none was changed.
pub(super) fn run(frame: &mut Frame, named: &[PathBuf], how: How) -> anyhow::Result<Option<bool>> {
    let mut inputs = frame.inputs();
    // Flags of this command do not stay; files and variables do.
    inputs.flags.retain(|flag| !flag.key.starts_with("server."));
    let Ok(loaded) = load(&inputs) else { return Ok(None) };
    let Some(step) = block_on(needed(&loaded.config))? else { return Ok(None) };
    let own = loaded.file.clone().or_else(|| config::own_file(frame));
    if !named.is_empty() && !named.iter().any(|path| is_concerned(path, own.as_deref(), &step)) {
        return Ok(None);
    }
    frame.printer.note(&step.why);
    let plan = match plan(frame, (&inputs, &loaded), named, &step) {
        Ok(plan) => plan,
        Err(why) => {
            frame.printer.error(&format!("nothing was changed: {why}"));
            return Ok(Some(false));
        }
    };
    Ok(Some(carry_out(frame, (&inputs, &step), &plan, how)?))
}

/// Whether the port of the configuration cannot be had, and which one can.
async fn needed(config: &Config) -> Option<Move> {
    let from = config.ports.port;
    if from == 0 || config.ports.range.is_some() {
        return None;
    }
    let running = runtime::of_folder(&config.data);
    if running.as_ref().is_some_and(|running| running.port == from) {
        return None;
    }
    let wanted = address::addresses(&config.hosts).await.ok()?;
    let why = match bind::try_port(&wanted, from) {
        Err(bind::Refusal::Taken(text) | bind::Refusal::Denied(text)) => text,
        Ok(()) | Err(bind::Refusal::Other(_)) => return None,
    };
    // A server of ours with another folder: its clients mean it, and so does who asks here.
    if doctor::own::answers_at(from).await {
        return None;
    }
    let runs = running.is_some();
    let to = match running {
        Some(running) => running.port,
        None => doctor::port::suggest(from, 1).first().copied()?,
    };
    let why = why.split("; ").next().unwrap_or(&why).to_owned();
    Some(Move { from, to, why, runs, writings: writings(from, &config.ports.logical) })
}

/// The port itself, and the numbers that are names for it.
fn writings(port: u16, logical: &LogicalMap) -> Vec<String> {
    let names = logical.iter().filter(|(_, real)| *real == port).map(|(name, _)| name.to_owned());
    std::iter::once(port.to_string()).chain(names).collect()
}

fn is_concerned(path: &Path, own: Option<&Path>, step: &Move) -> bool {
    own.is_some_and(|own| same(own, path))
        || read(path).is_some_and(|text| step.text(&text) != text)
}

fn same(left: &Path, right: &Path) -> bool {
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    whole(left) == whole(right)
}

fn read(path: &Path) -> Option<String> {
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    (length <= FILE_BYTES_MAX).then(|| std::fs::read_to_string(path).ok()).flatten()
}

fn plan(
    frame: &Frame,
    (inputs, loaded): (&Inputs, &Loaded),
    named: &[PathBuf],
    step: &Move,
) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let own = own::change(inputs, loaded, step)?;
    plan.restart.push(if step.runs {
        "the server runs on the new port already".to_owned()
    } else {
        "rapport: start it with `rapport serve`".to_owned()
    });
    let settings = client_file::files(&frame.env);
    for path in named.iter().chain(&settings) {
        let known = plan.changes.iter().chain([&own]).any(|known| same(&known.path, path));
        let Some(before) = read(path).filter(|_| !known) else { continue };
        let after = step.text(&before);
        if after != before {
            plan.restart.push(format!("whatever reads {}", path.display()));
            plan.changes.push(Change { path: path.clone(), before, after });
        }
    }
    let at_work = at_work(frame, inputs, step)?;
    let stays =
        |path: &Path, name: &str| at_work.iter().any(|(file, entry)| file == path && entry == name);
    for list in lists(frame, inputs, step, &stays)? {
        let known = plan.changes.iter().any(|known| same(&known.path, &list.change.path));
        if !known {
            plan.restart.push(list.reload);
            plan.changes.push(list.change);
        }
    }
    let kept = at_work.iter().filter(|(path, _)| !named.iter().any(|named| same(named, path)));
    let kept = kept.map(|(path, name)| {
        let shown = path.display();
        format!("{shown}: `{name}` stays, the program on port {} answers it", step.from)
    });
    plan.stay = kept.collect();
    plan.notes = variables(frame, step);
    plan.changes.insert(0, own);
    Ok(plan)
}

/// Variables that lead to the old port: nobody can change them from here.
fn variables(frame: &Frame, step: &Move) -> Vec<String> {
    let leads = |value: &str| step.text(value) != value;
    let found = frame.env.iter().filter(|(name, value)| {
        let is_address =
            ["_URL", "_BASE", "_HOST", "_ENDPOINT"].iter().any(|end| name.ends_with(end));
        is_address && leads(value)
    });
    found
        .map(|(name, _)| {
            let to = step.to;
            format!(
                "the variable {name} still leads to the old port: set it to {to} where it is set"
            )
        })
        .collect()
}

fn lists(
    frame: &Frame,
    inputs: &Inputs,
    step: &Move,
    stays: &dyn Fn(&Path, &str) -> bool,
) -> Result<Vec<led::Led>, String> {
    let text = |text: &str| step.text(text);
    let number = |text: &str| step.number(text);
    let way = led::Way { text: &text, number: &number, stays };
    led::lists(&frame.env, &inputs.folder, &way)
}

/// Entries that the program which now holds the port answers: they may be meant for it.
fn at_work(frame: &Frame, inputs: &Inputs, step: &Move) -> Result<Vec<(PathBuf, String)>, String> {
    let lists = lists(frame, inputs, step, &|_, _| false)?;
    let entries = lists.into_iter().flat_map(|list| {
        let path = list.change.path;
        list.entries.into_iter().map(move |(name, url)| (path.clone(), name, url))
    });
    let entries: Vec<_> = entries.collect();
    let looked = block_on(async {
        let mut found = Vec::new();
        let mut known: Vec<(String, bool)> = Vec::new();
        for (path, name, url) in entries {
            let Some(url) = url else { continue };
            let before = known.iter().find(|(other, _)| *other == url).map(|(_, works)| *works);
            let works = match before {
                Some(works) => works,
                None => answers(&url).await,
            };
            known.push((url, works));
            if works {
                found.push((path, name));
            }
        }
        found
    });
    looked.map_err(|error| error.to_string())
}

async fn answers(url: &str) -> bool {
    let target = Some(url.to_owned());
    let request = Request { target, mcp: true, deadline: PATIENCE, ..Request::default() };
    let report = diagnose(&request).await;
    report.is_healthy() || report.verdict.id == "mcp.auth_required"
}

fn carry_out(
    frame: &mut Frame,
    (inputs, step): (&Inputs, &Move),
    plan: &Plan,
    how: How,
) -> anyhow::Result<bool> {
    let (from, to) = (step.from, step.to);
    let count = plan.changes.len();
    frame.printer.note(&format!("{to} is free: {count} files move from port {from} to {to}"));
    for change in &plan.changes {
        let new = if change.before.is_empty() { " (new)" } else { "" };
        frame.printer.note(&format!("{}{new}:", change.path.display()));
        let shown = difference(&change.before, &change.after);
        // With --json standard output is the report's.
        if frame.printer.is_json() {
            frame.printer.note(&shown);
        } else {
            frame.printer.line(&shown);
        }
    }
    for note in plan.stay.iter().chain(&plan.notes) {
        frame.printer.note(note);
    }
    let agreed = match how {
        How::Make => true,
        How::Show => false,
        How::Ask => given::agreed(frame, "make all these changes?")?,
    };
    if !agreed {
        frame.printer.hint("nothing was changed; --fix --yes makes these changes");
        return Ok(false);
    }
    let copies = connect::replace_all(&plan.changes, || own::check(inputs, to))?;
    for copy in copies.iter().flatten() {
        frame.printer.note(&format!("changed; the file as it was is {}", copy.display()));
    }
    frame.printer.note("what has to be started again:");
    for what in &plan.restart {
        frame.printer.note(&format!("  {what}"));
    }
    Ok(true)
}

/// Each line that differs, where lines were only changed; else the part that did. No secrets.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old.len() != new.len() {
        let difference = connect::difference(&without_secrets(before), &without_secrets(after));
        return difference.trim_end().to_owned();
    }
    let changed = old.iter().zip(&new).filter(|(old, new)| old != new);
    let line = |(old, new): (&&str, &&str)| {
        let shown = (without_secrets(old), without_secrets(new));
        // A secret on the same line hides what stands behind it.
        let (old, new) = if shown.0 == shown.1 { differing(old, new) } else { shown };
        format!("- {old}\n+ {new}")
    };
    changed.map(line).collect::<Vec<String>>().join("\n")
}

/// The word in which two lines differ.
fn differing(old: &str, new: &str) -> (String, String) {
    let ends = ['"', '\'', ' ', ',', '='];
    let same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let start = old.get(..same).and_then(|head| head.rfind(ends)).map_or(0, |at| at + 1);
    let word = |line: &str| {
        let rest = line.get(start..).unwrap_or_default();
        let word = rest.split(ends).next().unwrap_or_default();
        format!("… {word} …")
    };
    (word(old), word(new))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_shows_every_change_and_no_secret() {
        let line =
            "{\"api_key\": \"abc\", \"url\": \"http://localhost:1/mcp\", \"b\": 2}\nx\nport: 1\n";
        let shown = difference(line, &line.replace(":1/", ":2/").replace(": 1\n", ": 2\n"));
        let expected = "- … http://localhost:1/mcp …\n+ … http://localhost:2/mcp …\n\
                        - port: 1\n+ port: 2";
        assert_eq!(shown, expected);
    }
}
