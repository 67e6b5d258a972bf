//! Finds ports and addresses in any text: YAML, TOML, properties, .env, compose, nginx, scripts.

use std::path::Path;

use super::verdict;
use crate::port::{LogicalMap, Place, parse};
use crate::report::{Fix, Verdict};
use crate::target::Target;

/// An address of this machine that stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The line, from 1.
    pub(super) line: usize,
    pub(super) url: String,
}

/// Names after which a number is a port.
const PORT_NAMES: &[&str] = &["port", "expose", "listen", "-p", "ports"];

/// Every number that stands where a port does and is none; `names` are the logical names that the
/// file's program understands.
pub(super) fn ports(path: &Path, text: &str, names: Option<&LogicalMap>) -> Vec<Verdict> {
    let shown = path.display();
    let mut found = Vec::new();
    for (number, line) in lines(text) {
        for digits in port_numbers(line) {
            if names.is_some_and(|names| names.port(digits).is_some()) {
                continue;
            }
            let place = Place::File { path: path.to_owned(), line: Some(number) };
            let Err(invalid) = parse(digits, place) else { continue };
            if invalid.problem != crate::port::Problem::OutOfRange {
                continue;
            }
            let meant = invalid.candidates.first();
            let meant =
                meant.map_or_else(String::new, |port| format!(", and {port} was probably meant"));
            let sentence = format!("line {number} of {shown}: {digits} is no TCP port{meant}");
            let fix = match invalid.candidates.first() {
                Some(port) => Fix::run(
                    "write a port from 1 to 65535",
                    format!("sed -i '{number}s/{digits}/{port}/' {shown}"),
                ),
                None => Fix::say("write a port from 1 to 65535"),
            };
            let evidence = format!("{shown}:{number}: {}", shorten(line));
            found.push(verdict("config.port_out_of_range", sentence, &evidence, fix));
        }
    }
    found
}

/// A line for people; what follows a name that sounds like a secret is left out.
fn shorten(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    if ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word)) {
        return "[not shown: it may hold a secret]".to_owned();
    }
    line.trim().chars().take(80).collect()
}

/// The lines that are no comments, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| {
        let start = line.trim_start();
        !(start.starts_with('#') || start.starts_with("//") || start.starts_with(';'))
    })
}

fn port_numbers(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) =
        line.get(from..).and_then(|rest| rest.find(|c: char| c.is_ascii_digit()))
    {
        let start = from + start;
        let rest = line.get(start..).unwrap_or_default();
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, digits) = (line.get(..start), rest.get(..length));
        let after = rest.get(length..).unwrap_or_default();
        if let (Some(before), Some(digits)) = (before, digits)
            && is_port_place(before, after)
        {
            found.push(digits);
        }
        from = start + length;
    }
    found
}

fn is_port_place(before: &str, after: &str) -> bool {
    if after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '-')) {
        return false;
    }
    let bare = before.trim_end_matches([' ', '\t', '"', '\'', '=', ':', '[']);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = bare.chars().rev().take_while(|c| is_name(*c)).collect();
    let name: String = name.chars().rev().collect::<String>().to_ascii_lowercase();
    // A number that is part of a word or a decimal is no port.
    if bare.len() == before.len() {
        return false;
    }
    let is_host = name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok();
    if before.ends_with(':') && (is_host || bare.ends_with(']')) {
        return true;
    }
    let mapping = after.starts_with(':') && before.trim_start().trim_start_matches("- ").len() <= 1;
    let is_port = PORT_NAMES.iter().any(|word| name == *word || name.ends_with("port"));
    is_port || (mapping && before.trim_start().starts_with('-'))
}

/// The addresses of this machine in a text, each once.
pub(super) fn addresses(text: &str) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for (line, content) in lines(text) {
        for scheme in ["http://", "https://", "ws://", "wss://"] {
            for (at, _) in content.match_indices(scheme) {
                let before = content.get(..at).and_then(|head| head.chars().next_back());
                if before.is_some_and(|c| c.is_ascii_alphanumeric()) {
                    continue;
                }
                let rest = content.get(at..).unwrap_or_default();
                let stop = |c: char| c.is_whitespace() || "\"'`<>,;)]}|\\".contains(c);
                // The brackets of IPv6 stand at the beginning of the host.
                let host = rest.find("://[").map_or(0, |_| rest.find(']').map_or(0, |end| end + 1));
                let tail = rest.get(host..).unwrap_or_default();
                let end = host + tail.find(stop).unwrap_or(tail.len());
                let url = rest.get(..end).unwrap_or(rest).to_owned();
                let is_here = Target::parse(&url).is_ok_and(|target| {
                    crate::check::is_loopback_host(&target.host) && !url.contains(['$', '{', '*'])
                });
                if is_here && !found.iter().any(|known| known.url == url) {
                    found.push(Address { line, url });
                }
            }
        }
    }
    found
}
