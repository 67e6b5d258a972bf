//! `rapport config fix`: replaces numbers that cannot be ports, after showing the difference.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use doctor::port::{LogicalMap, Place, candidates, parse};

use super::super::Frame;
use crate::print::Exit;

/// Limit: a larger file is no configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A line that changes.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    line: usize,
    was: String,
    is: String,
}

/// Shows what would change, and changes it when `yes` is given.
pub(super) fn run(frame: &mut Frame, file: Option<&Path>, yes: bool) -> anyhow::Result<Exit> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => own(frame).context("there is no configuration file here: name one")?,
    };
    let length = std::fs::metadata(&path).map(|file| file.len());
    let length = length.with_context(|| format!("cannot read `{}`", path.display()))?;
    ensure!(length <= FILE_BYTES_MAX, "`{}` is too large for a configuration", path.display());
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let (fixed, changes) = fix(&text, &LogicalMap::default());
    if changes.is_empty() {
        frame.printer.line(&format!("{}: every port is a port", path.display()));
        return Ok(Exit::Fine);
    }
    for change in &changes {
        let (line, was, is) = (change.line, &change.was, &change.is);
        frame.printer.line(&format!("{}:{line}\n- {was}\n+ {is}", path.display()));
    }
    if !yes {
        frame.printer.hint("nothing was changed; use --yes to write it");
        return Ok(Exit::Problem);
    }
    let copy = crate::data::backup_name(&path);
    std::fs::copy(&path, &copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
    // Written in place, so that owner, mode and links stay as they are.
    std::fs::write(&path, fixed).with_context(|| format!("cannot write `{}`", path.display()))?;
    frame.printer.line(&format!("changed; the file as it was is {}", copy.display()));
    Ok(Exit::Fine)
}

/// The configuration file that counts, also when it cannot be used.
pub(super) fn own(frame: &Frame) -> Option<PathBuf> {
    let inputs = frame.inputs();
    if let Some(file) = inputs.file {
        return Some(file);
    }
    let endings = ["yaml", "yml", "json", "toml", "properties"];
    [inputs.folder, inputs.env.config_folder()]
        .iter()
        .flat_map(|folder| endings.map(|ending| folder.join(format!("rapport.{ending}"))))
        .find(|path| path.is_file())
}

/// The text with every number replaced that stands where a port does and is none.
pub(super) fn fixed(text: &str) -> String {
    fix(text, &LogicalMap::default()).0
}

/// Replaces every number that stands where a port does and is none.
fn fix(text: &str, map: &LogicalMap) -> (String, Vec<Change>) {
    let mut fixed = String::with_capacity(text.len());
    let mut changes = Vec::new();
    for (at, line) in (1..).zip(text.split_inclusive('\n')) {
        let new = fix_line(line, map);
        if new != line {
            changes.push(Change {
                line: at,
                was: line.trim_end().to_owned(),
                is: new.trim_end().to_owned(),
            });
        }
        fixed.push_str(&new);
    }
    (fixed, changes)
}

/// A port stands after a name with `port` in it, or after the colon of an address.
fn fix_line(line: &str, map: &LogicalMap) -> String {
    let mut new = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (number, after) = digits.split_at(end);
        new.push_str(before);
        let replacement = match parse(number, Place::Argument) {
            Err(_) if is_port_place(&new, after) => {
                map.port(number).or_else(|| candidates(number).first().copied())
            }
            _ => None,
        };
        match replacement {
            Some(port) => new.push_str(&port.to_string()),
            None => new.push_str(number),
        }
        rest = after;
    }
    new.push_str(rest);
    new
}

fn is_port_place(before: &str, after: &str) -> bool {
    if after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.')) {
        return false;
    }
    let bare = before.trim_end_matches([' ', '\t', '"', '\'', '=', ':']);
    // A number that is part of a word or a decimal is no port.
    if bare.len() == before.len() {
        return false;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = bare.chars().rev().take_while(|c| is_name(*c)).collect();
    let name: String = name.chars().rev().collect::<String>().to_ascii_lowercase();
    let after_colon = before.ends_with(':');
    name.ends_with("port") || (after_colon && (is_host(&name) || bare.ends_with(']')))
}

fn is_host(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::fix_line;
    use doctor::port::LogicalMap;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(fix_line(line, &LogicalMap::default()), expected);
    }

    #[test]
    fn ports_that_are_none_are_replaced_and_everything_else_stays() {
        check("  port: 619009 # home\n", "  port: 61900 # home\n");
        check("\"mcp_port\": \"619009\",", "\"mcp_port\": \"61900\",");
        check("listener_port=6199009", "listener_port=61900");
        check("url: http://localhost:619009/mcp", "url: http://localhost:61900/mcp");
        check("addr = \"127.0.0.1:619009\"", "addr = \"127.0.0.1:61900\"");
        check("to = [::1]:619009", "to = [::1]:61900");
        for same in [
            "port: 61900",
            "limit: 619009",
            "  619009: 61900",
            "report619009: 1",
            "time: 12:619009",
            "port: 619009.5",
        ] {
            check(same, same);
        }
    }
}
