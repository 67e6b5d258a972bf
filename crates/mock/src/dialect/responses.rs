//! Responses: output items and their events, numbered.

use super::{ARGUMENT_CHARS, Frame, openai};
use crate::content::{Content, Counted, Part, pieces};
use serde_json::{Map, Value, json};

/// A fixed time, because replies do not depend on the clock.
const CREATED: u64 = 1_767_225_600;

pub(super) fn whole(content: &Content) -> String {
    response(content, "completed", &items(content)).to_string()
}

fn response(content: &Content, status: &str, output: &[Value]) -> Value {
    let done = status == "completed";
    let cut = matches!(content.stop_reason.as_str(), "max_tokens");
    let status = if done && cut { "incomplete" } else { status };
    let details = if done && cut { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    json!({
        "id": format!("resp_mock_{:06}", content.number), "object": "response",
        "created_at": CREATED, "status": status, "error": null, "incomplete_details": details,
        "instructions": null, "max_output_tokens": null, "model": content.model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": true, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": if done { usage(content.usage) } else { Value::Null },
        "user": null, "metadata": {},
    })
}

fn usage(counted: Counted) -> Value {
    let input =
        counted.input.saturating_add(counted.cache_read).saturating_add(counted.cache_creation);
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": counted.cache_read},
        "output_tokens": counted.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input.saturating_add(counted.output),
    })
}

/// The output items, finished.
fn items(content: &Content) -> Vec<Value> {
    let parts = content.parts.iter().filter_map(Part::translated).enumerate();
    parts.filter_map(|(place, part)| item(content.number, place, &part)).collect()
}

fn item(number: u64, place: usize, part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(fragments) => json!({
            "id": format!("msg_mock_{number:06}_{place}"), "type": "message",
            "status": "completed", "role": "assistant",
            "content": [text_part(&fragments.concat())],
        }),
        Part::Thinking { text, signature } => json!({
            "id": format!("rs_mock_{number:06}_{place}"), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}],
            "encrypted_content": signature,
        }),
        Part::Tool { id, name, input } => json!({
            "id": format!("fc_mock_{number:06}_{place}"), "type": "function_call",
            "status": "completed", "call_id": id, "name": name, "arguments": input.as_str(),
        }),
        Part::Raw(_) => return None,
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

pub(super) fn stream(content: &Content) -> Vec<Frame> {
    let mut events = Events { frames: Vec::new(), number: 0 };
    for kind in ["response.created", "response.in_progress"] {
        let open = response(content, "in_progress", &[]);
        events.add(kind, json!({"response": open}), false);
    }
    let parts = content.parts.iter().filter_map(Part::translated).enumerate();
    for (place, part) in parts {
        if let Some(done) = item(content.number, place, &part) {
            events.item(place, &part, &done);
        }
    }
    let whole = response(content, "completed", &items(content));
    let kind = if whole.get("status") == Some(&"incomplete".into()) {
        "response.incomplete"
    } else {
        "response.completed"
    };
    events.add(kind, json!({"response": whole}), false);
    events.frames
}

struct Events {
    frames: Vec<Frame>,
    number: u64,
}

impl Events {
    fn add(&mut self, kind: &str, fields: Value, is_delta: bool) {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("sequence_number".to_owned(), self.number.into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.number += 1;
        let data = Value::Object(event);
        let bytes = format!("event: {kind}\ndata: {data}\n\n");
        self.frames.push(Frame { bytes: bytes.into(), is_delta });
    }

    fn item(&mut self, place: usize, part: &Part, done: &Value) {
        let mut begun = done.clone();
        if let Value::Object(map) = &mut begun {
            for (name, value) in [
                ("content", json!([])),
                ("arguments", json!("")),
                ("summary", json!([])),
                ("status", json!("in_progress")),
            ] {
                if map.contains_key(name) {
                    map.insert(name.to_owned(), value);
                }
            }
        }
        let id = done.get("id").cloned().unwrap_or_default();
        let at = |fields: Value| {
            let mut all = json!({"item_id": id, "output_index": place});
            if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
                all.extend(fields);
            }
            all
        };
        let added = json!({"output_index": place, "item": begun});
        self.add("response.output_item.added", added, false);
        match part {
            Part::Text(fragments) => {
                let empty = at(json!({"content_index": 0, "part": text_part("")}));
                self.add("response.content_part.added", empty, false);
                for text in fragments {
                    let delta = at(json!({"content_index": 0, "delta": text, "logprobs": []}));
                    self.add("response.output_text.delta", delta, true);
                }
                let text = fragments.concat();
                let all = at(json!({"content_index": 0, "text": text, "logprobs": []}));
                self.add("response.output_text.done", all, false);
                let part = at(json!({"content_index": 0, "part": text_part(&text)}));
                self.add("response.content_part.done", part, false);
            }
            Part::Thinking { text, .. } => {
                let part = json!({"type": "summary_text", "text": ""});
                let opened = at(json!({"summary_index": 0, "part": part}));
                self.add("response.reasoning_summary_part.added", opened, false);
                let delta = at(json!({"summary_index": 0, "delta": text}));
                self.add("response.reasoning_summary_text.delta", delta, true);
                let all = at(json!({"summary_index": 0, "text": text}));
                self.add("response.reasoning_summary_text.done", all, false);
                let part = json!({"type": "summary_text", "text": text});
                let closed = at(json!({"summary_index": 0, "part": part}));
                self.add("response.reasoning_summary_part.done", closed, false);
            }
            Part::Tool { name, input, .. } => {
                for piece in pieces(input.as_str(), ARGUMENT_CHARS) {
                    let delta = at(json!({"delta": piece}));
                    self.add("response.function_call_arguments.delta", delta, true);
                }
                let all = at(json!({"name": name, "arguments": input.as_str()}));
                self.add("response.function_call_arguments.done", all, false);
            }
            Part::Raw(_) => {}
        }
        let closed = json!({"output_index": place, "item": done});
        self.add("response.output_item.done", closed, false);
    }
}

/// An error in mid-stream.
pub(super) fn error_frame(body: &str) -> Frame {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    let own = error.get("error").cloned().unwrap_or_default();
    let field = |name: &str| own.get(name).cloned().unwrap_or_default();
    let data = json!({"type": "error", "sequence_number": 99, "code": field("type"),
                      "message": field("message"), "param": null});
    Frame { bytes: format!("event: error\ndata: {data}\n\n").into(), is_delta: false }
}

/// An event whose JSON ends in the middle.
pub(super) fn broken() -> Frame {
    openai::frame(r#"{"type":"response.output_text.delta","del"#, false)
}
