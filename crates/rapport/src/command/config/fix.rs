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

/// The text with `to` where one of `writings` stands as the port of this machine, or as the value
/// of a name that ends with `port`; ports of other machines stay.
pub(super) fn moved(text: &str, writings: &[String], to: u16) -> String {
    let new = |number: &str, spot: &Spot| {
        let is_here = match spot {
            Spot::Named => true,
            Spot::Host(host) => is_this_machine(host),
        };
        (is_here && writings.iter().any(|written| written == number)).then_some(to)
    };
    text.split_inclusive('\n').map(|line| with_numbers(line, &new)).collect()
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

fn fix_line(line: &str, map: &LogicalMap) -> String {
    with_numbers(line, &|number, _| match parse(number, Place::Argument) {
        Err(_) => map.port(number).or_else(|| candidates(number).first().copied()),
        Ok(_) => None,
    })
}

/// Why a number is taken for a port.
#[derive(Debug, PartialEq, Eq)]
enum Spot {
    /// It is the value of a name that ends with `port`.
    Named,
    /// It stands behind the colon of this host.
    Host(String),
}

/// The line with what `new` says in the places of ports.
fn with_numbers(line: &str, new: &dyn Fn(&str, &Spot) -> Option<u16>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (number, after) = digits.split_at(end);
        out.push_str(before);
        match spot(&out, after).and_then(|spot| new(number, &spot)) {
            Some(port) => out.push_str(&port.to_string()),
            None => out.push_str(number),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A port stands after a name with `port` in it, or after the colon of an address.
fn spot(before: &str, after: &str) -> Option<Spot> {
    if after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.')) {
        return None;
    }
    let bare = before.trim_end_matches([' ', '\t', '"', '\'', '=', ':']);
    // A number that is part of a word or a decimal is no port.
    if bare.len() == before.len() {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = bare.chars().rev().take_while(|c| is_name(*c)).collect();
    let name: String = name.chars().rev().collect::<String>().to_ascii_lowercase();
    if name.ends_with("port") {
        return Some(Spot::Named);
    }
    if !before.ends_with(':') {
        return None;
    }
    if let Some(inside) = bare.strip_suffix(']') {
        return Some(Spot::Host(inside.rsplit('[').next().unwrap_or(inside).to_owned()));
    }
    is_host(&name).then_some(Spot::Host(name))
}

fn is_host(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether a host is this machine, whatever its other names are.
fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::{fix_line, moved};
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

    #[test]
    fn a_port_moves_where_it_is_the_one_of_this_machine() {
        let writings = ["61900".to_owned(), "619009".to_owned()];
        for (line, expected) in [
            ("url: http://localhost:61900/mcp\n", "url: http://localhost:8001/mcp\n"),
            ("MCP_PORT=61900", "MCP_PORT=8001"),
            ("port: 619009 # home", "port: 8001 # home"),
            ("at [::1]:61900 and 127.0.0.1:61900", "at [::1]:8001 and 127.0.0.1:8001"),
        ] {
            assert_eq!(moved(line, &writings, 8001), expected);
        }
        for same in
            ["http://192.168.1.5:61900/", "port: 61901", "tokens: 61900", "[2001:db8::1]:61900"]
        {
            assert_eq!(moved(same, &writings, 8001), same);
        }
    }
}
