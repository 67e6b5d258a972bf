//! Ollama: one JSON object a line, for chat and for generate.

use super::{Frame, default_message};
use crate::content::{Content, Part};
use crate::script::ErrorText;
use serde_json::{Map, Value, json};

/// A fixed time, because replies do not depend on the clock.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// Which of the two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Generate,
}

pub(super) fn whole(api: Api, content: &Content) -> String {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => text.push_str(&fragments.concat()),
            Part::Thinking { text, .. } => thinking.push_str(&text),
            Part::Tool { name, input, .. } => calls.push(call(&name, &input.value())),
            Part::Raw(_) => {}
        }
    }
    let mut line = said(api, content, &text, &thinking, calls);
    line.extend(end(content));
    Value::Object(line).to_string()
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"function": {"name": name, "arguments": arguments}})
}

fn said(
    api: Api,
    content: &Content,
    text: &str,
    thinking: &str,
    calls: Vec<Value>,
) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("model".to_owned(), content.model.clone().into());
    line.insert("created_at".to_owned(), CREATED.into());
    match api {
        Api::Generate => {
            line.insert("response".to_owned(), text.into());
            if !thinking.is_empty() {
                line.insert("thinking".to_owned(), thinking.into());
            }
        }
        Api::Chat => {
            let mut message = Map::new();
            message.insert("role".to_owned(), "assistant".into());
            message.insert("content".to_owned(), text.into());
            if !thinking.is_empty() {
                message.insert("thinking".to_owned(), thinking.into());
            }
            if !calls.is_empty() {
                message.insert("tool_calls".to_owned(), calls.into());
            }
            line.insert("message".to_owned(), Value::Object(message));
        }
    }
    line.insert("done".to_owned(), false.into());
    line
}

fn end(content: &Content) -> Map<String, Value> {
    let reason = match content.stop_reason.as_str() {
        "max_tokens" | "model_context_window_exceeded" => "length",
        _ => "stop",
    };
    let mut end = Map::new();
    end.insert("done".to_owned(), true.into());
    end.insert("done_reason".to_owned(), reason.into());
    for (name, count) in [
        ("total_duration", 1_000_000),
        ("load_duration", 1_000),
        ("prompt_eval_count", content.usage.input),
        ("prompt_eval_duration", 1_000),
        ("eval_count", content.usage.output),
        ("eval_duration", 1_000),
    ] {
        end.insert(name.to_owned(), count.into());
    }
    end
}

pub(super) fn stream(api: Api, content: &Content) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut add = |text: &str, thinking: &str, calls: Vec<Value>| {
        let line = Value::Object(said(api, content, text, thinking, calls));
        frames.push(frame(&line.to_string(), true));
    };
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => {
                fragments.iter().for_each(|text| add(text, "", Vec::new()));
            }
            Part::Thinking { text, .. } => add("", &text, Vec::new()),
            Part::Tool { name, input, .. } => add("", "", vec![call(&name, &input.value())]),
            Part::Raw(_) => {}
        }
    }
    let mut last = said(api, content, "", "", Vec::new());
    last.extend(end(content));
    frames.push(frame(&Value::Object(last).to_string(), false));
    frames
}

pub(super) fn frame(line: &str, is_delta: bool) -> Frame {
    Frame { bytes: format!("{line}\n").into(), is_delta }
}

pub(super) fn error(status: u16, text: &ErrorText) -> String {
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({"error": message}).to_string()
}

/// The model list.
pub(super) fn models(ids: &[String]) -> String {
    let models: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"name": id, "model": id, "modified_at": CREATED, "size": 1, "digest": "mock",
                   "details": {"family": "mock", "parameter_size": "1B"}})
        })
        .collect();
    json!({"models": models}).to_string()
}
