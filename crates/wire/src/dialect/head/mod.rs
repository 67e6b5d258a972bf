//! Finds the few fields of a request that decide its way, without reading the rest.
//!
//! Invariants: on valid JSON it agrees with the parser, the last of several equal keys counting;
//! each byte is looked at a constant number of times; [`rename`] changes nothing but the model's
//! name, wherever it stands at the top level.

mod parts;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::value::RawValue;

use super::ask::Link;
use super::cursor::Cursor;
use super::fields::{self, Fields};
use super::text;

pub(super) use parts::{Edit, Parts};

/// The fields of a request that decide its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The model's name; `None` where there is none, or it is no string.
    pub model: Option<String>,
    /// Where the values of `model` stand in the body, quotes included.
    pub models: Vec<Range<usize>>,
    /// Whether the answer is to be streamed; `None` where the body does not say.
    pub stream: Option<bool>,
    /// The conversation that the request goes on with.
    pub link: Option<Link>,
    /// How many arrays and objects stand in one another, the body itself counted.
    pub depth: usize,
}

/// Finds the fields at the top level of a body; `None` when it is no JSON object.
///
/// Looks only as closely at the rest as it must: a body it takes may still be no valid JSON.
///
/// ```
/// let body = br#"{"messages":["model"], "model": "a", "n": 1e400}"#;
/// let head = wire::dialect::scan(body).unwrap();
/// assert_eq!(head.model.as_deref(), Some("a"));
/// let sent = wire::dialect::rename(body, &head, "b");
/// assert_eq!(sent, br#"{"messages":["model"], "model": "b", "n": 1e400}"#);
/// ```
#[must_use]
pub fn scan(body: &[u8]) -> Option<Head> {
    let mut head = Head::default();
    let (mut context, mut conversation, mut response) = (None, None, None);
    let mut cursor = Cursor::new(body);
    cursor.blanks();
    cursor.take(b'{')?;
    cursor.blanks();
    let mut is_first = true;
    while !cursor.takes(b'}') {
        if !std::mem::take(&mut is_first) {
            cursor.take(b',')?;
            cursor.blanks();
        }
        let key = cursor.string()?;
        cursor.blanks();
        cursor.take(b':')?;
        cursor.blanks();
        let value = cursor.value()?;
        cursor.blanks();
        match name(body.get(key)?) {
            Name::Model => {
                head.model = decode(body, &value);
                head.models.push(value);
            }
            Name::Stream => {
                head.stream = match body.get(value)? {
                    b"true" => Some(true),
                    b"false" => Some(false),
                    _ => None,
                };
            }
            Name::Metadata => context = inner(body, &value, "context_id").map(Link::Context),
            Name::Conversation => {
                let id = decode(body, &value).or_else(|| inner(body, &value, "id"));
                conversation = id.map(Link::Conversation);
            }
            Name::Response => response = decode(body, &value).map(Link::Response),
            Name::Other => {}
        }
    }
    cursor.blanks();
    if cursor.at != body.len() {
        return None;
    }
    let named = |link: &Link| !link.id().is_empty();
    head.link = [context, conversation, response].into_iter().flatten().find(named);
    head.depth = cursor.deepest.saturating_add(1);
    Some(head)
}

/// Writes another model's name into a body; every other byte stays as it is.
#[must_use]
pub fn rename(body: &[u8], head: &Head, model: &str) -> Vec<u8> {
    let mut name = String::with_capacity(model.len().saturating_add(2));
    text::string(&mut name, model);
    let mut out = Vec::with_capacity(body.len().saturating_add(name.len()));
    let mut from = 0;
    for range in &head.models {
        out.extend_from_slice(body.get(from..range.start).unwrap_or_default());
        out.extend_from_slice(name.as_bytes());
        from = range.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

/// Writes a model's name into a body that names none; every other byte stays as it is. What is no
/// object stays whole.
#[must_use]
pub fn name_model(body: &[u8], model: &str) -> Vec<u8> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let Some((before, [b'{', rest @ ..])) = body.split_at_checked(start) else {
        return body.to_vec();
    };
    let mut out = [before, b"{\"model\":"].concat();
    let mut name = String::new();
    text::string(&mut name, model);
    out.extend_from_slice(name.as_bytes());
    if !rest.trim_ascii_start().starts_with(b"}") {
        out.push(b',');
    }
    out.extend_from_slice(rest);
    out
}

enum Name {
    Model,
    Stream,
    Metadata,
    Conversation,
    Response,
    Other,
}

/// Tells which field a key is, however it is escaped.
fn name(key: &[u8]) -> Name {
    let decoded: String;
    let mut key = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
    if key.contains(&b'\\') {
        decoded = serde_json::from_slice(&[b"\"", key, b"\""].concat()).unwrap_or_default();
        key = decoded.as_bytes();
    }
    match key {
        b"model" => Name::Model,
        b"stream" => Name::Stream,
        b"metadata" => Name::Metadata,
        b"conversation" => Name::Conversation,
        b"previous_response_id" => Name::Response,
        _ => Name::Other,
    }
}

fn decode(body: &[u8], range: &Range<usize>) -> Option<String> {
    serde_json::from_slice(body.get(range.clone())?).ok()
}

fn inner(body: &[u8], range: &Range<usize>, name: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(body.get(range.clone())?).ok()?;
    let fields = Fields::read(raw)?;
    fields.find(name).and_then(fields::string).map(std::borrow::Cow::into_owned)
}
