//! Chat Completions: bodies, chunks, errors, models.

use super::{ARGUMENT_CHARS, Frame, default_message};
use crate::content::{Content, Counted, Part, pieces};
use crate::script::ErrorText;
use serde_json::{Map, Value, json};

/// A fixed time, because replies do not depend on the clock.
const CREATED: u64 = 1_767_225_600;

pub(super) fn whole(content: &Content) -> String {
    let (mut text, mut reasoning, mut calls) = (None::<String>, None::<String>, Vec::new());
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => {
                text.get_or_insert_default().push_str(&fragments.concat());
            }
            Part::Thinking { text, .. } => reasoning.get_or_insert_default().push_str(&text),
            Part::Tool { id, name, input } => calls.push(json!({
                "id": id, "type": "function",
                "function": {"name": name, "arguments": input.as_str()},
            })),
            Part::Raw(_) => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(text));
    message.insert("refusal".to_owned(), Value::Null);
    if let Some(reasoning) = reasoning {
        message.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    json!({
        "id": id(content.number),
        "object": "chat.completion",
        "created": CREATED,
        "model": content.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&content.stop_reason),
        }],
        "usage": usage(content.usage),
    })
    .to_string()
}

fn id(number: u64) -> String {
    format!("chatcmpl-mock-{number:06}")
}

/// Anthropic's word in OpenAI's; a word of OpenAI's own stays.
fn finish_reason(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" | "pause_turn" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    }
}

/// OpenAI counts cached tokens into the prompt; Anthropic beside it.
fn usage(counted: Counted) -> Value {
    let prompt =
        counted.input.saturating_add(counted.cache_read).saturating_add(counted.cache_creation);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": counted.output,
        "total_tokens": prompt.saturating_add(counted.output),
        "prompt_tokens_details": {"cached_tokens": counted.cache_read},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

pub(super) fn stream(content: &Content, usage_chunk: bool) -> Vec<Frame> {
    let chunks = Chunks { content, usage_chunk };
    let opening = json!({"role": "assistant", "content": "", "refusal": null});
    let mut frames = vec![chunks.frame(&opening, None, false)];
    let mut calls = 0;
    for part in content.parts.iter().filter_map(Part::translated) {
        match part {
            Part::Text(fragments) => frames.extend(
                fragments.iter().map(|text| chunks.frame(&json!({"content": text}), None, true)),
            ),
            Part::Thinking { text, .. } => frames.extend(
                text.split_inclusive(' ')
                    .map(|word| chunks.frame(&json!({"reasoning_content": word}), None, true)),
            ),
            Part::Tool { id, name, input } => {
                let head = json!({"tool_calls": [{
                    "index": calls, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""},
                }]});
                frames.push(chunks.frame(&head, None, true));
                frames.extend(pieces(input.as_str(), ARGUMENT_CHARS).iter().map(|piece| {
                    let function = json!({"arguments": piece});
                    let delta = json!({"tool_calls": [{"index": calls, "function": function}]});
                    chunks.frame(&delta, None, true)
                }));
                calls += 1;
            }
            Part::Raw(_) => {}
        }
    }
    frames.push(chunks.frame(&json!({}), Some(finish_reason(&content.stop_reason)), false));
    if usage_chunk {
        frames.push(chunks.last());
    }
    frames.push(frame("[DONE]", false));
    frames
}

/// What all chunks of one stream have in common.
struct Chunks<'a> {
    content: &'a Content,
    usage_chunk: bool,
}

impl Chunks<'_> {
    fn frame(&self, delta: &Value, finish_reason: Option<&str>, is_delta: bool) -> Frame {
        let mut chunk = self.head(json!([{
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        }]));
        if self.usage_chunk {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        frame(&Value::Object(chunk).to_string(), is_delta)
    }

    /// The chunk without choices that carries the usage.
    fn last(&self) -> Frame {
        let mut chunk = self.head(json!([]));
        chunk.insert("usage".to_owned(), usage(self.content.usage));
        frame(&Value::Object(chunk).to_string(), false)
    }

    fn head(&self, choices: Value) -> Map<String, Value> {
        let mut chunk = Map::new();
        chunk.insert("id".to_owned(), json!(id(self.content.number)));
        chunk.insert("object".to_owned(), json!("chat.completion.chunk"));
        chunk.insert("created".to_owned(), json!(CREATED));
        chunk.insert("model".to_owned(), json!(self.content.model));
        chunk.insert("choices".to_owned(), choices);
        chunk
    }
}

pub(super) fn frame(data: &str, is_delta: bool) -> Frame {
    Frame { bytes: format!("data: {data}\n\n").into(), is_delta }
}

pub(super) fn error(status: u16, text: &ErrorText) -> String {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        429 => ("requests", json!("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", Value::Null),
        _ => ("server_error", Value::Null),
    };
    let kind = text.kind.as_deref().unwrap_or(kind);
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}

/// The model list.
pub(crate) fn models(ids: &[String]) -> String {
    let data: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock"}))
        .collect();
    json!({"object": "list", "data": data}).to_string()
}
