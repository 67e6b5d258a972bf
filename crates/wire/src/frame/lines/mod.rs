//! JSON lines over a bare connection: values and lines, however the bytes are cut.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::json::{Scan, Step};

/// What a connection said next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A text that begins with `{` or `[`: a complete value, or one that is broken (the parser
    /// says why). It is UTF-8.
    Json(Bytes),
    /// Another line, without the blanks around it: a text verb, free text, a JSON scalar. It is
    /// UTF-8. Empty only for the blank line that ends the headers of an `MCP/…` greeting.
    Line(Bytes),
    /// A value or line beyond the limit; its bytes up to the next line end are dropped.
    TooLong,
    /// A value or line that is not UTF-8.
    BadUtf8,
}

/// Cuts the bytes of a connection into [`Item`]s.
///
/// - A value that begins with `{` or `[` is complete at its closing bracket: a line feed may
///   follow, or nothing, or the next value. It may span lines. Line ends and blanks between items
///   are skipped, so the line feed after an answered value says nothing.
/// - Anything else is complete at its line end: LF, CRLF, or telnet's CR NUL.
/// - Blank lines are skipped, except one: after a line that begins with `MCP/`, the first blank
///   line comes out as an empty [`Item::Line`], because it ends the greeting's headers.
///
/// How a broken value ends: a line end inside a value does not end it as long as the text can
/// still become JSON. At the first byte with which it no longer can (or nests deeper than
/// [`super::json::DEPTH_MAX`]), one of two things happens:
///
/// - The byte stands on a later line than the value's first, and that line begins, without
///   indentation, with `{`, `[` or an ASCII letter: the value was cut off, so it ends before that
///   line, which is read afresh. (`{"a":1` LF `{"b":2}` LF is a broken item and a good one.)
/// - Otherwise the value ends at the next line end. A line feed inside a string is itself such a
///   byte, so a string that was never closed ends with its line.
///
/// Memory is bounded by the limit; each byte is looked at once, and once more on the line at which
/// a cut-off value is found.
///
/// ```
/// use wire::frame::lines::{Item, Splitter};
/// let (mut splitter, mut out) = (Splitter::new(1024), Vec::new());
/// splitter.push(b"MCP_INIT: SESSION_ID=1\r\n{\"a\":", &mut out);
/// splitter.push(b"[1]}", &mut out);
/// assert_eq!(out, [
///     Item::Line("MCP_INIT: SESSION_ID=1".into()),
///     Item::Json(r#"{"a":[1]}"#.into()),
/// ]);
/// ```
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    state: State,
    held: Vec<u8>,
    /// Where in `held` the current line begins.
    line_start: usize,
    after_cr: bool,
    /// Nothing has come since the last line feed.
    line_is_blank: bool,
    in_greeting: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between items.
    Between,
    Line,
    Json(Scan),
    /// A value that can no longer become JSON, up to its line end.
    Broken,
    /// Beyond the limit, up to the line end.
    Skip,
}

impl Splitter {
    /// Makes a splitter whose items have at most `item_bytes_max` bytes.
    #[must_use]
    pub fn new(item_bytes_max: usize) -> Self {
        Self {
            limit: item_bytes_max,
            state: State::Between,
            held: Vec::new(),
            line_start: 0,
            after_cr: false,
            line_is_blank: true,
            in_greeting: false,
        }
    }

    /// Takes the next bytes and appends the items they complete to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        for &byte in bytes {
            self.take(byte, out);
            self.after_cr = byte == b'\r';
        }
    }

    /// Ends the input: the item that was begun and not completed, if there is one.
    pub fn finish(&mut self) -> Option<Item> {
        let mut out = Vec::new();
        self.end_item(&mut out);
        out.pop()
    }

    /// Whether an item has begun that is not complete: a peer that stays silent now is slow, not
    /// idle.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !matches!(self.state, State::Between)
    }

    fn take(&mut self, byte: u8, out: &mut Vec<Item>) {
        let ends_line = byte == b'\n' || (byte == 0 && self.after_cr);
        match self.state {
            State::Between => self.between(byte, ends_line, out),
            State::Json(scan) => self.json(scan, byte, out),
            State::Line | State::Broken | State::Skip if ends_line => {
                self.end_item(out);
                self.line_is_blank = byte == b'\n';
            }
            State::Line | State::Broken => {
                self.hold(byte, out);
                if self.held == b"\xef\xbb\xbf" {
                    // A byte order mark, as some editors and shells put before the first line.
                    self.held.clear();
                    self.state = State::Between;
                }
            }
            State::Skip => {}
        }
    }

    fn between(&mut self, byte: u8, ends_line: bool, out: &mut Vec<Item>) {
        match byte {
            b'\n' => {
                if self.in_greeting && self.line_is_blank {
                    self.in_greeting = false;
                    out.push(Item::Line(Bytes::new()));
                }
                self.line_is_blank = true;
            }
            b' ' | b'\t' | b'\r' => {}
            _ if ends_line => {}
            b'{' | b'[' => self.json(Scan::new(), byte, out),
            _ => {
                self.state = State::Line;
                self.hold(byte, out);
            }
        }
    }

    fn json(&mut self, mut scan: Scan, byte: u8, out: &mut Vec<Item>) {
        if byte == 0 && self.after_cr && !scan.is_in_string() {
            // Telnet sends a carriage return as CR NUL.
            return;
        }
        let step = scan.step(byte);
        self.state = State::Json(scan);
        match step {
            Step::More => {
                self.hold(byte, out);
                if byte == b'\n' {
                    self.line_start = self.held.len();
                }
            }
            Step::Complete => {
                self.hold(byte, out);
                self.end_item(out);
            }
            Step::Broken => self.broken(byte, out),
        }
    }

    fn broken(&mut self, byte: u8, out: &mut Vec<Item>) {
        let fresh = self.line_start > 0 && {
            let first = self.held.get(self.line_start).copied().unwrap_or(byte);
            matches!(first, b'{' | b'[') || first.is_ascii_alphabetic()
        };
        if fresh {
            let again = self.held.split_off(self.line_start);
            self.end_item(out);
            // No line ends in here but perhaps the last byte, so this goes one level deep.
            self.push(&again, out);
            self.take(byte, out);
        } else {
            self.state = State::Broken;
            self.take(byte, out);
        }
    }

    fn hold(&mut self, byte: u8, out: &mut Vec<Item>) {
        if matches!(self.state, State::Skip) {
            return;
        }
        if self.held.len() < self.limit {
            self.held.push(byte);
        } else {
            out.push(Item::TooLong);
            self.held = Vec::new();
            self.line_start = 0;
            self.state = if byte == b'\n' { State::Between } else { State::Skip };
        }
    }

    fn end_item(&mut self, out: &mut Vec<Item>) {
        let state = std::mem::replace(&mut self.state, State::Between);
        let held = std::mem::take(&mut self.held);
        self.line_start = 0;
        self.line_is_blank = false;
        let text = match state {
            State::Between | State::Skip => return,
            State::Line | State::Json(_) | State::Broken => trimmed(held),
        };
        if std::str::from_utf8(&text).is_err() {
            out.push(Item::BadUtf8);
        } else if matches!(state, State::Line) {
            self.in_greeting |= text.starts_with(b"MCP/");
            out.push(Item::Line(text));
        } else {
            self.in_greeting = false;
            out.push(Item::Json(text));
        }
    }
}

/// Items begin with something, so only their ends can have blanks.
fn trimmed(mut held: Vec<u8>) -> Bytes {
    held.truncate(held.trim_ascii_end().len());
    Bytes::from(held)
}
