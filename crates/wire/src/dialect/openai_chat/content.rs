//! Reads message objects, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::fields::{self, Fields};
use crate::dialect::text::Object;
use crate::prompt::{Block, Message, Raw, Role};

/// The names under which servers send the model's reasoning; OpenAI itself does not.
pub(super) const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// Reads a message object of any role.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(message: &RawValue) -> Result<Vec<Block>, String> {
    let message = Fields::read(message).ok_or("a message must be an object")?;
    if matches!(message.string("role").as_deref(), Some("tool" | "function")) {
        let id = message.string("tool_call_id").unwrap_or_default().into_owned();
        let content = message.find("content").map(text_of).unwrap_or_default();
        return Ok(vec![Block::ToolResult { id, content, is_error: false }]);
    }
    let mut blocks = Vec::new();
    let reasoning = REASONING.iter().find_map(|name| message.string(name));
    if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
        blocks.push(Block::Thinking { text: text.into_owned(), signature: None });
    }
    let content = message.find("content");
    for field in [content, message.find("refusal")].into_iter().flatten() {
        parts(field, &mut blocks)?;
    }
    if let Some(calls) = message.find("tool_calls") {
        for call in fields::items(calls).ok_or("`tool_calls` must be an array")? {
            blocks.push(tool_use(call)?);
        }
    }
    Ok(blocks)
}

/// Makes the model's message of its object; the bytes are kept unless the message is plain text,
/// which is written from its text just as well.
///
/// With `was_cut`, calls whose arguments are not JSON are dropped: the reply's limit cut them, and
/// half a call is worth nothing.
pub(super) fn answer(object: Box<RawValue>, was_cut: bool) -> Result<Message, String> {
    let mut blocks = blocks(&object)?;
    let before = blocks.len();
    if was_cut {
        blocks.retain(|block| !matches!(block, Block::ToolUse { input, .. } if is_wrapped(input)));
    }
    let keeps_all = blocks.len() == before;
    let raw = (keeps_all && !is_plain(&object)).then(|| Raw { dialect: NAME.into(), json: object });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Reads content: a string, or an array of parts.
fn parts(content: &RawValue, blocks: &mut Vec<Block>) -> Result<(), String> {
    if let Some(text) = fields::string(content) {
        if !text.is_empty() {
            blocks.push(Block::Text(text.into_owned()));
        }
        return Ok(());
    }
    for part in fields::items(content).ok_or("`content` must be a string or an array of parts")? {
        let part = Fields::read(part).ok_or("a content part must be an object")?;
        let kind = part.string("type").unwrap_or_default();
        let text = match kind.as_ref() {
            "text" => part.string("text"),
            "refusal" => part.string("refusal"),
            _ => None,
        };
        blocks.push(match text {
            Some(text) => Block::Text(text.into_owned()),
            None => Block::Other { kind: kind.into_owned() },
        });
    }
    Ok(())
}

fn text_of(content: &RawValue) -> String {
    let mut blocks = Vec::new();
    match parts(content, &mut blocks) {
        Ok(()) => Message { role: Role::Tool, blocks, raw: None }.plain(),
        Err(_) => content.get().to_owned(),
    }
}

fn tool_use(call: &RawValue) -> Result<Block, String> {
    let call = Fields::read(call).ok_or("a tool call must be an object")?;
    let id = call.string("id").unwrap_or_default().into_owned();
    let Some(function) = call.find("function").and_then(Fields::read) else {
        let kind = call.string("type").map_or_else(|| "tool_call".to_owned(), Cow::into_owned);
        return Ok(Block::Other { kind });
    };
    let name = function.string("name").ok_or("a tool call must have a `function.name`")?;
    let input = function.find("arguments").map(arguments).unwrap_or_else(empty);
    Ok(Block::ToolUse { id, name: name.into_owned(), input })
}

/// The arguments as an object. They come as JSON text in a string, which a model may get wrong:
/// then the text is kept under [`WRAPPED`], for the tool to refuse.
fn arguments(raw: &RawValue) -> Box<RawValue> {
    let text = fields::string(raw).unwrap_or(Cow::Borrowed(raw.get()));
    let json = text.trim();
    if json.is_empty() || json == "null" {
        return empty();
    }
    let object = fields::raw(json.to_owned()).filter(|_| json.starts_with('{'));
    object.unwrap_or_else(|| {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.string(WRAPPED, &text);
        object.end();
        fields::raw(out).unwrap_or_else(empty)
    })
}

const WRAPPED: &str = "invalid_arguments";

fn is_wrapped(input: &RawValue) -> bool {
    Fields::read(input).is_some_and(|fields| fields.find(WRAPPED).is_some())
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Whether nothing but the text says anything.
fn is_plain(object: &RawValue) -> bool {
    let Some(object) = Fields::read(object) else { return false };
    object.iter().all(|(name, value)| match name {
        "role" => true,
        "content" => matches!(value.get().as_bytes().first(), Some(b'"' | b'n')),
        _ => matches!(value.get(), "null" | "[]" | "\"\"" | "{}"),
    })
}
