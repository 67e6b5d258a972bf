//! What a program last wrote to its log, and what that means.
//!
//! The texts that are known are those of [`crate::knowledge`]; what stands here finds the line.

mod sources;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

pub(crate) use sources::{Source, expected, outputs};

use crate::knowledge::explain_log;
use crate::report::Fix;
use crate::sockets::redact;

/// Limit: how much of the end of a log is read.
const TAIL_BYTES: u64 = 128 * 1024;

/// Limit: lines from the end among which the trouble is looked for.
const LINES_MAX: usize = 300;

/// Lines of a server that started well: what stands before is over.
const STARTED: &[&str] = &[
    "application startup complete",
    "is listening on",
    "listening at",
    "listening on http",
    "listening on port",
    "ready to accept connections",
    "running on http",
    "server listening on",
    "server started",
    "serving http on",
];

/// Words of a line that tells of a fault, known or not.
const FAULTS: &[&str] = &[
    "critical",
    "error",
    "exception",
    "fatal",
    "panic:",
    "panicked at",
    "segmentation fault",
    "traceback",
];

/// The line of a log that tells what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The line, short and without secrets.
    pub line: String,
    /// Its number in what was read, from 1.
    pub number: usize,
    /// What it means, when that is known.
    pub meaning: Option<Meaning>,
}

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The verdict id of the same cause.
    pub id: String,
    /// The cause in one sentence.
    pub cause: String,
    /// What to do, in order.
    pub steps: Vec<Fix>,
}

/// The last trouble in a log, since its program last started well: one whose meaning is known,
/// else the last line that tells of a fault.
#[must_use]
pub fn trouble(text: &str) -> Option<Trouble> {
    let all: Vec<&str> = text.lines().collect();
    let last = all.iter().enumerate().rev().take(LINES_MAX);
    let recent: Vec<(usize, &str)> = last
        .map(|(at, line)| (at, *line))
        .take_while(|(_, line)| !has_any(line, STARTED))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let found = |(at, line): (usize, &str), meaning: Option<Meaning>| Trouble {
        line: redact::line(line.trim()),
        number: at + 1,
        meaning,
    };
    let known = recent.iter().find_map(|(at, line)| Some(found((*at, line), Some(meaning(line)?))));
    known.or_else(|| {
        let other = recent.iter().find(|(_, line)| has_any(line, FAULTS));
        other.map(|(at, line)| found((*at, line), None))
    })
}

fn has_any(line: &str, words: &[&str]) -> bool {
    let line = line.to_ascii_lowercase();
    words.iter().any(|word| line.contains(word))
}

/// What one line of a log means; `None` when it tells of no trouble that is known.
#[must_use]
pub fn meaning(line: &str) -> Option<Meaning> {
    if let Some((what, install)) = dependency(line) {
        return Some(Meaning {
            id: "start.missing_dependency".to_owned(),
            cause: format!("it needs `{what}`, which is not installed where it runs"),
            steps: vec![Fix::run("install it in the environment that starts the server", install)],
        });
    }
    let found = explain_log(line)?;
    let steps = found.steps.into_iter().map(Fix::say).collect();
    Some(Meaning { id: found.id, cause: found.cause, steps })
}

/// A package that a program could not import, and the command that installs it.
pub(crate) fn dependency(text: &str) -> Option<(String, String)> {
    let quoted = |after: &str| {
        let rest = text.split_once(after)?.1;
        let rest = rest.trim_start_matches([' ', ':', '\'', '"']);
        let name = rest.split(['\'', '"', '\n', ' ']).next()?;
        (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
    };
    if let Some(name) = quoted("No module named") {
        let root = name.split('.').next().filter(|root| is_plain(root))?.to_owned();
        return Some((name, format!("python -m pip install {root}")));
    }
    let name = quoted("Cannot find module").or_else(|| quoted("Cannot find package"))?;
    let install = format!("npm install {}", package(&name)?);
    Some((name, install))
}

/// Anybody may write into a log: what goes into a command is a name, and no flag, no address and no
/// word of a shell.
fn is_plain(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..100).contains(&name.len()) && !name.starts_with(['-', '.']) && name.chars().all(is_part)
}

/// The package of npm in which a module is: `a` of `a/b/c`, `@a/b` of `@a/b/c`.
fn package(module: &str) -> Option<&str> {
    let (scope, rest) = match module.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').map(|(scope, rest)| (Some(scope), rest))?,
        None => (None, module),
    };
    let name = rest.split('/').next()?;
    let is_one = is_plain(name) && scope.is_none_or(is_plain);
    is_one.then(|| module.get(..module.len() - rest.len() + name.len())).flatten()
}

/// A name in capitals in a line that says that something is not set.
pub(crate) fn variable(text: &str) -> Option<String> {
    const WORDS: &[&str] =
        &["not set", "required", "missing", "must be set", "undefined", "KeyError"];
    let lines = text.lines().rev();
    lines.filter(|line| WORDS.iter().any(|word| line.contains(word))).find_map(|line| {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = words.into_iter().find(|word| {
            word.len() > 3
                && word.contains('_')
                && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })?;
        Some(name.to_owned())
    })
}

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Whose log it is, and where.
    pub(crate) place: String,
    /// When it was last written.
    pub(crate) age: Option<Duration>,
    pub(crate) trouble: Option<Trouble>,
    /// The last line of all.
    pub(crate) last: Option<String>,
}

impl Said {
    /// "server.log:12 (written 3 s ago): `…`", of the trouble or else of the last line.
    pub(crate) fn line(&self) -> Option<String> {
        let (number, line) = match (&self.trouble, &self.last) {
            (Some(trouble), _) => (format!(", line {}", trouble.number), &trouble.line),
            (None, Some(last)) => (String::new(), last),
            (None, None) => return None,
        };
        let age = self.age.map_or_else(String::new, |age| format!(", written {} ago", span(age)));
        Some(format!("{}{number}{age}: {line}", self.place))
    }
}

/// Reads the end of a log; `None` when it is no file, or may not be read.
pub(crate) fn read(source: &Source) -> Option<Said> {
    let text = crate::tail::tail(&source.path, TAIL_BYTES)?;
    let length = std::fs::metadata(&source.path).ok()?.len();
    let mut trouble = trouble(&text);
    if length > TAIL_BYTES {
        // The beginning was not read, so nobody knows how many lines there are.
        let lines = text.lines().count();
        trouble = trouble.map(|found| Trouble { number: lines - found.number + 1, ..found });
    }
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let place = source.place(length > TAIL_BYTES);
    let last = last.map(|line| redact::line(line.trim()));
    Some(Said { place, age: age(&source.path), trouble, last })
}

fn age(path: &Path) -> Option<Duration> {
    let written = std::fs::metadata(path).ok()?.modified().ok()?;
    let written = jiff::Timestamp::try_from(written).ok()?;
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(written.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

fn span(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
