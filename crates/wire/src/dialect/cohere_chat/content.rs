//! Reads message objects, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, documents};
use crate::dialect::fields::{self, Fields};
use crate::dialect::openai_chat::content as chat;
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// Reads a message object of any role.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(message: &RawValue) -> Result<Vec<Block>, String> {
    let message = Fields::read(message).ok_or("a message must be an object")?;
    if message.string("role").as_deref() == Some("tool") {
        let id = message.string("tool_call_id").map(Cow::into_owned).unwrap_or_default();
        let content = message.find("content").map(result).unwrap_or_default();
        return Ok(vec![Block::ToolResult { id, content, is_error: false }]);
    }
    let mut blocks = Vec::new();
    if let Some(content) = message.find("content") {
        parts(content, &mut blocks)?;
    }
    if let Some(plan) = message.string("tool_plan").filter(|plan| !plan.is_empty()) {
        // The plan is what other APIs have as text beside the calls; thoughts stand before it.
        let is_thought = |block: &Block| matches!(block, Block::Thinking { .. });
        let at = blocks.iter().take_while(|block| is_thought(block)).count();
        blocks.insert(at, Block::Text(plan.into()));
    }
    if let Some(calls) = message.find("tool_calls") {
        for call in fields::items(calls).ok_or("`tool_calls` must be an array")? {
            blocks.push(chat::tool_use(call)?);
        }
    }
    Ok(blocks)
}

/// Reads content: a string, or an array of parts.
fn parts(content: &RawValue, blocks: &mut Vec<Block>) -> Result<(), String> {
    if let Some(text) = fields::string(content) {
        if !text.is_empty() {
            blocks.push(Block::Text(text.into()));
        }
        return Ok(());
    }
    for part in fields::items(content).ok_or("`content` must be a string or an array of parts")? {
        let part = Fields::read(part).ok_or("a content part must be an object")?;
        let kind = part.string("type").unwrap_or_default();
        let block = match kind.as_ref() {
            "text" => part.string("text").map(|text| Block::Text(text.into())),
            "thinking" => part
                .string("thinking")
                .map(|text| Block::Thinking { text: text.into_owned(), signature: None }),
            "image_url" => picture(&part),
            "document" => part.find("document").and_then(documents::read).map(Block::Document),
            _ => None,
        };
        blocks.push(block.unwrap_or_else(|| Block::Other { kind: kind.into_owned() }));
    }
    Ok(())
}

fn picture(part: &Fields<'_>) -> Option<Block> {
    let image = part.find("image_url").and_then(Fields::read)?;
    let source = Source::from_url(&image.string("url")?);
    Some(Block::Image(Media { source, name: None }))
}

/// The text of a tool's result: a string, or parts of texts and documents.
fn result(content: &RawValue) -> String {
    let mut blocks = Vec::new();
    if parts(content, &mut blocks).is_err() {
        return content.get().to_owned();
    }
    let text = |block: Block| match block {
        Block::Text(text) => Some(text.into()),
        Block::Document(Media { source: Source::Text(text), .. }) => Some(text.to_string()),
        _ => None,
    };
    let texts: Vec<String> = blocks.into_iter().filter_map(text).collect();
    texts.join("\n")
}

/// Makes the model's message of its object; the bytes are kept unless they are plain text, which
/// is written from its text just as well.
///
/// With `was_cut`, calls whose arguments are not JSON are dropped: the reply's limit cut them, and
/// half a call is worth nothing.
pub(super) fn answer(object: Box<RawValue>, was_cut: bool) -> Result<Message, String> {
    let mut blocks = blocks(&object)?;
    let before = blocks.len();
    if was_cut {
        let is_cut = |input: &RawValue| chat::is_wrapped(input);
        blocks.retain(|block| !matches!(block, Block::ToolUse { input, .. } if is_cut(input)));
    }
    let keeps_all = blocks.len() == before;
    let is_plain = blocks.len() < 2 && is_plain(&object);
    let raw = (keeps_all && !is_plain).then(|| Raw { dialect: NAME.into(), json: object });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Whether nothing but the text says anything.
pub(super) fn is_plain(object: &RawValue) -> bool {
    let Some(object) = Fields::read(object) else { return false };
    let is_text = |part: &&RawValue| {
        Fields::read(part).is_some_and(|part| {
            part.iter().all(|(name, value)| match name {
                "type" => value.get() == "\"text\"",
                name => name == "text",
            })
        })
    };
    object.iter().all(|(name, value)| match name {
        "role" => true,
        // A plan whose calls never came says no more than a text.
        "tool_plan" => value.get().starts_with('"'),
        "content" => match fields::items(value) {
            Some(parts) => parts.iter().all(is_text),
            None => matches!(value.get().as_bytes().first(), Some(b'"' | b'n')),
        },
        _ => matches!(value.get(), "null" | "[]" | "\"\"" | "{}"),
    })
}
