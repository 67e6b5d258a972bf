//! Cohere's chat of the second version: bodies, events, errors.

use super::{ARGUMENT_CHARS, Frame, default_message};
use crate::content::{Content, Part, pieces};
use crate::script::ErrorText;
use serde_json::{Map, Value, json};

pub(super) fn whole(content: &Content) -> String {
    let (mut parts, mut calls) = (Vec::new(), Vec::new());
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => parts.push(piece("text", &fragments.concat())),
            Part::Thinking { text, .. } => parts.push(piece("thinking", &text)),
            Part::Tool { id, name, input } => calls.push(call(&id, &name, input.as_str())),
            Part::Raw(_) => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    if !parts.is_empty() {
        message.insert("content".to_owned(), parts.into());
    }
    json!({"id": id(content), "message": message, "finish_reason": reason(content),
           "usage": usage(content)})
    .to_string()
}

fn id(content: &Content) -> String {
    format!("chat-mock-{:06}", content.number)
}

fn piece(kind: &str, text: &str) -> Value {
    let mut piece = Map::new();
    piece.insert("type".to_owned(), kind.into());
    piece.insert(kind.to_owned(), text.into());
    Value::Object(piece)
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn reason(content: &Content) -> &'static str {
    match content.stop_reason.as_str() {
        "max_tokens" | "model_context_window_exceeded" => "MAX_TOKENS",
        "stop_sequence" => "STOP_SEQUENCE",
        "tool_use" => "TOOL_CALL",
        _ => "COMPLETE",
    }
}

fn usage(content: &Content) -> Value {
    let counted = content.usage;
    let sides = json!({"input_tokens": counted.input + counted.cache_read,
                       "output_tokens": counted.output});
    let mut usage = json!({"billed_units": sides, "tokens": sides});
    if let (Value::Object(usage), 1..) = (&mut usage, counted.cache_read) {
        usage.insert("cached_tokens".to_owned(), counted.cache_read.into());
    }
    usage
}

pub(super) fn stream(content: &Content) -> Vec<Frame> {
    let empty = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
                       "citations": []});
    let mut frames = vec![event(
        &json!({"type": "message-start", "id": id(content), "delta": {"message": empty}}),
        false,
    )];
    let (mut contents, mut calls) = (0_u64, 0_u64);
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => said(&mut frames, &mut contents, ("text", &fragments)),
            Part::Thinking { text, .. } => {
                said(&mut frames, &mut contents, ("thinking", &[text]));
            }
            Part::Tool { id, name, input } => {
                called(&mut frames, calls, &call(&id, &name, ""), input.as_str());
                calls += 1;
            }
            Part::Raw(_) => {}
        }
    }
    let end = json!({"finish_reason": reason(content), "usage": usage(content)});
    frames.push(event(&json!({"type": "message-end", "delta": end}), false));
    frames.push(Frame { bytes: "data: [DONE]\n\n".into(), is_delta: false });
    frames
}

fn said(frames: &mut Vec<Frame>, index: &mut u64, (kind, fragments): (&str, &[String])) {
    let start = json!({"message": {"content": piece(kind, "")}});
    let start = json!({"type": "content-start", "index": *index, "delta": start});
    frames.push(event(&start, false));
    for text in fragments {
        let mut content = Map::new();
        content.insert(kind.to_owned(), text.as_str().into());
        let delta = json!({"message": {"content": content}});
        let delta = json!({"type": "content-delta", "index": *index, "delta": delta});
        frames.push(event(&delta, true));
    }
    frames.push(event(&json!({"type": "content-end", "index": *index}), false));
    *index += 1;
}

fn called(frames: &mut Vec<Frame>, index: u64, call: &Value, arguments: &str) {
    let start = json!({"message": {"tool_calls": call}});
    frames.push(event(&json!({"type": "tool-call-start", "index": index, "delta": start}), false));
    for text in pieces(arguments, ARGUMENT_CHARS) {
        let delta = json!({"message": {"tool_calls": {"function": {"arguments": text}}}});
        let delta = json!({"type": "tool-call-delta", "index": index, "delta": delta});
        frames.push(event(&delta, true));
    }
    frames.push(event(&json!({"type": "tool-call-end", "index": index}), false));
}

fn event(event: &Value, is_delta: bool) -> Frame {
    let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
    Frame { bytes: format!("event: {name}\ndata: {event}\n\n").into(), is_delta }
}

pub(super) fn error(status: u16, text: &ErrorText) -> String {
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({"id": "mock", "message": message}).to_string()
}

/// An error in mid-stream is an end like any other, but for its reason.
pub(super) fn error_event(text: &ErrorText) -> Frame {
    let message = text.message.as_deref().unwrap_or_else(|| default_message(529));
    let delta = json!({"finish_reason": "ERROR", "error": message});
    event(&json!({"type": "message-end", "delta": delta}), false)
}

/// An event whose JSON ends in the middle.
pub(super) fn broken() -> Frame {
    let bytes = "event: content-delta\ndata: {\"type\":\"content-delta\",\"ind\n\n".into();
    Frame { bytes, is_delta: false }
}
