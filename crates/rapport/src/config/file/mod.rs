//! Reads configuration files into one tree with the line of every key.

mod json;
mod properties;
mod toml;
mod yaml;

use std::path::{Path, PathBuf};

use super::problem::{Findings, Place};

/// A value in a file, with the line (from 1) it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The line of the value, or of its key.
    pub(super) line: Option<u64>,
    /// What stands there.
    pub(super) what: What,
}

/// What stands at a place in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Nothing, or `null`.
    Nothing,
    /// Text, a number or a truth value, as it was written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Names and their values, in the order of the file.
    Map(Vec<(String, Node)>),
}

/// A syntax error: the problem, with line and column (from 1) where they are known.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
    pub(super) problem: String,
}

/// How a kind of file is read.
struct Format {
    endings: &'static [&'static str],
    /// What a syntax error is called, as users search for it.
    error: &'static str,
    read: fn(&str) -> Result<Node, Broken>,
}

/// The kinds of files, by ending; the order is also the order in which they are looked for.
const FORMATS: &[Format] = &[
    Format { endings: &["yaml", "yml"], error: "YAML syntax error", read: yaml::read },
    Format { endings: &["json"], error: "Invalid JSON", read: json::read },
    Format { endings: &["toml"], error: "TOML syntax error", read: toml::read },
    Format { endings: &["properties"], error: "properties syntax error", read: properties::read },
];

/// Limit: a larger configuration file is a mistake.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The configuration files that exist in `folder`, the one that counts first.
pub(super) fn find(folder: &Path) -> Vec<PathBuf> {
    let endings = FORMATS.iter().flat_map(|format| format.endings);
    endings
        .map(|ending| folder.join(format!("rapport.{ending}")))
        .filter(|path| path.is_file())
        .collect()
}

/// Reads `path`; what is wrong goes to `findings`, and the tree is `None` then.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Option<Node> {
    let at = |line| Place::File(path.to_owned(), line);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let ending = ending.to_ascii_lowercase();
    let Some(format) = FORMATS.iter().find(|format| format.endings.contains(&ending.as_str()))
    else {
        findings.problem(
            &at(None),
            "is no configuration file: its name ends with .yaml, .yml, .json, .toml or .properties",
        );
        return None;
    };
    let text = match text(path) {
        Ok(text) => text,
        Err(problem) => {
            findings.problem(&at(None), problem);
            return None;
        }
    };
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Some(Node { line: Some(1), what: What::Map(Vec::new()) });
    }
    match (format.read)(text) {
        Ok(node) => Some(node),
        Err(broken) => {
            let column =
                broken.column.map_or_else(String::new, |column| format!(" at column {column}"));
            findings
                .problem(&at(broken.line), format!("{}{column}: {}", format.error, broken.problem));
            None
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("has {length} bytes: a configuration has at most {FILE_BYTES_MAX}"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text: byte {at} is no character")
    })
}

/// The line (from 1) of a byte offset.
fn line_of(text: &str, offset: usize) -> u64 {
    let before = text.get(..offset).unwrap_or(text);
    u64::try_from(before.matches('\n').count()).unwrap_or(u64::MAX).saturating_add(1)
}

/// The column (from 1, in characters) of a byte offset.
fn column_of(text: &str, offset: usize) -> u64 {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    u64::try_from(line.chars().count()).unwrap_or(u64::MAX).saturating_add(1)
}
