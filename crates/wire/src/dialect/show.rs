//! What a caller sees of an answer, and the parts of writing one that dialects share.

use serde_json::value::RawValue;

use super::text::Object;
use crate::event::Event;
use crate::fault::{Code, Fault, Kind};
use crate::frame::sse;
use crate::prompt::Text;
use crate::reply::Usage;

/// What of an answer is ours to say: names, ids and the time, which this crate does not have.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The id the answer gets; the upstream's own if empty.
    pub id: String,
    /// The model's name as the caller wrote it; the upstream's own if empty.
    pub model: String,
    /// When the answer was made, in seconds since 1970.
    pub created: u64,
    /// Whether a stream ends with token counts, where callers have a choice.
    pub wants_usage: bool,
    /// Fields that the answer repeats, such as [`super::Asked::echo`] and the ids of the
    /// conversation.
    pub echo: Vec<(String, Box<RawValue>)>,
}

impl Shown {
    pub(super) fn id<'a>(&'a self, own: &'a str) -> &'a str {
        if self.id.is_empty() { own } else { &self.id }
    }

    pub(super) fn model<'a>(&'a self, own: &'a str) -> &'a str {
        if self.model.is_empty() { own } else { &self.model }
    }
}

/// Writes one streamed reply in a caller's dialect.
pub trait StreamWriter: Send {
    /// Appends what the event is in the dialect; nothing for one that has no place in it.
    ///
    /// [`Event::Done`] and [`Event::Fault`] end the stream: with token counts, the reason of the
    /// end and the dialect's last line, or with its error.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>);
}

/// The message of an error for a caller: the text, and what to do.
pub(super) fn message(fault: &Fault) -> String {
    match fault.hint_text() {
        Some(hint) => format!("{} ({hint})", fault.text()),
        None => fault.text().to_owned(),
    }
}

/// The status that an error in mid-stream would have had as an answer.
pub(super) fn status(fault: &Fault) -> u16 {
    match fault.kind() {
        Kind::BadRequest => 400,
        Kind::Unauthenticated => 401,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Limited => 429,
        Kind::Upstream if fault.code() == Code::UpstreamUnavailable => 503,
        Kind::Upstream => 502,
        Kind::Timeout => 504,
        Kind::Internal => 500,
    }
}

/// Writes one object as text.
pub(super) fn object(write: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    write(&mut object);
    object.end();
    out
}

/// Writes a part that is an object with its text only.
pub(super) fn said(text: &Text) -> String {
    // One growth is enough for what stands around it.
    let mut out = String::with_capacity(text.room().saturating_add(16));
    let mut part = Object::begin(&mut out);
    part.said("text", text);
    part.end();
    out
}

/// Appends an event of a stream.
pub(super) fn send(out: &mut Vec<u8>, event: Option<&str>, data: &str) {
    out.extend_from_slice(&sse::encode(event, None, data));
}

/// The counts of tokens of the OpenAI dialects, with their names for both sides.
pub(super) struct Counts {
    input: &'static str,
    input_details: &'static str,
    output: &'static str,
    output_details: &'static str,
}

/// The names of chats and completions.
pub(super) const CHAT_COUNTS: Counts = Counts {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};

/// The names of responses.
pub(super) const RESPONSE_COUNTS: Counts = Counts {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
};

/// Writes token counts as the OpenAI dialects have them.
pub(super) fn openai_usage(usage: &Usage, names: &Counts) -> String {
    let mut out = String::with_capacity(256);
    let mut counts = Object::begin(&mut out);
    let prompt = usage.prompt();
    counts.number(names.input, prompt);
    counts.number(names.output, usage.output);
    counts.number("total_tokens", prompt.saturating_add(usage.output));
    counts.object(names.input_details, |details| {
        details.number("cached_tokens", usage.cache_read);
        details.number("cache_write_tokens", usage.cache_write);
    });
    counts.object(names.output_details, |details| {
        details.number("reasoning_tokens", usage.thinking);
    });
    counts.end();
    out
}

/// Writes an error as the OpenAI dialects have it.
pub(super) fn openai_error(status: u16, fault: &Fault) -> String {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let field = fault.detail_values().and_then(|details| details.get("field")?.as_str());
    let error = object(|error| {
        error.string("message", &message(fault));
        error.string("type", kind);
        match field {
            Some(field) => error.string("param", field),
            None => error.raw("param", "null"),
        }
        error.string("code", fault.code().as_str());
    });
    object(|body| body.raw("error", &error))
}
