//! What a model's stream looks like, how it ends, and the one short question that is asked for one.

use serde_json::{Value, json};

use super::events::{Event, Stream};

/// How far a model's stream came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// These are no events of a model.
    NotAModel,
    /// It began and did not say that it is over.
    Unfinished,
    /// It said why it stopped, and the mark after it is missing.
    Unmarked,
    /// It is over.
    Finished,
}

/// How far a stream came.
pub(super) fn course(stream: &Stream) -> Course {
    let mut course = Course::NotAModel;
    for event in &stream.events {
        let Some(value) = json(event) else {
            if event.data.trim() == "[DONE]" {
                return Course::Finished;
            }
            continue;
        };
        if is_over(&value) {
            return Course::Finished;
        }
        if has_reason(&value) {
            course = Course::Unmarked;
        } else if course == Course::NotAModel && is_of_model(&value) {
            course = Course::Unfinished;
        }
    }
    course
}

/// The data of an event as JSON.
pub(super) fn json(event: &Event) -> Option<Value> {
    serde_json::from_str(&event.data).ok()
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_of_model(value: &Value) -> bool {
    let kinds = ["message_start", "content_block", "message_delta", "response."];
    value.get("choices").is_some()
        || value.get("candidates").is_some()
        || (value.get("model").is_some() && value.get("done").is_some())
        || kinds.iter().any(|start| kind(value).starts_with(start))
}

/// The last event of Anthropic, of OpenAI's responses, or of Ollama.
fn is_over(value: &Value) -> bool {
    let last = ["message_stop", "response.completed", "response.incomplete", "response.failed"];
    last.contains(&kind(value)) || value.get("done") == Some(&Value::Bool(true))
}

/// The reason a model stopped, in the event before the last.
fn has_reason(value: &Value) -> bool {
    let openai = value.pointer("/choices/0/finish_reason");
    let anthropic = value.pointer("/delta/stop_reason");
    let gemini = value.pointer("/candidates/0/finishReason");
    [openai, anthropic, gemini].into_iter().flatten().any(Value::is_string)
}

/// Whether a stream of this shape has an end mark of its own after the reason.
pub(super) fn has_mark(stream: &Stream) -> bool {
    // Gemini's streams end with the reason.
    !stream.events.iter().filter_map(json).any(|value| value.get("candidates").is_some())
}

/// The error that an event reports.
pub(super) fn error(event: &Event) -> Option<String> {
    let value = json(event);
    let inside = value.as_ref().and_then(|value| value.get("error"));
    let named = event.name.as_deref() == Some("error");
    if !named && !inside.is_some_and(|error| error.is_object() || error.is_string()) {
        return None;
    }
    let text = |key: &str| inside.and_then(|error| error.get(key)).and_then(Value::as_str);
    let own = inside.and_then(Value::as_str);
    let said = match (text("type"), text("message").or(own)) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => event.data.clone(),
    };
    Some(said.chars().filter(|c| !c.is_control()).take(160).collect())
}

/// Where a model is asked, and how: the path of the address when it is one of a model's API.
pub(super) fn question(path: Option<&str>, model: &str) -> (String, String) {
    let path = path.unwrap_or("/").trim_end_matches('/');
    let message = json!([{ "role": "user", "content": "Count from 1 to 5." }]);
    let ask = |limit: &str, most: Value| {
        let body = json!({ "model": model, "messages": message, "stream": true, limit: most });
        body.to_string()
    };
    if path.ends_with("/api/chat") {
        return (path.to_owned(), ask("options", json!({ "num_predict": 32 })));
    }
    let known = ["/chat/completions", "/messages"].iter().any(|end| path.ends_with(end));
    let path = match path {
        known_path if known => known_path.to_owned(),
        "" => "/v1/chat/completions".to_owned(),
        base => format!("{base}/chat/completions"),
    };
    (path, ask("max_tokens", json!(32)))
}
