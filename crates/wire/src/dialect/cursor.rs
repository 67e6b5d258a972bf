//! Steps through JSON value by value, without reading what is in them.

use std::ops::Range;

use super::judged::Judged;
use crate::frame::json::string_end;
use crate::frame::valid::Long;

/// A place in a text that is JSON, or is taken for JSON.
pub(super) struct Cursor<'a> {
    /// The text.
    pub(super) body: &'a [u8],
    /// Bytes that lie behind.
    pub(super) at: usize,
    /// How deep the deepest value nests that was stepped over: 1 for an array of texts.
    pub(super) deepest: usize,
    /// Long strings whose ends are known, and where the text begins among them.
    long: (&'a [Long], usize),
}

impl<'a> Cursor<'a> {
    /// Begins before the first byte.
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, deepest: 0, long: (&[], 0) }
    }

    /// Begins before the first byte of a text; if it is part of a judged body, long strings are
    /// passed in one step.
    pub(super) fn within(json: &'a str, judged: Option<&'a Judged>) -> Self {
        let known = judged.and_then(|judged| {
            let at = judged.place_of(json)?;
            Some((judged.long_from(at), at))
        });
        Self { long: known.unwrap_or_default(), ..Self::new(json.as_bytes()) }
    }

    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Steps over the byte if it is next; says whether it was.
    pub(super) fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at = self.at.saturating_add(usize::from(is_next));
        is_next
    }

    /// Steps over the byte; `None` if another is next.
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    /// Steps over white space.
    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// Steps over a string; gives where it stands.
    pub(super) fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.take(b'"')?;
        if let Some(length) = self.known(start) {
            self.at = start.saturating_add(length);
            return Some(start..self.at);
        }
        let length = string_end(self.body.get(self.at..)?)?;
        self.at = self.at.saturating_add(length);
        Some(start..self.at)
    }

    /// How long the string is that begins here, with its quotes, if that is known.
    fn known(&mut self, start: usize) -> Option<usize> {
        let (list, begin) = &mut self.long;
        let start = begin.saturating_add(start);
        while let [first, rest @ ..] = *list {
            if first.place.start >= start {
                return (first.place.start == start).then(|| first.place.len());
            }
            *list = rest;
        }
        None
    }

    /// Steps over a value; gives where it stands.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.peek()? {
            b'"' => return self.string(),
            b'{' | b'[' => self.container()?,
            b',' | b':' | b'}' | b']' => return None,
            _ => {
                let is_end =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                let rest = self.body.get(self.at..)?;
                let length = rest.iter().position(is_end)?;
                self.at = self.at.saturating_add(length);
            }
        }
        Some(start..self.at)
    }

    fn container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.deepest = self.deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at = self.at.saturating_add(1);
            if depth == 0 {
                return Some(());
            }
        }
    }
}
