//! What a caller asks in its own dialect, and the reading of request fields that dialects share.

use std::fmt::Display;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{self, Fields};
use super::judged::Judged;
use crate::fault::{Code, Fault, unread};
use crate::frame::json::{DEPTH_MAX, json_depth_ok};
use crate::prompt::{Private, PrivateField, Prompt};

/// A caller's request, read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What the model is asked. Its `model` is the name the caller wrote; empty where the dialect
    /// has the name in the path.
    pub prompt: Prompt,
    /// Whether the answer is to be streamed; `false` where the dialect says it in the path.
    pub stream: bool,
    /// Whether a stream is to end with token counts, where callers have a choice.
    pub wants_usage: bool,
    /// The conversation that this goes on with.
    pub link: Option<Link>,
    /// Whether the answer is to be kept for later requests, where callers have a choice.
    pub store: Option<bool>,
    /// Top-level fields nobody here knows; they stand in [`Prompt::private`] too.
    pub unknown: Vec<String>,
    /// Fields of the request that the dialect's answers repeat, by name.
    pub echo: Vec<(String, Box<RawValue>)>,
    /// What could not be carried into the prompt at all, such as `n`.
    pub dropped: Vec<String>,
}

/// The conversation that a request goes on with, by whichever name the caller has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// `metadata.context_id`: one of our contexts.
    Context(String),
    /// `conversation`: a conversation of the Responses API.
    Conversation(String),
    /// `previous_response_id`: what followed this answer.
    Response(String),
}

impl Link {
    /// The id itself.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Context(id) | Self::Conversation(id) | Self::Response(id) => id,
        }
    }
}

/// The fields of a request body. Of a field that stands twice the last counts, as for most parsers.
///
/// # Errors
/// `invalid_json`, also for what nests deeper than readers follow, or `invalid_input` when the body
/// is no object.
pub(super) fn body<'a>(bytes: &'a Bytes, judged: Option<&'a Judged>) -> Result<Fields<'a>, Fault> {
    // Most bodies are what they should be; why one is not, the parser says best.
    if let Some(fields) = judged.and_then(Fields::whole) {
        return Ok(fields.last_only());
    }
    if !is_flat(bytes) {
        let text = format!("the body nests deeper than `{DEPTH_MAX}` arrays and objects");
        return Err(Fault::new(Code::InvalidJson, text));
    }
    let raw: &RawValue =
        serde_json::from_slice(bytes).map_err(|cause| unread::not_json(bytes, &cause))?;
    let fields = Fields::read(raw).map(Fields::last_only);
    fields.ok_or_else(|| unread::not_an_object(raw.get()))
}

/// Whether a text nests no deeper than readers that follow it part by part may go.
pub(super) fn is_flat(json: &[u8]) -> bool {
    json_depth_ok(json, DEPTH_MAX as usize)
}

/// The fault of a field that cannot be read.
pub(super) fn wrong(field: impl Display, expected: impl Display) -> Fault {
    let text = format!("`{field}` must be {expected}");
    let details = serde_json::json!({"field": field.to_string()});
    Fault::new(Code::InvalidInput, text).details(details)
}

/// The fault of a field that is something else than expected, naming the kind that came.
fn other(field: impl Display, expected: impl Display, raw: &RawValue) -> Fault {
    wrong(field, format_args!("{expected}, got {}", unread::came(raw.get())))
}

/// The fault of a field that is absent.
pub(super) fn missing(field: &str) -> Fault {
    let details = serde_json::json!({"field": field});
    Fault::new(Code::MissingField, format!("`{field}` is required")).details(details)
}

/// The fault of a field that is absent, or holds nothing.
fn empty(field: &str) -> Fault {
    let details = serde_json::json!({"field": field});
    let text = format!("`{field}` is required and must not be empty");
    Fault::new(Code::MissingField, text).details(details)
}

/// Reads a value; `null` is absent.
pub(super) fn value<'a, T: Deserialize<'a>>(
    field: &str,
    raw: &'a RawValue,
    expected: &str,
) -> Result<Option<T>, Fault> {
    serde_json::from_str(raw.get()).map_err(|_cause| {
        wrong(field, format_args!("{expected}, got {}", unread::shown(raw.get())))
    })
}

pub(super) fn text(field: &str, raw: &RawValue) -> Result<Option<String>, Fault> {
    value(field, raw, "a string")
}

pub(super) fn number(field: &str, raw: &RawValue) -> Result<Option<f64>, Fault> {
    value(field, raw, "a number")
}

pub(super) fn flag(field: &str, raw: &RawValue) -> Result<Option<bool>, Fault> {
    value(field, raw, "true or false")
}

/// Reads a count; one that does not fit is the largest that does.
pub(super) fn count(field: &str, raw: &RawValue) -> Result<Option<u32>, Fault> {
    let count: Option<u64> = value(field, raw, "a whole number, 0 or more")?;
    Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
}

/// Reads a text or a list of texts.
pub(super) fn texts(field: &str, raw: &RawValue) -> Result<Vec<String>, Fault> {
    if let Some(text) = fields::string(raw) {
        return Ok(vec![text.into_owned()]);
    }
    Ok(value(field, raw, "a string or an array of strings")?.unwrap_or_default())
}

pub(super) fn list<'a>(field: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, Fault> {
    if raw.get() == "null" {
        return Ok(Vec::new());
    }
    fields::items(raw).ok_or_else(|| other(field, "an array", raw))
}

pub(super) fn object<'a>(field: impl Display, raw: &'a RawValue) -> Result<Fields<'a>, Fault> {
    Fields::read(raw).ok_or_else(|| other(field, "an object", raw))
}

/// Reads an array of objects that is part of a judged body.
pub(super) fn objects<'a>(
    field: &'a str,
    raw: &'a RawValue,
    judged: Option<&'a Judged>,
) -> Result<impl Iterator<Item = Result<(usize, &'a RawValue, Fields<'a>), Fault>>, Fault> {
    let items = match fields::parts(raw, judged) {
        Some(items) => items,
        None => list(field, raw)?,
    };
    Ok(items.into_iter().enumerate().map(move |(at, raw)| {
        let fields = Fields::part(raw, judged);
        let fields = fields.ok_or_else(|| other(format_args!("{field}.{at}"), "an object", raw))?;
        Ok((at, raw, fields))
    }))
}

impl Asked {
    /// Begins with nothing, for a caller of this dialect.
    pub(super) fn of(dialect: &str) -> Self {
        let private = Private { dialect: dialect.into(), fields: Vec::new() };
        Self { prompt: Prompt { private: Some(private), ..Prompt::default() }, ..Self::default() }
    }

    /// Keeps a field that has no place in the prompt for those who speak the caller's dialect.
    pub(super) fn keep(&mut self, name: &str, raw: &RawValue) {
        self.hold(name, raw, false);
    }

    /// Keeps the exact form of a field that the prompt says in its own words too.
    pub(super) fn own(&mut self, name: &str, raw: &RawValue) {
        self.hold(name, raw, true);
    }

    fn hold(&mut self, name: &str, raw: &RawValue, is_carried: bool) {
        let Some(private) = &mut self.prompt.private else { return };
        private.fields.retain(|held| held.name != name);
        if raw.get() != "null" {
            let (name, json) = (name.to_owned(), raw.to_owned());
            private.fields.push(PrivateField { name, json, is_carried });
        }
    }

    /// Keeps a field that nobody here knows.
    pub(super) fn unknown(&mut self, name: &str, raw: &RawValue) {
        if !self.unknown.iter().any(|held| held == name) {
            self.unknown.push(name.to_owned());
        }
        self.keep(name, raw);
    }

    /// Keeps a field for the answer, which repeats it.
    pub(super) fn echo(&mut self, name: &str, raw: &RawValue) {
        self.echo.retain(|(held, _)| held != name);
        self.echo.push((name.to_owned(), raw.to_owned()));
    }

    /// Takes note of something that cannot be carried over.
    pub(super) fn drops(&mut self, what: &str) {
        if !self.dropped.iter().any(|held| held == what) {
            self.dropped.push(what.to_owned());
        }
    }

    /// Reads `metadata`: the context's id is ours and goes no further, the rest is the provider's.
    pub(super) fn metadata(&mut self, raw: &RawValue) {
        if matches!(self.link, Some(Link::Context(_))) {
            self.link = None;
        }
        let Some(metadata) = Fields::read(raw) else { return self.keep("metadata", raw) };
        let Some(id) = metadata.string("context_id").filter(|id| !id.is_empty()) else {
            return self.keep("metadata", raw);
        };
        self.link = Some(Link::Context(id.into_owned()));
        let mut rest = metadata.iter().filter(|(name, _)| *name != "context_id").peekable();
        if rest.peek().is_none() {
            return;
        }
        let rest = super::show::object(|object| {
            for (name, value) in rest {
                object.raw(name, value.get());
            }
        });
        if let Some(rest) = fields::raw(rest) {
            self.keep("metadata", &rest);
        }
    }

    /// Ends the reading of a body: what has to be there is there.
    pub(super) fn done(mut self, has_model: bool, messages: &str) -> Result<Self, Fault> {
        if has_model && self.prompt.model.is_empty() {
            return Err(missing("model"));
        }
        if self.prompt.messages.is_empty() && self.link.is_none() {
            return Err(empty(messages));
        }
        if self.prompt.private.as_ref().is_some_and(|private| private.fields.is_empty()) {
            self.prompt.private = None;
        }
        Ok(self)
    }
}
