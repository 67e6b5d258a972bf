//! Gemini: candidates with parts, whole and as events.

use super::{Frame, default_message, openai};
use crate::content::{Content, Counted, Part};
use crate::script::ErrorText;
use serde_json::{Map, Value, json};

pub(super) fn whole(content: &Content) -> String {
    let parts = content.parts.iter().filter_map(Part::translated);
    let parts: Vec<Value> = parts.flat_map(|part| whole_part(&part)).collect();
    chunk(content, &parts, true).to_string()
}

fn whole_part(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(fragments) => json!({"text": fragments.concat()}),
        Part::Thinking { text, signature } => {
            json!({"text": text, "thought": true, "thoughtSignature": signature})
        }
        Part::Tool { id, name, input } => {
            json!({"functionCall": {"id": id, "name": name, "args": input.value()}})
        }
        Part::Raw(_) => return None,
    })
}

fn chunk(content: &Content, parts: &[Value], is_last: bool) -> Value {
    let mut candidate = Map::new();
    candidate.insert("content".to_owned(), json!({"role": "model", "parts": parts}));
    if is_last {
        candidate.insert("finishReason".to_owned(), finish(&content.stop_reason).into());
    }
    candidate.insert("index".to_owned(), 0.into());
    json!({
        "candidates": [candidate],
        "usageMetadata": usage(content.usage),
        "modelVersion": content.model,
        "responseId": format!("gemini-mock-{:06}", content.number),
    })
}

/// Anthropic's word in Gemini's; a word of Gemini's own stays.
fn finish(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" | "pause_turn" | "tool_use" => "STOP",
        "max_tokens" | "model_context_window_exceeded" => "MAX_TOKENS",
        "refusal" => "SAFETY",
        other => other,
    }
}

fn usage(counted: Counted) -> Value {
    let prompt =
        counted.input.saturating_add(counted.cache_read).saturating_add(counted.cache_creation);
    json!({
        "promptTokenCount": prompt, "candidatesTokenCount": counted.output,
        "cachedContentTokenCount": counted.cache_read,
        "totalTokenCount": prompt.saturating_add(counted.output),
    })
}

pub(super) fn stream(content: &Content) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut add = |parts: Vec<Value>, is_last: bool| {
        let is_delta = !parts.is_empty();
        frames.push(openai::frame(&chunk(content, &parts, is_last).to_string(), is_delta));
    };
    for part in content.parts.iter().filter_map(Part::translated) {
        match &part {
            Part::Text(fragments) => {
                fragments.iter().for_each(|text| add(vec![json!({"text": text})], false));
            }
            other => whole_part(other).into_iter().for_each(|part| add(vec![part], false)),
        }
    }
    add(Vec::new(), true);
    frames
}

pub(super) fn error(status: u16, text: &ErrorText) -> String {
    let kind = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let kind = text.kind.as_deref().unwrap_or(kind);
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({"error": {"code": status, "message": message, "status": kind}}).to_string()
}

/// The model list.
pub(super) fn models(ids: &[String]) -> String {
    let models: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"name": format!("models/{id}"), "displayName": id, "inputTokenLimit": 1_000_000,
                   "outputTokenLimit": 64_000,
                   "supportedGenerationMethods": ["generateContent", "countTokens"]})
        })
        .collect();
    json!({"models": models}).to_string()
}
