//! What Claude Desktop wrote about its servers: the last trouble of each, and what it means.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Finding, Level};
use crate::command::connect::machine::{Machine, System, join};

/// Limit: how much of the end of a log is read.
const TAIL_BYTES: u64 = 128 * 1024;

/// Texts that mean something of their own in the log of this application.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "Maximum size is 1MB",
        "an answer was larger than the megabyte that Claude Desktop takes",
        "ask for less at once",
    ),
    (
        "is not valid JSON",
        "the server wrote something else than messages to its standard output",
        "let it log to standard error",
    ),
    (
        "Unexpected token",
        "the server wrote something else than messages to its standard output",
        "let it log to standard error",
    ),
    (
        "Request timed out",
        "the server did not answer `initialize` within 60 seconds, or a call in time",
        "start its command in a terminal and see how long it takes",
    ),
];
/// After this line what stood before is over.
const STARTED: &str = "Server started and connected successfully";

/// Looks at the log of each server.
pub(super) fn check<'n>(
    machine: &Machine,
    names: impl Iterator<Item = &'n String>,
) -> Vec<Finding> {
    let folders = folders(machine);
    let found = |name: &String| {
        let file = format!("mcp-server-{name}.log");
        let newest = folders
            .iter()
            .map(|folder| folder.join(&file))
            .filter(|path| path.is_file())
            .max_by_key(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())?;
        let (line, meaning, fix) = trouble(&tail(&newest)?)?;
        let text = format!("`{name}`: {meaning} (`{}`: {line})", newest.display());
        Some(Finding::new(Level::Warning, "log", text).fix(fix))
    };
    names.filter_map(found).collect()
}

/// The last trouble since the server was last started well.
fn trouble(text: &str) -> Option<(String, String, String)> {
    let recent = text.rsplit(STARTED).next().unwrap_or(text);
    recent.lines().rev().find_map(|line| {
        let own = KNOWN.iter().find(|(known, ..)| line.contains(known));
        let own = own.map(|(_, meaning, fix)| ((*meaning).to_owned(), (*fix).to_owned()));
        // What every server's log may say stands in one table.
        let (meaning, fix) = own.or_else(|| {
            let known = ::doctor::log::meaning(line)?;
            let fix = known.steps.into_iter().next();
            let fix = fix.map(|fix| fix.command.unwrap_or(fix.text)).unwrap_or_default();
            Some((known.cause, fix))
        })?;
        Some((line.trim().chars().take(160).collect(), meaning, fix))
    })
}

fn tail(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn folders(machine: &Machine) -> Vec<PathBuf> {
    match machine.system {
        System::MacOs => machine.below_home("Library/Logs/Claude"),
        System::Linux => machine.roaming().map(|r| join(&r, "Claude/logs")).into_iter().collect(),
        System::Windows => {
            let local = machine.local().map(|local| join(&local, "Claude/Logs"));
            let roaming = machine.roaming().map(|roaming| join(&roaming, "Claude/logs"));
            let private = machine.packages("Claude_").into_iter().flat_map(|package| {
                ["LocalCache/Local/Claude/Logs", "LocalCache/Roaming/Claude/logs"]
                    .map(|path| join(&package, path))
            });
            local.into_iter().chain(roaming).chain(private).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_counts_until_the_next_good_start() {
        let text = "x [error] spawn uvx ENOENT\n[info] Server transport closed unexpectedly\n";
        let (line, meaning, _) = trouble(text).unwrap();
        assert!(line.contains("closed") && meaning.contains("ended"), "{meaning}");
        let (_, meaning, fix) = trouble("ModuleNotFoundError: No module named 'mcp'").unwrap();
        assert!(meaning.contains("`mcp`") && fix == "python -m pip install mcp", "{meaning} {fix}");
        assert!(trouble(&format!("{text} {STARTED}\nall well\n")).is_none());
        assert!(trouble("nothing of interest").is_none());
    }
}
