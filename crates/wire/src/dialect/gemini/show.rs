//! Writes replies, whole and streamed, and errors for a caller.

use std::collections::HashMap;

use super::NAME;
use crate::dialect::body::{own, quoted};
use crate::dialect::show::{self, Shown, StreamWriter, send};
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    let parts = parts(&reply.message);
    let names = (shown.id(&reply.id), shown.model(&reply.model));
    chunk(names, &parts, Some((&reply.stop, &reply.usage)))
}

/// Writes a reply or a piece of one; `names` are its id and model.
fn chunk(names: (&str, &str), parts: &str, end: Option<(&Stop, &Usage)>) -> String {
    show::object(|object| {
        let candidate = show::object(|candidate| {
            candidate.raw("content", &format!(r#"{{"parts":{parts},"role":"model"}}"#));
            if let Some((stop, _)) = end {
                candidate.string("finishReason", reason(stop));
            }
            candidate.raw("index", "0");
        });
        object.raw("candidates", &format!("[{candidate}]"));
        if let Some((_, usage)) = end {
            object.raw("usageMetadata", &counts(usage));
        }
        object.string("modelVersion", names.1);
        object.string("responseId", names.0);
    })
}

/// The parts: the message's own bytes, or its blocks. Another provider's thoughts are shown
/// without their signature, which is for that provider only.
fn parts(message: &Message) -> String {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('[')) {
        return json.to_owned();
    }
    let part = |block: &Block| match block {
        Block::Text(text) => Some(said(text, false)),
        Block::Thinking { text, .. } if text.is_empty() => None,
        Block::Thinking { text, .. } => Some(said(text, true)),
        Block::ToolUse { id, name, input } => Some(called(id, name, input.get())),
        Block::ToolResult { .. }
        | Block::Image(_)
        | Block::Document(_)
        | Block::Audio(_)
        | Block::Other { .. } => None,
    };
    let parts: Vec<String> = message.blocks.iter().filter_map(part).collect();
    format!("[{}]", parts.join(","))
}

fn said(text: &str, is_thought: bool) -> String {
    let mark = if is_thought { r#","thought":true"# } else { "" };
    format!(r#"{{"text":{}{mark}}}"#, quoted(text))
}

fn called(id: &str, name: &str, args: &str) -> String {
    let call = show::object(|call| {
        call.string("id", id);
        call.string("name", name);
        if args.starts_with('{') {
            call.raw("args", args);
        } else {
            call.raw("args", &format!(r#"{{"value":{args}}}"#));
        }
    });
    format!(r#"{{"functionCall":{call}}}"#)
}

fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::MaxTokens | Stop::Window => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
        Stop::Other(_) => "OTHER",
        Stop::End | Stop::Sequence | Stop::ToolUse | Stop::Pause => "STOP",
    }
}

fn counts(usage: &Usage) -> String {
    show::object(|counts| {
        let prompt = usage.prompt();
        counts.raw("promptTokenCount", &prompt.to_string());
        let said = usage.output.saturating_sub(usage.thinking);
        counts.raw("candidatesTokenCount", &said.to_string());
        counts.raw("totalTokenCount", &prompt.saturating_add(usage.output).to_string());
        if usage.cache_read > 0 {
            counts.raw("cachedContentTokenCount", &usage.cache_read.to_string());
        }
        if usage.thinking > 0 {
            counts.raw("thoughtsTokenCount", &usage.thinking.min(usage.output).to_string());
        }
    })
}

/// Writes an error answer.
pub(super) fn refuse(status: u16, fault: &Fault) -> String {
    let name = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let error = show::object(|error| {
        error.raw("code", &status.to_string());
        error.string("message", &show::message(fault));
        error.string("status", name);
        let reason = quoted(fault.code().as_str());
        let kind = r#""@type":"type.googleapis.com/google.rpc.ErrorInfo""#;
        error.raw("details", &format!("[{{{kind},\"reason\":{reason}}}]"));
    });
    format!(r#"{{"error":{error}}}"#)
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    id: String,
    model: String,
    /// The calls whose arguments are still coming, by their block's index.
    calls: HashMap<usize, (String, String, String)>,
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        let (id, model) = (shown.id.clone(), shown.model.clone());
        Self { shown: shown.clone(), id, model, calls: HashMap::new() }
    }

    fn part(&self, part: &str, out: &mut Vec<u8>) {
        send(out, None, &chunk((&self.id, &self.model), &format!("[{part}]"), None));
    }

    fn call(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some((id, name, args)) = self.calls.remove(&index) else { return };
        // The API has no half calls.
        if serde_json::from_str::<serde::de::IgnoredAny>(&args).is_ok() {
            self.part(&called(&id, &name, &args), out);
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                self.id = self.shown.id(id).to_owned();
                self.model = self.shown.model(model).to_owned();
            }
            Event::Open { index, part: Part::Tool { id, name } } => {
                self.calls.insert(*index, (id.clone(), name.clone(), String::new()));
            }
            Event::Open { .. } => {}
            Event::Text { text, .. } => self.part(&said(text, false), out),
            Event::Thinking { text, .. } => self.part(&said(text, true), out),
            Event::Input { index, json } => {
                if let Some((_, _, args)) = self.calls.get_mut(index) {
                    args.push_str(json);
                }
            }
            Event::Close { index } => self.call(*index, out),
            Event::Ping => out.extend_from_slice(&sse::comment("ping")),
            Event::Done(reply) => {
                let names = (self.shown.id(&reply.id), self.shown.model(&reply.model));
                let end = Some((&reply.stop, &reply.usage));
                send(out, None, &chunk(names, r#"[{"text":""}]"#, end));
            }
            Event::Fault(fault) => send(out, None, &refuse(show::status(fault), fault)),
        }
    }
}
