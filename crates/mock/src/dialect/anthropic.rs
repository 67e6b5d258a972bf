//! The Messages API: bodies, events, errors, models.

use super::{ARGUMENT_CHARS, Frame, default_message};
use crate::content::{Content, Counted, Part, pieces};
use crate::script::{Block, ErrorText};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Piece<'a>>,
    stop_reason: &'a str,
    stop_sequence: Option<&'a str>,
    usage: Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Piece<'a> {
    Verbatim(&'a Block),
    Tool(Tool<'a>),
    Made(Value),
}

/// Apart from the other pieces, so that the arguments keep their bytes.
#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
    input: &'a Block,
}

pub(super) fn whole(content: &Content) -> String {
    let message = Message {
        id: id(content.number),
        r#type: "message",
        role: "assistant",
        model: &content.model,
        content: content.parts.iter().map(piece).collect(),
        stop_reason: &content.stop_reason,
        stop_sequence: None,
        usage: usage(content.usage, content.usage.output),
    };
    serde_json::to_string(&message).unwrap_or_default()
}

fn id(number: u64) -> String {
    format!("msg_mock_{number:06}")
}

fn piece(part: &Part) -> Piece<'_> {
    match part {
        Part::Raw(block) => Piece::Verbatim(block),
        Part::Text(fragments) => Piece::Made(json!({"type": "text", "text": fragments.concat()})),
        Part::Thinking { text, signature } => {
            Piece::Made(json!({"type": "thinking", "thinking": text, "signature": signature}))
        }
        Part::Tool { id, name, input } => Piece::Tool(Tool { r#type: "tool_use", id, name, input }),
    }
}

fn usage(counted: Counted, output: u64) -> Value {
    let mut usage = json!({
        "input_tokens": counted.input,
        "cache_creation_input_tokens": counted.cache_creation,
        "cache_read_input_tokens": counted.cache_read,
        "output_tokens": output,
    });
    if let (Some(hour), Some(usage)) = (counted.one_hour, usage.as_object_mut()) {
        let short = counted.cache_creation.saturating_sub(hour);
        let kept = json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": hour});
        usage.insert("cache_creation".to_owned(), kept);
    }
    usage
}

pub(super) fn stream(content: &Content) -> Vec<Frame> {
    let mut events = Events::default();
    events.push(&json!({
        "type": "message_start",
        "message": {
            "id": id(content.number), "type": "message", "role": "assistant",
            "model": content.model, "content": [], "stop_reason": null, "stop_sequence": null,
            // The start counts the prompt; the first output token stands for the opening.
            "usage": usage(content.usage, 1),
        },
    }));
    for (index, part) in content.parts.iter().enumerate() {
        events.block(index, part);
    }
    events.push(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": content.stop_reason, "stop_sequence": null},
        "usage": usage(content.usage, content.usage.output),
    }));
    events.push(&json!({"type": "message_stop"}));
    events.0
}

/// The fields of a verbatim block that a stream carries in deltas.
#[derive(Deserialize)]
struct Streamed<'a> {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: String,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Default)]
struct Events(Vec<Frame>);

impl Events {
    fn push(&mut self, event: &Value) {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        self.0.push(frame(name, &event.to_string(), false));
    }

    /// Start, deltas and stop of one block; the first block is followed by a ping.
    fn block(&mut self, index: usize, part: &Part) {
        let (start, deltas) = match part {
            Part::Text(fragments) => {
                (json!({"type": "text", "text": ""}).to_string(), text_deltas(fragments))
            }
            Part::Thinking { text, signature } => (
                json!({"type": "thinking", "thinking": "", "signature": ""}).to_string(),
                thinking_deltas(text, signature),
            ),
            Part::Tool { id, name, input } => (
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}).to_string(),
                argument_deltas(input.as_str()),
            ),
            Part::Raw(block) => opened(block),
        };
        let start =
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{start}}}"#);
        self.0.push(frame("content_block_start", &start, false));
        if index == 0 {
            self.push(&json!({"type": "ping"}));
        }
        for delta in deltas {
            let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
            self.0.push(frame("content_block_delta", &event.to_string(), true));
        }
        self.push(&json!({"type": "content_block_stop", "index": index}));
    }
}

fn text_deltas(fragments: &[String]) -> Vec<Value> {
    fragments.iter().map(|text| json!({"type": "text_delta", "text": text})).collect()
}

/// An empty thinking (as models send that omit it) has its signature only.
fn thinking_deltas(text: &str, signature: &str) -> Vec<Value> {
    let words = text.split_inclusive(' ');
    let mut deltas: Vec<Value> =
        words.map(|word| json!({"type": "thinking_delta", "thinking": word})).collect();
    deltas.push(json!({"type": "signature_delta", "signature": signature}));
    deltas
}

/// The API opens with an empty piece before the first characters of the arguments.
fn argument_deltas(input: &str) -> Vec<Value> {
    std::iter::once(String::new())
        .chain(pieces(input, ARGUMENT_CHARS))
        .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
        .collect()
}

/// What `content_block_start` shows of a verbatim block, and the deltas that bring the rest.
///
/// Kinds without deltas of their own come whole in the start event.
fn opened(block: &Block) -> (String, Vec<Value>) {
    let Ok(streamed) = serde_json::from_str::<Streamed<'_>>(block.as_str()) else {
        return (block.as_str().to_owned(), Vec::new());
    };
    let mut start = block.value();
    let mut set = |key: &str, value: Value| {
        if let Some(field) = start.get_mut(key) {
            *field = value;
        }
    };
    let deltas = match streamed.r#type.as_str() {
        "text" => {
            set("text", json!(""));
            let words = streamed.text.split_inclusive(' ').map(str::to_owned);
            text_deltas(&words.collect::<Vec<String>>())
        }
        "thinking" => {
            set("thinking", json!(""));
            set("signature", json!(""));
            thinking_deltas(&streamed.thinking, &streamed.signature)
        }
        "tool_use" => {
            set("input", json!({}));
            argument_deltas(streamed.input.map_or("{}", RawValue::get))
        }
        _ => return (block.as_str().to_owned(), Vec::new()),
    };
    (start.to_string(), deltas)
}

pub(super) fn frame(name: &str, data: &str, is_delta: bool) -> Frame {
    Frame { bytes: format!("event: {name}\ndata: {data}\n\n").into(), is_delta }
}

pub(super) fn error(status: u16, text: &ErrorText, number: u64) -> String {
    let kind = text.kind.as_deref().unwrap_or(match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    });
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id(number),
    })
    .to_string()
}

/// The value of the `request-id` header.
pub(crate) fn request_id(number: u64) -> String {
    format!("req_mock_{number:06}")
}

/// The answer of the token counter.
pub(crate) fn count(tokens: u64) -> String {
    json!({"input_tokens": tokens}).to_string()
}

/// The model list.
pub(crate) fn models(ids: &[String]) -> String {
    let data: Vec<Value> = ids.iter().map(|id| model(id)).collect();
    json!({
        "data": data,
        "has_more": false,
        "first_id": ids.first(),
        "last_id": ids.last(),
    })
    .to_string()
}

fn model(id: &str) -> Value {
    json!({
        "type": "model",
        "id": id,
        "display_name": id,
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    })
}
