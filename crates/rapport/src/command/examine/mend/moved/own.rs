//! The port of this product's server in its configuration, changed where it was written.

use std::path::Path;

use anyhow::ensure;
use serde_json::json;

use super::Move;
use crate::command::connect::{self, Change};
use crate::config::{Inputs, Loaded, Place, load};

/// The change that gives the server its new port.
///
/// # Errors
/// Where the port is written, when that cannot be changed from here.
pub(super) fn change(inputs: &Inputs, loaded: &Loaded, step: &Move) -> Result<Change, String> {
    let to = step.to;
    match loaded.place("server.port") {
        Place::File(path, line) => {
            let line = line.and_then(|line| usize::try_from(line).ok());
            line_of(&path, line, step)
        }
        Place::DotEnv(path, line, _) => line_of(&path, usize::try_from(line).ok(), step),
        Place::Variable(name) => Err(format!(
            "the variable {name} says {}, and wins over every file: set it to {to}, or unset it",
            step.from
        )),
        Place::Flag(name) => Err(format!("the flag {name} says it: write {to} there")),
        Place::Default => match &loaded.file {
            Some(path) => {
                let before = text(path)?;
                let after = added(path, &before, to)?;
                Ok(Change { path: path.clone(), before, after })
            }
            None => {
                let path = inputs.env.config_folder().join("rapport.yaml");
                let after = format!("server:\n  port: {to}\n");
                Ok(Change { path, before: String::new(), after })
            }
        },
    }
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}

/// The port replaced in the line where it stands; in any one line when that is not known.
fn line_of(path: &Path, line: Option<usize>, step: &Move) -> Result<Change, String> {
    let before = text(path)?;
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let led: Vec<String> = lines.iter().map(|line| step.text(line)).collect();
    let differs = |at: &usize| lines.get(*at).copied() != led.get(*at).map(String::as_str);
    // The line that is known is that of the value; a group may begin above it.
    let known = line.map(|line| line.saturating_sub(1)).filter(differs);
    let mut all = (0..lines.len()).filter(differs);
    let only = all.next().filter(|_| all.next().is_none());
    let Some(at) = known.or(only) else {
        let (shown, to) = (path.display(), step.to);
        return Err(format!(
            "`{shown}` says the port in a way that cannot be changed from here: write {to} there"
        ));
    };
    let after = (0..lines.len()).map(|row| {
        let new = led.get(row).map(String::as_str).filter(|_| row == at);
        new.or_else(|| lines.get(row).copied()).unwrap_or_default()
    });
    let after = after.collect();
    Ok(Change { path: path.to_owned(), before, after })
}

/// A configuration that says nothing of the port, with it.
fn added(path: &Path, before: &str, to: u16) -> Result<String, String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    match ending {
        "json" => connect::set_json(before, &["server", "port"], &json!(to))
            .ok_or_else(|| format!("`{}` is no JSON: mend it first", path.display())),
        // What stands first belongs to no table.
        "toml" => Ok(format!("port = {to}\n{before}")),
        "properties" => Ok(format!("{before}{end}server.port={to}\n")),
        _ => Ok(format!("{before}{end}port: {to}\n")),
    }
}

/// The configuration can be used and says the new port.
///
/// # Errors
/// What it says instead; the files are put back then.
pub(super) fn check(inputs: &Inputs, to: u16) -> anyhow::Result<()> {
    let port = match load(inputs) {
        Ok(loaded) => loaded.config.ports.port,
        Err(refused) => {
            anyhow::bail!("nothing was changed: the configuration would be refused: {refused}")
        }
    };
    ensure!(
        port == to,
        "nothing was changed: the configuration would still say {port}; write {to} by hand"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_line(text: &str, line: Option<usize>, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rapport.yaml");
        std::fs::write(&path, text).unwrap();
        let writings = vec!["61900".to_owned(), "619009".to_owned()];
        let step = Move { from: 61900, to: 61901, why: String::new(), runs: false, writings };
        match (line_of(&path, line, &step), expected) {
            (Ok(change), Ok(expected)) => assert_eq!(change.after, expected),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (other, _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_line_that_counts_changes() {
        let text = "server:\n  port: 61900 # mine\nproviders:\n  port: 61900\n";
        let after = text.replacen("61900", "61901", 1);
        check_line(text, Some(2), Ok(&after));
        check_line("a: 1\nport: 619009\n", None, Ok("a: 1\nport: 61901\n"));
        check_line(text, None, Err("write 61901 there"));
        check_line("port: ${PORT:-61900}\n", Some(1), Err("write 61901 there"));
    }

    #[test]
    fn a_file_that_says_nothing_gets_a_line() {
        let add = |name: &str, text: &str| added(Path::new(name), text, 8001).unwrap();
        assert_eq!(add("rapport.yaml", "log: {level: info}"), "log: {level: info}\nport: 8001\n");
        assert_eq!(
            add("rapport.toml", "[log]\nlevel = \"info\"\n"),
            "port = 8001\n[log]\nlevel = \"info\"\n"
        );
        assert_eq!(add("rapport.properties", ""), "server.port=8001\n");
        let json: serde_json::Value = serde_json::from_str(&add("rapport.json", "{}")).unwrap();
        assert_eq!(json["server"]["port"], 8001);
    }
}
