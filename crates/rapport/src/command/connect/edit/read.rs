//! Reads JSON with comments and keeps where everything stands, so that an edit touches one place.

use std::ops::Range;

use serde_json::{Map, Value};

/// Limit: objects and arrays within each other.
const DEPTH_MAX: usize = 128;

/// Why a text is no JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Wrong {
    /// The line, from 1.
    pub(in super::super) line: usize,
    /// The character in the line, from 1.
    pub(in super::super) column: usize,
    /// What was expected.
    pub(in super::super) what: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Scalar(Value),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    /// Where the key begins.
    pub(super) start: usize,
    pub(super) value: Node,
    /// Where the comma behind it stands.
    pub(super) comma: Option<usize>,
}

impl Node {
    /// The value without places. Of members with one name the last counts, as everywhere.
    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Object(members) => {
                let pairs = members.iter().map(|m| (m.key.clone(), m.value.value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
            Kind::Array(items) => Value::Array(items.iter().map(Self::value).collect()),
            Kind::Scalar(value) => value.clone(),
        }
    }

    /// The members, if it is an object.
    pub(super) fn members(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            Kind::Array(_) | Kind::Scalar(_) => None,
        }
    }
}

/// A text that was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// The value; none in a text of white space and comments.
    pub(super) root: Option<Node>,
    /// It has comments or commas behind the last member, which strict readers refuse.
    pub(super) is_loose: bool,
}

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Read, Wrong> {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut reader = Reader { text, at: start, is_loose: false };
    reader.space()?;
    if reader.peek().is_none() {
        return Ok(Read { root: None, is_loose: reader.is_loose });
    }
    let root = reader.value(0)?;
    reader.space()?;
    if reader.peek().is_some() {
        return Err(reader.wrong("the end was expected after the value"));
    }
    Ok(Read { root: Some(root), is_loose: reader.is_loose })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    is_loose: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn wrong(&self, what: impl Into<String>) -> Wrong {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let tail = before.rsplit('\n').next().unwrap_or_default();
        Wrong { line, column: tail.chars().count() + 1, what: what.into() }
    }

    /// Skips white space and comments.
    fn space(&mut self) -> Result<(), Wrong> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let skipped = rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                Some(trimmed.find('\n').unwrap_or(trimmed.len()))
            } else if trimmed.starts_with("/*") {
                let end = trimmed.find("*/");
                Some(end.ok_or_else(|| self.wrong("this comment has no `*/`"))? + 2)
            } else {
                None
            };
            self.at += skipped + comment.unwrap_or_default();
            if comment.is_none() {
                return Ok(());
            }
            self.is_loose = true;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Wrong> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(format!("more than {DEPTH_MAX} values within each other")));
        }
        let start = self.at;
        let kind = match self.peek() {
            Some('{') => Kind::Object(self.object(depth)?),
            Some('[') => Kind::Array(self.array(depth)?),
            Some('"') => Kind::Scalar(Value::String(self.string()?)),
            _ => Kind::Scalar(self.word()?),
        };
        Ok(Node { span: start..self.at, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Member>, Wrong> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        loop {
            self.space()?;
            if self.peek() == Some('}') {
                self.at += 1;
                self.is_loose |= members.last().is_some_and(|m| m.comma.is_some());
                return Ok(members);
            }
            if members.last().is_some_and(|m| m.comma.is_none()) {
                return Err(self.wrong("`,` or `}` was expected"));
            }
            let start = self.at;
            if self.peek() != Some('"') {
                return Err(self.wrong("a name in double quotes was expected"));
            }
            let key = self.string()?;
            self.space()?;
            if self.peek() != Some(':') {
                return Err(self.wrong(format!("`:` was expected after `{key}`")));
            }
            self.at += 1;
            self.space()?;
            let value = self.value(depth + 1)?;
            let end = self.at;
            self.space()?;
            let comma = (self.peek() == Some(',')).then_some(self.at);
            self.at = comma.map_or(end, |at| at + 1);
            members.push(Member { key, start, value, comma });
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, Wrong> {
        self.at += 1;
        let mut items = Vec::new();
        let mut open = true;
        loop {
            self.space()?;
            if self.peek() == Some(']') {
                self.at += 1;
                self.is_loose |= open && !items.is_empty();
                return Ok(items);
            }
            if !open {
                return Err(self.wrong("`,` or `]` was expected"));
            }
            items.push(self.value(depth + 1)?);
            self.space()?;
            open = self.peek() == Some(',');
            self.at += usize::from(open);
        }
    }

    fn string(&mut self) -> Result<String, Wrong> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes || *c == '\n'
        });
        let text = match end {
            Some((end, '"')) => self.rest().get(..=end).unwrap_or_default(),
            _ => return Err(self.wrong("this text has no closing quote")),
        };
        let read = serde_json::from_str(text);
        let value = read
            .map_err(|cause| self.wrong(format!("`{text}` is no JSON text: {}", reason(&cause))))?;
        self.at += text.len();
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, Wrong> {
        let rest = self.rest();
        let ends = |c: char| matches!(c, ',' | '}' | ']' | ' ' | '\t' | '\r' | '\n' | '/' | ':');
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
        let value = serde_json::from_str(word).map_err(|_none| {
            let shown: String = word.chars().take(40).collect();
            self.wrong(if shown.is_empty() {
                "a value was expected".to_owned()
            } else {
                format!("`{shown}` is no JSON value")
            })
        })?;
        self.at += word.len();
        Ok(value)
    }
}

/// What serde says, without the place, which is one of the word alone.
fn reason(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    text.split(" at line").next().unwrap_or_default().to_owned()
}
