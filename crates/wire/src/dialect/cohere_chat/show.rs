//! Writes replies, whole and streamed, and errors for a caller.

use std::collections::HashMap;

use super::NAME;
use crate::dialect::body::{own, quoted};
use crate::dialect::openai_chat::content::write_call;
use crate::dialect::show::{self, Shown, StreamWriter};
use crate::dialect::text::Array;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    show::object(|object| {
        object.string("id", shown.id(&reply.id));
        object.raw("message", &message(&reply.message));
        object.string("finish_reason", reason(&reply.stop));
        object.raw("usage", &counts(&reply.usage));
    })
}

fn message(message: &Message) -> String {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('{')) {
        return json.to_owned();
    }
    let (mut parts, mut calls) = (Vec::new(), Vec::new());
    for block in &message.blocks {
        match block {
            Block::Text(text) if text.is_empty() => {}
            Block::Thinking { text, .. } if text.is_empty() => {}
            Block::Text(text) => parts.push(piece("text", text)),
            Block::Thinking { text, .. } => parts.push(piece("thinking", text)),
            Block::ToolUse { .. } => calls.push(block),
            Block::ToolResult { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::Audio(_)
            | Block::Other { .. } => {}
        }
    }
    show::object(|object| {
        object.string("role", "assistant");
        if !calls.is_empty() {
            let mut array = Array::begin(object.key("tool_calls"));
            for call in &calls {
                write_call(call, array.item());
            }
            array.end();
        }
        if calls.is_empty() || !parts.is_empty() {
            object.raw("content", &format!("[{}]", parts.join(",")));
        }
    })
}

/// A part of the content.
fn piece(kind: &str, text: &str) -> String {
    format!(r#"{{"type":"{kind}","{kind}":{}}}"#, quoted(text))
}

/// Why a reply ended, in the API's words.
fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::MaxTokens | Stop::Window => "MAX_TOKENS",
        Stop::Sequence => "STOP_SEQUENCE",
        Stop::ToolUse => "TOOL_CALL",
        // Callers of this dialect know no other good end.
        Stop::End | Stop::Refusal | Stop::Pause | Stop::Other(_) => "COMPLETE",
    }
}

fn counts(usage: &Usage) -> String {
    let sides = show::object(|sides| {
        sides.raw("input_tokens", &usage.prompt().to_string());
        sides.raw("output_tokens", &usage.output.to_string());
    });
    show::object(|counts| {
        counts.raw("billed_units", &sides);
        counts.raw("tokens", &sides);
        if usage.cache_read > 0 {
            counts.raw("cached_tokens", &usage.cache_read.to_string());
        }
    })
}

/// Writes an error answer.
pub(super) fn refuse(fault: &Fault) -> String {
    show::object(|object| {
        object.string("message", &show::message(fault));
        object.string("code", fault.code().as_str());
    })
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    is_begun: bool,
    /// What each open block is to the caller, by its index.
    places: HashMap<usize, Place>,
    contents: usize,
    calls: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Text(usize),
    Thinking(usize),
    Call(usize),
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        Self {
            shown: shown.clone(),
            is_begun: false,
            places: HashMap::new(),
            contents: 0,
            calls: 0,
        }
    }

    fn begin(&mut self, id: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let message =
            r#"{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}"#;
        let event = show::object(|event| {
            event.string("type", "message-start");
            event.string("id", self.shown.id(id));
            event.raw("delta", &format!(r#"{{"message":{message}}}"#));
        });
        show::send(out, Some("message-start"), &event);
    }

    fn open(&mut self, index: usize, part: &Part, out: &mut Vec<u8>) {
        self.begin("", out);
        let place = match part {
            Part::Text => Place::Text(self.contents),
            Part::Thinking => Place::Thinking(self.contents),
            Part::Tool { .. } => Place::Call(self.calls),
            Part::Other(_) => return,
        };
        self.places.insert(index, place);
        match (place, part) {
            (Place::Call(at), Part::Tool { id, name }) => {
                self.calls = self.calls.saturating_add(1);
                let function = format!(r#"{{"name":{},"arguments":""}}"#, quoted(name));
                let call =
                    format!(r#"{{"id":{},"type":"function","function":{function}}}"#, quoted(id));
                send("tool-call-start", Some(at), &format!(r#"{{"tool_calls":{call}}}"#), out);
            }
            (Place::Text(at) | Place::Thinking(at), _) => {
                self.contents = self.contents.saturating_add(1);
                let kind = place.kind();
                let start = format!(r#"{{"type":"{kind}","{kind}":""}}"#);
                send("content-start", Some(at), &format!(r#"{{"content":{start}}}"#), out);
            }
            (Place::Call(_), _) => {}
        }
    }

    fn piece(&mut self, index: usize, part: &Part, text: &str, out: &mut Vec<u8>) {
        if !self.places.contains_key(&index) {
            self.open(index, part, out);
        }
        let Some(place @ (Place::Text(at) | Place::Thinking(at))) = self.places.get(&index) else {
            return;
        };
        let delta = format!(r#"{{"content":{{"{}":{}}}}}"#, place.kind(), quoted(text));
        send("content-delta", Some(*at), &delta, out);
    }

    fn input(&self, index: usize, json: &str, out: &mut Vec<u8>) {
        let Some(Place::Call(at)) = self.places.get(&index) else { return };
        let function = format!(r#"{{"arguments":{}}}"#, quoted(json));
        let delta = format!(r#"{{"tool_calls":{{"function":{function}}}}}"#);
        send("tool-call-delta", Some(*at), &delta, out);
    }

    fn close(&mut self, index: usize, out: &mut Vec<u8>) {
        let (name, at) = match self.places.remove(&index) {
            Some(Place::Text(at) | Place::Thinking(at)) => ("content-end", at),
            Some(Place::Call(at)) => ("tool-call-end", at),
            None => return,
        };
        let event = format!(r#"{{"type":"{name}","index":{at}}}"#);
        show::send(out, Some(name), &event);
    }

    fn end(&mut self, reason: &str, rest: (&str, &str), out: &mut Vec<u8>) {
        let mut open: Vec<usize> = self.places.keys().copied().collect();
        open.sort_unstable();
        for index in open {
            self.close(index, out);
        }
        let delta = show::object(|delta| {
            delta.string("finish_reason", reason);
            delta.raw(rest.0, rest.1);
        });
        let event = format!(r#"{{"type":"message-end","delta":{delta}}}"#);
        show::send(out, Some("message-end"), &event);
        show::send(out, None, "[DONE]");
    }
}

impl Place {
    fn kind(self) -> &'static str {
        if matches!(self, Self::Thinking(_)) { "thinking" } else { "text" }
    }
}

/// Appends an event that carries a piece of the message.
fn send(name: &str, index: Option<usize>, message: &str, out: &mut Vec<u8>) {
    let event = show::object(|event| {
        event.string("type", name);
        if let Some(index) = index {
            event.raw("index", &index.to_string());
        }
        event.raw("delta", &format!(r#"{{"message":{message}}}"#));
    });
    show::send(out, Some(name), &event);
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => self.begin(id, out),
            Event::Open { index, part } => self.open(*index, part, out),
            Event::Text { index, text } => self.piece(*index, &Part::Text, text, out),
            Event::Thinking { index, text } => self.piece(*index, &Part::Thinking, text, out),
            Event::Input { index, json } => self.input(*index, json, out),
            Event::Close { index } => self.close(*index, out),
            Event::Ping => out.extend_from_slice(&sse::comment("ping")),
            Event::Done(reply) => {
                self.begin(&reply.id, out);
                self.end(reason(&reply.stop), ("usage", &counts(&reply.usage)), out);
            }
            Event::Fault(fault) => {
                self.end("ERROR", ("error", &quoted(&show::message(fault))), out);
            }
        }
    }
}
