//! Writes replies, whole and streamed, and errors for a caller.

use std::collections::HashMap;

use crate::dialect::body::{own, quoted};
use crate::dialect::show::{self, Shown, StreamWriter, send};
use crate::dialect::text::Array;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

use super::NAME;

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    let content = content(&reply.message);
    message(reply, shown, &content, Some(&reply.stop))
}

fn message(reply: &Reply, shown: &Shown, content: &str, stop: Option<&Stop>) -> String {
    show::object(|message| {
        message.string("id", shown.id(&reply.id));
        message.string("type", "message");
        message.string("role", "assistant");
        message.string("model", shown.model(&reply.model));
        message.raw("content", content);
        match stop {
            Some(stop) => message.string("stop_reason", reason(stop)),
            None => message.raw("stop_reason", "null"),
        }
        message.raw("stop_sequence", "null");
        message.raw("usage", &usage(&reply.usage));
    })
}

/// The content array: the message's own bytes, or its parts. Another provider's thoughts are shown
/// without their signature, which is for that provider only.
fn content(message: &Message) -> String {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('[')) {
        return json.to_owned();
    }
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for block in &message.blocks {
        let part = match block {
            Block::Text(text) if text.is_empty() => continue,
            Block::Text(text) => text_block(text),
            Block::Thinking { text, .. } if text.is_empty() => continue,
            Block::Thinking { text, .. } => thinking_block(text),
            Block::ToolUse { id, name, input } => tool_block(id, name, input.get()),
            Block::ToolResult { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::Audio(_)
            | Block::Other { .. } => continue,
        };
        array.item().push_str(&part);
    }
    array.end();
    out
}

fn text_block(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, quoted(text))
}

fn thinking_block(text: &str) -> String {
    format!(r#"{{"type":"thinking","thinking":{},"signature":""}}"#, quoted(text))
}

fn tool_block(id: &str, name: &str, input: &str) -> String {
    show::object(|block| {
        block.string("type", "tool_use");
        block.string("id", id);
        block.string("name", name);
        block.raw("input", input);
    })
}

fn reason(stop: &Stop) -> &str {
    match stop {
        // Other dialects have reasons of their own, which callers of this one do not know.
        Stop::Other(_) => Stop::End.as_str(),
        known => known.as_str(),
    }
}

fn usage(usage: &Usage) -> String {
    show::object(|counts| {
        counts.raw("input_tokens", &usage.input.to_string());
        counts.raw("cache_creation_input_tokens", &usage.cache_write.to_string());
        counts.raw("cache_read_input_tokens", &usage.cache_read.to_string());
        counts.raw("output_tokens", &usage.output.to_string());
        if usage.thinking > 0 {
            let details = format!(r#"{{"thinking_tokens":{}}}"#, usage.thinking);
            counts.raw("output_tokens_details", &details);
        }
    })
}

/// Writes an error answer.
pub(super) fn refuse(status: u16, fault: &Fault) -> String {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    };
    let error = show::object(|error| {
        error.string("type", kind);
        error.string("message", &show::message(fault));
        let given = fault.detail_values().and_then(|found| found.get("error_code")?.as_str());
        let code = given.unwrap_or_else(|| fault.code().as_str());
        let details = show::object(|details| details.string("error_code", code));
        error.raw("details", &details);
    });
    format!(r#"{{"type":"error","error":{error}}}"#)
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    is_begun: bool,
    /// The caller's index of each block that is shown, by ours.
    places: HashMap<usize, usize>,
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        Self { shown: shown.clone(), is_begun: false, places: HashMap::new() }
    }

    fn begin(&mut self, id: &str, model: &str, usage: Usage, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let reply = Reply {
            id: id.to_owned(),
            model: model.to_owned(),
            message: Message { role: crate::prompt::Role::Assistant, blocks: vec![], raw: None },
            stop: Stop::End,
            usage,
            confidence: None,
        };
        let message = message(&reply, &self.shown, "[]", None);
        let data = format!(r#"{{"type":"message_start","message":{message}}}"#);
        send(out, Some("message_start"), &data);
    }

    fn open(&mut self, index: usize, part: &Part, out: &mut Vec<u8>) {
        self.begin("", "", Usage::default(), out);
        let block = match part {
            Part::Text => r#"{"type":"text","text":""}"#.to_owned(),
            Part::Thinking => thinking_block(""),
            Part::Tool { id, name } => tool_block(id, name, "{}"),
            // What we do not know cannot be put into another's words.
            Part::Other(_) => return,
        };
        let place = self.places.len();
        self.places.insert(index, place);
        let data =
            format!(r#"{{"type":"content_block_start","index":{place},"content_block":{block}}}"#);
        send(out, Some("content_block_start"), &data);
    }

    fn delta(&self, index: usize, (kind, field): (&str, &str), text: &str, out: &mut Vec<u8>) {
        let Some(place) = self.places.get(&index) else { return };
        let delta = format!(r#"{{"type":"{kind}","{field}":{}}}"#, quoted(text));
        let data = format!(r#"{{"type":"content_block_delta","index":{place},"delta":{delta}}}"#);
        send(out, Some("content_block_delta"), &data);
    }

    fn end(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        self.begin(&reply.id, &reply.model, reply.usage, out);
        let stop = quoted(reason(&reply.stop));
        let usage = usage(&reply.usage);
        let delta = format!(r#"{{"stop_reason":{stop},"stop_sequence":null}}"#);
        let data = format!(r#"{{"type":"message_delta","delta":{delta},"usage":{usage}}}"#);
        send(out, Some("message_delta"), &data);
        send(out, Some("message_stop"), r#"{"type":"message_stop"}"#);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, usage } => self.begin(id, model, *usage, out),
            Event::Open { index, part } => self.open(*index, part, out),
            Event::Text { index, text } => self.delta(*index, ("text_delta", "text"), text, out),
            Event::Thinking { index, text } => {
                self.delta(*index, ("thinking_delta", "thinking"), text, out);
            }
            Event::Input { index, json } => {
                self.delta(*index, ("input_json_delta", "partial_json"), json, out);
            }
            Event::Close { index } => {
                if let Some(place) = self.places.get(index) {
                    let data = format!(r#"{{"type":"content_block_stop","index":{place}}}"#);
                    send(out, Some("content_block_stop"), &data);
                }
            }
            Event::Ping => send(out, Some("ping"), r#"{"type":"ping"}"#),
            Event::Done(reply) => self.end(reply, out),
            Event::Fault(fault) => {
                send(out, Some("error"), &refuse(show::status(fault), fault));
            }
        }
    }
}
