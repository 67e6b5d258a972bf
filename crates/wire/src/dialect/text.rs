//! Writes JSON text piece by piece: keys in the order given, raw values untouched.

use std::fmt::Write as _;

use crate::frame::marks::blocks;
use crate::prompt::Text;

/// Bytes that are looked at and then copied: they are still near when they are read again.
const NEAR: usize = 16 << 10;

/// Names of fields, and most ids, are shorter: a look at each byte is the shortest.
const SHORT: usize = 32;

/// Appends a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    out.reserve(text.len().saturating_add(2));
    out.push('"');
    let mut rest = text;
    if text.len() < SHORT && text.bytes().all(|byte| !matches!(byte, b'"' | b'\\' | ..=0x1f)) {
        out.push_str(text);
        rest = "";
    }
    while !rest.is_empty() {
        let (near, far) = rest.split_at(rest.floor_char_boundary(NEAR));
        inside(out, near);
        rest = far;
    }
    out.push('"');
}

/// Appends what a part says as a JSON string: as it came, where it is kept.
pub(super) fn said(out: &mut String, text: &Text) {
    let Some(json) = text.json() else { return string(out, text) };
    out.reserve(json.len().saturating_add(2));
    out.push('"');
    out.push_str(json);
    out.push('"');
}

fn inside(out: &mut String, text: &str) {
    let mut done = 0_usize;
    for (begin, marks) in blocks(text.as_bytes()) {
        let mut marks = marks.any();
        while marks != 0 {
            let at = begin.saturating_add(usize::try_from(marks.trailing_zeros()).unwrap_or(0));
            marks &= marks.wrapping_sub(1);
            // What has to be escaped is ASCII, so the text can be cut before and behind it.
            let Some(c) = text.as_bytes().get(at) else { break };
            out.push_str(text.get(done..at).unwrap_or_default());
            escape(out, *c);
            done = at.saturating_add(1);
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
}

fn escape(out: &mut String, c: u8) {
    match c {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        c => out.push_str(&format!("\\u{c:04x}")),
    }
}

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    /// Writes the key; the caller writes exactly one value to what it returns.
    pub(super) fn key(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        string(self.out, name);
        self.out.push(':');
        self.out
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        string(self.key(name), value);
    }

    /// Writes what a part says.
    pub(super) fn said(&mut self, name: &str, text: &Text) {
        said(self.key(name), text);
    }

    /// Writes a whole number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        // A text takes all that is written to it.
        let _written = write!(self.key(name), "{number}");
    }

    /// Writes an object within.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::begin(self.key(name));
        write(&mut object);
        object.end();
    }

    /// Writes a value that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.key(name).push_str(json);
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }
}

/// An array that is being written.
#[derive(Debug)]
pub(super) struct Array<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Array<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('[');
        Self { out, is_empty: true }
    }

    /// Begins an item; the caller writes exactly one value to what it returns.
    pub(super) fn item(&mut self) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        self.out
    }

    pub(super) fn end(self) {
        self.out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_parser_reads() {
        let text: String = ('\0'..='\u{ff}').chain(['\u{2028}', '\u{1f600}', '"', '\\']).collect();
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.string("a\"b", &text);
        object.raw("n", "1.0");
        let mut array = Array::begin(object.key("list"));
        string(array.item(), "x");
        array.item().push_str("null");
        array.end();
        object.end();
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["a\"b"], text);
        assert!(out.ends_with(r#""n":1.0,"list":["x",null]}"#), "{out}");
    }

    #[test]
    fn a_mark_is_escaped_wherever_it_stands() {
        for before in 0..80 {
            for mark in ["\"", "\\", "\n", "\u{1}", "\u{e9}\"", "\u{1f600}\t\u{1f600}", ""] {
                let text = format!("{}{mark}{}", "a".repeat(before), "\u{e9}".repeat(40));
                let mut out = String::new();
                string(&mut out, &text);
                assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            }
        }
    }
}
