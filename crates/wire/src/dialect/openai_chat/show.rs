//! Writes replies, whole and streamed, for a caller.

use std::collections::HashMap;

use super::{NAME, content};
use crate::dialect::body::{own, quoted};
use crate::dialect::show::{
    self, CHAT_COUNTS, Shown, StreamWriter, openai_error, openai_usage, send,
};
use crate::dialect::text::{Array, Object};
use crate::dialect::turns::plain;
use crate::event::{Event, Part};
use crate::frame::sse;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop};

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    let mut out = String::with_capacity(room(&reply.message));
    let mut object = Object::begin(&mut out);
    object.string("id", shown.id(&reply.id));
    object.string("object", "chat.completion");
    object.number("created", shown.created);
    object.string("model", shown.model(&reply.model));
    let mut choices = Array::begin(object.key("choices"));
    let mut choice = Object::begin(choices.item());
    choice.number("index", 0);
    message(choice.key("message"), &reply.message);
    choice.raw("logprobs", "null");
    choice.string("finish_reason", reason(&reply.stop));
    choice.end();
    choices.end();
    object.raw("usage", &openai_usage(&reply.usage, &CHAT_COUNTS));
    object.end();
    out
}

/// How many bytes a reply with this message will about have.
fn room(message: &Message) -> usize {
    const AROUND: usize = 640;
    let own = message.raw.as_ref().map(|raw| raw.json.get().len());
    let texts = message.blocks.iter().map(|block| match block {
        Block::Text(text) => text.room(),
        Block::Thinking { text, .. } => text.len(),
        Block::ToolUse { input, .. } => input.get().len(),
        _ => 0,
    });
    let texts = || texts.fold(0, usize::saturating_add);
    own.unwrap_or_else(texts).saturating_add(AROUND)
}

fn message(out: &mut String, message: &Message) {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('{')) {
        return out.push_str(json);
    }
    let text = plain(message);
    let mut thoughts = String::new();
    let mut calls = String::new();
    let mut array = Array::begin(&mut calls);
    let mut has_calls = false;
    for block in &message.blocks {
        match block {
            Block::ToolUse { .. } => {
                has_calls = true;
                content::write_call(block, array.item());
            }
            Block::Thinking { text, .. } => thoughts.push_str(text),
            Block::Text(_)
            | Block::ToolResult { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::Audio(_)
            | Block::Other { .. } => {}
        }
    }
    array.end();
    let mut object = Object::begin(out);
    object.string("role", "assistant");
    if text.room() == 0 && has_calls {
        object.raw("content", "null");
    } else {
        object.said("content", &text);
    }
    object.raw("refusal", "null");
    if !thoughts.is_empty() {
        // The name that most servers have for it, and most clients read.
        object.string("reasoning_content", &thoughts);
    }
    if has_calls {
        object.raw("tool_calls", &calls);
    }
    object.end();
}

/// Why a reply ended, in the API's words.
pub(in crate::dialect) fn reason(stop: &Stop) -> &str {
    match stop {
        Stop::MaxTokens | Stop::Window => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Refusal => "content_filter",
        // Callers of this dialect do not know the reasons of others.
        Stop::End | Stop::Sequence | Stop::Pause | Stop::Other(_) => "stop",
    }
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    id: String,
    model: String,
    is_begun: bool,
    /// The caller's index of each call, by the block's.
    calls: HashMap<usize, usize>,
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        let (id, model) = (shown.id.clone(), shown.model.clone());
        Self { shown: shown.clone(), id, model, is_begun: false, calls: HashMap::new() }
    }

    fn begin(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        self.id = self.shown.id(id).to_owned();
        self.model = self.shown.model(model).to_owned();
        self.delta(r#"{"role":"assistant","content":""}"#, out);
    }

    fn delta(&self, delta: &str, out: &mut Vec<u8>) {
        let choice =
            format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]"#);
        self.chunk(&choice, None, out);
    }

    fn chunk(&self, choices: &str, usage: Option<&str>, out: &mut Vec<u8>) {
        let chunk = show::object(|object| {
            object.string("id", &self.id);
            object.string("object", "chat.completion.chunk");
            object.number("created", self.shown.created);
            object.string("model", &self.model);
            object.raw("choices", choices);
            if self.shown.wants_usage {
                object.raw("usage", usage.unwrap_or("null"));
            }
        });
        send(out, None, &chunk);
    }

    fn piece(&mut self, field: &str, text: &str, out: &mut Vec<u8>) {
        self.begin("", "", out);
        self.delta(&format!(r#"{{"{field}":{}}}"#, quoted(text)), out);
    }

    fn open(&mut self, index: usize, part: &Part, out: &mut Vec<u8>) {
        self.begin("", "", out);
        let Part::Tool { id, name } = part else { return };
        let place = self.calls.len();
        self.calls.insert(index, place);
        let function = format!(r#"{{"name":{},"arguments":""}}"#, quoted(name));
        let call = format!(
            r#"{{"index":{place},"id":{},"type":"function","function":{function}}}"#,
            quoted(id)
        );
        self.delta(&format!(r#"{{"tool_calls":[{call}]}}"#), out);
    }

    fn input(&self, index: usize, json: &str, out: &mut Vec<u8>) {
        let Some(place) = self.calls.get(&index) else { return };
        let function = format!(r#"{{"arguments":{}}}"#, quoted(json));
        let call = format!(r#"{{"index":{place},"function":{function}}}"#);
        self.delta(&format!(r#"{{"tool_calls":[{call}]}}"#), out);
    }

    fn end(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        self.begin(&reply.id, &reply.model, out);
        let reason = quoted(reason(&reply.stop));
        let choice =
            format!(r#"[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":{reason}}}]"#);
        self.chunk(&choice, None, out);
        if self.shown.wants_usage {
            let usage = openai_usage(&reply.usage, &CHAT_COUNTS);
            self.chunk("[]", Some(&usage), out);
        }
        send(out, None, "[DONE]");
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => self.begin(id, model, out),
            Event::Open { index, part } => self.open(*index, part, out),
            Event::Text { text, .. } => self.piece("content", text, out),
            Event::Thinking { text, .. } => self.piece("reasoning_content", text, out),
            Event::Input { index, json } => self.input(*index, json, out),
            Event::Close { .. } => {}
            Event::Ping => out.extend_from_slice(&sse::comment("ping")),
            Event::Done(reply) => self.end(reply, out),
            Event::Fault(fault) => send(out, None, &openai_error(show::status(fault), fault)),
        }
    }
}
