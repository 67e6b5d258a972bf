//! Changes one table of a TOML file, and leaves every other byte.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::read::Wrong;

/// The table `[group.name]`; `None` when it is not there.
pub(in super::super) fn find(text: &str, path: &[&str]) -> Result<Option<Value>, Wrong> {
    let mut value: Value = toml::from_str(text).map_err(|cause| wrong(text, &cause))?;
    for name in path {
        match value.get_mut(name) {
            Some(found) => value = found.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The text with this table behind everything that is there.
pub(in super::super) fn add(text: &str, path: &[&str], entry: &Map<String, Value>) -> String {
    let end = line_end(text);
    let mut out = text.trim_end().to_owned();
    if !out.is_empty() {
        out.push_str(end);
        out.push_str(end);
    }
    let names: Vec<String> = path.iter().map(|name| key(name)).collect();
    out.push_str(&format!("[{}]{end}", names.join(".")));
    for (name, value) in entry {
        out.push_str(&format!("{} = {}{end}", key(name), literal(value)));
    }
    out
}

/// The text with this key of the table set, or taken away.
pub(in super::super) fn change(
    text: &str,
    path: &[&str],
    (name, value): (&str, Option<&Value>),
) -> Result<String, Wrong> {
    let longer: Vec<&str> = path.iter().copied().chain([name]).collect();
    let end = line_end(text);
    let line = value.map(|value| format!("{} = {}{end}", key(name), literal(value)));
    if let Some(span) = place(text, &longer)? {
        let (start, stop) = (span.start, span.end);
        if let Some(value) = value {
            return Ok(replaced(text, start..stop, &literal(value)));
        }
        let line_start = text.get(..start).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
        let rest = text.get(stop..).unwrap_or_default();
        let line_stop = rest.find('\n').map_or(text.len(), |at| stop + at + 1);
        return Ok(replaced(text, line_start..line_stop, ""));
    }
    // It may stand as a table of its own: `[group.name.env]`.
    let text = remove(text, &longer);
    let Some(line) = line else { return Ok(text) };
    let header = headers(&text).into_iter().find(|header| header.path == path);
    Ok(match header {
        Some(header) => replaced(&text, header.end..header.end, &line),
        None => text,
    })
}

/// The text without this table and those below it.
pub(in super::super) fn remove(text: &str, path: &[&str]) -> String {
    let mut out = text.to_owned();
    loop {
        let all = headers(&out);
        let found = all.iter().position(|header| {
            path.len() <= header.path.len() && header.path.iter().zip(path).all(|(a, b)| a == b)
        });
        let Some(at) = found else { return out };
        let (Some(header), next) = (all.get(at), all.get(at + 1)) else { return out };
        let mut stop = next.map_or(out.len(), |next| next.start);
        // Remarks right above the next table are its own.
        if next.is_some() {
            let body = out.get(header.end..stop).unwrap_or_default();
            stop = header.end + belongs(body);
        }
        let mut start = header.start;
        if next.is_none() {
            start = out.get(..start).map_or(0, |t| t.trim_end().len());
            let kept = out.get(..start).unwrap_or_default();
            let end = if kept.is_empty() { "" } else { line_end(&out) };
            out = format!("{kept}{end}");
        } else {
            out = replaced(&out, start..stop, "");
        }
    }
}

/// The length of a table's body without the remarks and empty lines at its end.
fn belongs(body: &str) -> usize {
    let mut kept = 0;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        at += line.len();
        if !line.trim_start().starts_with('#') && !line.trim().is_empty() {
            kept = at;
        }
    }
    // The empty lines go with the table, its remarks stay.
    let rest = body.get(kept..).unwrap_or_default();
    kept + (rest.len() - rest.trim_start_matches(['\r', '\n']).len())
}

/// A line `[a.b]`, or `[[a.b]]`.
struct Header {
    path: Vec<String>,
    start: usize,
    /// Behind its line's end.
    end: usize,
}

fn headers(text: &str) -> Vec<Header> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if !line.trim_start().starts_with('[') {
            continue;
        }
        let Ok(Value::Object(table)) = toml::from_str::<Value>(line.trim()) else { continue };
        found.push(Header { path: names(table), start, end: at });
    }
    found
}

fn names(mut table: Map<String, Value>) -> Vec<String> {
    let mut path = Vec::new();
    while let Some((name, value)) = table.into_iter().next() {
        path.push(name);
        table = match value {
            Value::Object(table) => table,
            _ => Map::new(),
        };
    }
    path
}

/// Where the value of this key stands, when it is written as `key = value`.
fn place(text: &str, path: &[&str]) -> Result<Option<Range<usize>>, Wrong> {
    let table = DeTable::parse(text).map_err(|cause| wrong(text, &cause))?;
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let mut value = table.get_ref().get(*first);
    for name in rest {
        value = value.and_then(|v| v.get_ref().as_table()).and_then(|table| table.get(*name));
    }
    let span = value.map(toml::Spanned::span);
    // A table with a header has the header for its place.
    Ok(span.filter(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        before.trim_end_matches([' ', '\t']).ends_with('=')
    }))
}

fn replaced(text: &str, span: Range<usize>, new: &str) -> String {
    let head = text.get(..span.start).unwrap_or_default();
    let tail = text.get(span.end..).unwrap_or_default();
    let gap = if head.is_empty() || new.is_empty() || head.ends_with(['\n', ' ', '\t', '=']) {
        ""
    } else {
        line_end(text)
    };
    format!("{head}{gap}{new}{tail}")
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) {
        return name.to_owned();
    }
    toml::Value::from(name).to_string()
}

/// A value on one line.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(name, v)| format!("{} = {}", key(name), literal(v)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

fn wrong(text: &str, cause: &toml::de::Error) -> Wrong {
    let before = cause.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let what = cause.message().to_owned();
    Wrong { line: before.matches('\n').count() + 1, column, what }
}
