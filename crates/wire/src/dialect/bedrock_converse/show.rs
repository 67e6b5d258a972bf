//! Writes replies, whole and streamed, and errors for a caller.

use std::collections::BTreeMap;

use super::NAME;
use crate::dialect::body::{own, quoted};
use crate::dialect::show::{self, StreamWriter};
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::eventstream::encode;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply) -> String {
    show::object(|object| {
        let content = content(&reply.message);
        let message = format!(r#"{{"role":"assistant","content":{content}}}"#);
        object.raw("output", &format!(r#"{{"message":{message}}}"#));
        object.string("stopReason", reason(&reply.stop));
        object.raw("usage", &counts(&reply.usage));
        object.raw("metrics", r#"{"latencyMs":0}"#);
    })
}

/// The content: the message's own bytes, or its blocks. Another provider's thoughts are shown
/// without their signature, which is for that provider only.
fn content(message: &Message) -> String {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('[')) {
        return json.to_owned();
    }
    let block = |block: &Block| match block {
        Block::Text(text) => Some(format!(r#"{{"text":{}}}"#, quoted(text))),
        Block::Thinking { text, .. } if text.is_empty() => None,
        Block::Thinking { text, .. } => {
            let text = format!(r#"{{"text":{}}}"#, quoted(text));
            Some(format!(r#"{{"reasoningContent":{{"reasoningText":{text}}}}}"#))
        }
        Block::ToolUse { id, name, input } => {
            let call = show::object(|call| {
                call.string("toolUseId", id);
                call.string("name", name);
                call.raw("input", input.get());
            });
            Some(format!(r#"{{"toolUse":{call}}}"#))
        }
        Block::ToolResult { .. }
        | Block::Image(_)
        | Block::Document(_)
        | Block::Audio(_)
        | Block::Other { .. } => None,
    };
    let blocks: Vec<String> = message.blocks.iter().filter_map(block).collect();
    format!("[{}]", blocks.join(","))
}

/// Why a reply ended, in the API's words.
fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::MaxTokens => "max_tokens",
        Stop::Window => "model_context_window_exceeded",
        Stop::Sequence => "stop_sequence",
        Stop::ToolUse => "tool_use",
        Stop::Refusal => "content_filtered",
        // Callers of this dialect do not know the reasons of others.
        Stop::End | Stop::Pause | Stop::Other(_) => "end_turn",
    }
}

fn counts(usage: &Usage) -> String {
    show::object(|counts| {
        counts.raw("inputTokens", &usage.input.to_string());
        counts.raw("outputTokens", &usage.output.to_string());
        let total = usage.prompt().saturating_add(usage.output);
        counts.raw("totalTokens", &total.to_string());
        counts.raw("cacheReadInputTokens", &usage.cache_read.to_string());
        counts.raw("cacheWriteInputTokens", &usage.cache_write.to_string());
    })
}

/// What the API calls an error of this status.
fn exception(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        429 => "ThrottlingException",
        502 | 503 | 529 => "ServiceUnavailableException",
        400..500 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// Writes an error answer.
pub(super) fn refuse(status: u16, fault: &Fault) -> String {
    show::object(|error| {
        error.string("__type", exception(status));
        error.string("message", &show::message(fault));
    })
}

/// Writes a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Writer {
    is_begun: bool,
    /// The caller's index of each open block, by ours.
    places: BTreeMap<usize, usize>,
    count: usize,
}

impl Writer {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_begun, true) {
            send("messageStart", r#"{"role":"assistant"}"#, out);
        }
    }

    /// The caller's index of a block; one that was not opened is opened now.
    fn place(&mut self, index: usize, out: &mut Vec<u8>) -> usize {
        self.begin(out);
        if let Some(place) = self.places.get(&index) {
            return *place;
        }
        let place = self.count;
        self.count = place.saturating_add(1);
        self.places.insert(index, place);
        place
    }

    fn open(&mut self, index: usize, part: &Part, out: &mut Vec<u8>) {
        self.begin(out);
        // Only calls are announced; the others begin with their first piece.
        let Part::Tool { id, name } = part else { return };
        let place = self.place(index, out);
        let start = show::object(|start| {
            start.string("toolUseId", id);
            start.string("name", name);
        });
        let start = format!(r#"{{"toolUse":{start}}}"#);
        let event = format!(r#"{{"start":{start},"contentBlockIndex":{place}}}"#);
        send("contentBlockStart", &event, out);
    }

    fn delta(&mut self, index: usize, delta: &str, out: &mut Vec<u8>) {
        let place = self.place(index, out);
        let event = format!(r#"{{"delta":{delta},"contentBlockIndex":{place}}}"#);
        send("contentBlockDelta", &event, out);
    }

    fn close(&mut self, index: usize, out: &mut Vec<u8>) {
        if let Some(place) = self.places.remove(&index) {
            send("contentBlockStop", &format!(r#"{{"contentBlockIndex":{place}}}"#), out);
        }
    }

    fn end(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        self.begin(out);
        while let Some(index) = self.places.keys().next().copied() {
            self.close(index, out);
        }
        let reason = quoted(reason(&reply.stop));
        send("messageStop", &format!(r#"{{"stopReason":{reason}}}"#), out);
        let usage = counts(&reply.usage);
        send("metadata", &format!(r#"{{"usage":{usage},"metrics":{{"latencyMs":0}}}}"#), out);
    }
}

/// Appends an event.
fn send(name: &str, data: &str, out: &mut Vec<u8>) {
    let headers =
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    out.extend_from_slice(&encode(&headers, data.as_bytes()));
}

/// Appends an error; nothing follows it.
fn fail(fault: &Fault, out: &mut Vec<u8>) {
    let name = exception(show::status(fault));
    let mut letters = name.chars();
    // In streams the names begin with a small letter.
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let name: String = first.into_iter().chain(letters).collect();
    let data = show::object(|error| error.string("message", &show::message(fault)));
    let headers = [
        (":exception-type", name.as_str()),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    out.extend_from_slice(&encode(&headers, data.as_bytes()));
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.begin(out),
            Event::Open { index, part } => self.open(*index, part, out),
            Event::Text { index, text } => {
                self.delta(*index, &format!(r#"{{"text":{}}}"#, quoted(text)), out);
            }
            Event::Thinking { index, text } => {
                let text = format!(r#"{{"text":{}}}"#, quoted(text));
                self.delta(*index, &format!(r#"{{"reasoningContent":{text}}}"#), out);
            }
            Event::Input { index, json } => {
                // Without its announcement a piece of a call belongs to nothing.
                if self.places.contains_key(index) {
                    let input = format!(r#"{{"input":{}}}"#, quoted(json));
                    self.delta(*index, &format!(r#"{{"toolUse":{input}}}"#), out);
                }
            }
            Event::Close { index } => self.close(*index, out),
            // The format has no word for it.
            Event::Ping => {}
            Event::Done(reply) => self.end(reply, out),
            Event::Fault(fault) => fail(fault, out),
        }
    }
}
