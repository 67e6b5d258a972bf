//! The wire formats, written by hand from their public description.

pub(crate) mod anthropic;
mod cohere;
pub(crate) mod converse;
mod gemini;
pub(crate) mod ollama;
pub(crate) mod openai;
mod responses;

use crate::content::Content;
use crate::script::{ErrorText, StreamError};
use bytes::Bytes;

/// How many characters of a tool's arguments one delta carries.
const ARGUMENT_CHARS: usize = 16;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anthropic,
    OpenAi,
    Responses,
    Gemini,
    Ollama(ollama::Api),
    Cohere,
    Converse,
}

/// One event of a stream, framed.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    /// Whether it carries a piece of the content; pauses and stream errors count these.
    pub(crate) is_delta: bool,
}

impl Dialect {
    /// The whole reply as one JSON body.
    pub(crate) fn whole(self, content: &Content) -> String {
        match self {
            Self::Anthropic => anthropic::whole(content),
            Self::OpenAi => openai::whole(content),
            Self::Responses => responses::whole(content),
            Self::Gemini => gemini::whole(content),
            Self::Ollama(api) => ollama::whole(api, content),
            Self::Cohere => cohere::whole(content),
            Self::Converse => converse::whole(content),
        }
    }

    /// The reply as events, the closing one included.
    pub(crate) fn stream(self, content: &Content, usage_chunk: bool) -> Vec<Frame> {
        match self {
            Self::Anthropic => anthropic::stream(content),
            Self::OpenAi => openai::stream(content, usage_chunk),
            Self::Responses => responses::stream(content),
            Self::Gemini => gemini::stream(content),
            Self::Ollama(api) => ollama::stream(api, content),
            Self::Cohere => cohere::stream(content),
            Self::Converse => converse::stream(content),
        }
    }

    /// An error body.
    pub(crate) fn error(self, status: u16, text: &ErrorText, number: u64) -> String {
        match self {
            Self::Anthropic => anthropic::error(status, text, number),
            Self::OpenAi | Self::Responses => openai::error(status, text),
            Self::Gemini => gemini::error(status, text),
            Self::Ollama(_) => ollama::error(status, text),
            Self::Cohere => cohere::error(status, text),
            Self::Converse => converse::error(status, text),
        }
    }

    /// The model list.
    pub(crate) fn models(self, ids: &[String]) -> String {
        match self {
            Self::Anthropic => anthropic::models(ids),
            Self::OpenAi | Self::Responses | Self::Cohere | Self::Converse => openai::models(ids),
            Self::Gemini => gemini::models(ids),
            Self::Ollama(_) => ollama::models(ids),
        }
    }

    /// The media type of a stream.
    pub(crate) fn stream_type(self) -> &'static str {
        match self {
            Self::Ollama(_) => "application/x-ndjson",
            Self::Converse => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    /// An error event; nothing follows it.
    pub(crate) fn error_event(self, error: &StreamError, number: u64) -> Frame {
        let text = ErrorText { kind: error.kind.clone(), message: error.message.clone() };
        let body = self.error(529, &text, number);
        match self {
            Self::Anthropic => anthropic::frame("error", &body, false),
            Self::OpenAi | Self::Gemini => openai::frame(&body, false),
            Self::Responses => responses::error_frame(&body),
            Self::Ollama(_) => ollama::frame(&body, false),
            Self::Cohere => cohere::error_event(&text),
            Self::Converse => converse::error_event(&text),
        }
    }

    /// An event whose JSON ends in the middle.
    pub(crate) fn broken_event(self) -> Frame {
        match self {
            Self::Anthropic => anthropic::frame(
                "content_block_delta",
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_de"#,
                false,
            ),
            Self::OpenAi => openai::frame(r#"{"id":"chatcmpl-mock","choices":[{"ind"#, false),
            Self::Responses => responses::broken(),
            Self::Gemini => openai::frame(r#"{"candidates":[{"content":{"par"#, false),
            Self::Ollama(_) => ollama::frame(r#"{"model":"mock","mess"#, false),
            Self::Cohere => cohere::broken(),
            Self::Converse => converse::broken(),
        }
    }
}

/// What an error says when the script does not.
fn default_message(status: u16) -> &'static str {
    match status {
        400 => "the request is not valid",
        401 => "invalid credentials",
        403 => "the credentials do not allow this",
        404 => "not found",
        413 => "the request is too large",
        429 => "too many requests",
        529 => "overloaded",
        503 => "the service is unavailable",
        _ => "an error was scripted here",
    }
}
