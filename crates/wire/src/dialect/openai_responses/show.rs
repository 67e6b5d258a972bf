//! Writes whole replies for a caller, and the parts that a stream shares with them.

use super::NAME;
use crate::dialect::body::{own, quoted};
use crate::dialect::show::{self, RESPONSE_COUNTS, Shown, openai_usage};
use crate::dialect::text::Array;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// What stands where a request said nothing, in the order of the API.
const DEFAULTS: [(&str, &str); 15] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// How far a response is.
pub(super) enum State<'a> {
    /// It is being made.
    Begun,
    /// It ended so, with these token counts.
    Ended(&'a Stop, &'a Usage),
    /// It failed with this error.
    Failed(&'a str),
}

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    let id = shown.id(&reply.id);
    let output = output(&reply.message, id);
    let names = (id, shown.model(&reply.model));
    response(names, shown, &output, &State::Ended(&reply.stop, &reply.usage))
}

/// Writes the response object; `names` are its id and model.
pub(super) fn response(
    names: (&str, &str),
    shown: &Shown,
    output: &str,
    state: &State<'_>,
) -> String {
    let (status, reason, error) = match state {
        State::Begun => ("in_progress", None, None),
        State::Ended(stop, _) => match incomplete(stop) {
            Some(reason) => ("incomplete", Some(reason), None),
            None => ("completed", None, None),
        },
        State::Failed(error) => ("failed", None, Some(*error)),
    };
    show::object(|object| {
        object.string("id", names.0);
        object.string("object", "response");
        object.raw("created_at", &shown.created.to_string());
        object.string("status", status);
        object.raw("error", error.unwrap_or("null"));
        let details = reason.map(|reason| format!(r#"{{"reason":{}}}"#, quoted(reason)));
        object.raw("incomplete_details", details.as_deref().unwrap_or("null"));
        object.string("model", names.1);
        object.raw("output", output);
        let usage = match state {
            State::Ended(_, usage) => openai_usage(usage, &RESPONSE_COUNTS),
            State::Begun | State::Failed(_) => "null".to_owned(),
        };
        object.raw("usage", &usage);
        for (name, default) in DEFAULTS {
            let found = shown.echo.iter().rev().find(|(held, _)| held == name);
            let given = found.map(|(_, raw)| raw.get()).filter(|json| *json != "null");
            object.raw(name, given.unwrap_or(default));
        }
        let is_new = |name: &str| DEFAULTS.iter().all(|(held, _)| *held != name);
        let mut has_metadata = false;
        for (name, raw) in shown.echo.iter().filter(|(name, _)| is_new(name)) {
            has_metadata |= name == "metadata";
            object.raw(name, raw.get());
        }
        if !has_metadata {
            object.raw("metadata", "{}");
        }
    })
}

/// Why a reply that ended so is not complete, in the API's words.
pub(super) fn incomplete(stop: &Stop) -> Option<&'static str> {
    match stop {
        Stop::MaxTokens | Stop::Window => Some("max_output_tokens"),
        Stop::Refusal => Some("content_filter"),
        Stop::End | Stop::Sequence | Stop::ToolUse | Stop::Pause | Stop::Other(_) => None,
    }
}

/// The output array: the message's own items, or items made of its parts.
fn output(message: &Message, id: &str) -> String {
    if let Some(json) = own(message.raw.as_ref(), NAME).filter(|json| json.starts_with('[')) {
        return json.to_owned();
    }
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for (at, block) in message.blocks.iter().enumerate() {
        let item = match block {
            Block::Text(text) if text.is_empty() => continue,
            Block::Text(text) => said(&item_id("msg", id, at), "completed", Some(text)),
            Block::Thinking { text, .. } if text.is_empty() => continue,
            Block::Thinking { text, .. } => thought(&item_id("rs", id, at), Some(text)),
            Block::ToolUse { id: call, name, input } => {
                let id = item_id("fc", id, at);
                called(&id, "completed", (call, name), input.get())
            }
            Block::ToolResult { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::Audio(_)
            | Block::Other { .. } => continue,
        };
        array.item().push_str(&item);
    }
    array.end();
    out
}

/// The id of an item: the response's, with its own kind in front and its place behind.
pub(super) fn item_id(kind: &str, response: &str, at: usize) -> String {
    let own = response.strip_prefix("resp_").unwrap_or(response);
    format!("{kind}_{own}_{at}")
}

/// A message's item.
pub(super) fn said(id: &str, status: &str, text: Option<&str>) -> String {
    show::object(|item| {
        item.string("id", id);
        item.string("type", "message");
        item.string("status", status);
        item.string("role", "assistant");
        let parts = text.map(text_part).unwrap_or_default();
        item.raw("content", &format!("[{parts}]"));
    })
}

/// A part of a message.
pub(super) fn text_part(text: &str) -> String {
    let text = quoted(text);
    format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":{text}}}"#)
}

/// A thought's item.
pub(super) fn thought(id: &str, text: Option<&str>) -> String {
    show::object(|item| {
        item.string("id", id);
        item.string("type", "reasoning");
        let parts = text.map(summary_part).unwrap_or_default();
        item.raw("summary", &format!("[{parts}]"));
    })
}

/// A part of a thought's summary.
pub(super) fn summary_part(text: &str) -> String {
    format!(r#"{{"type":"summary_text","text":{}}}"#, quoted(text))
}

/// A call's item; `call` are the id that its result must name, and the tool's name.
pub(super) fn called(id: &str, status: &str, call: (&str, &str), arguments: &str) -> String {
    show::object(|item| {
        item.string("id", id);
        item.string("type", "function_call");
        item.string("status", status);
        item.string("arguments", arguments);
        item.string("call_id", call.0);
        item.string("name", call.1);
    })
}
