//! Reads message objects, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::CHAT;
use crate::dialect::fields::{self, Fields};
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// How an id begins that was made up here, because the API gave none.
const MADE_UP: &str = "ollama_call_";

/// Reads a message object of any role.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(message: &RawValue) -> Result<Vec<Block>, String> {
    let message = Fields::read(message).ok_or("a message must be an object")?;
    let content = match message.find("content") {
        Some(raw) => fields::string(raw).ok_or("`content` must be a string")?,
        None => Cow::Borrowed(""),
    };
    if message.string("role").as_deref() == Some("tool") {
        let named = |name: &str| message.string(name).filter(|id| !id.is_empty());
        let id = named("tool_call_id").or_else(|| named("tool_name")).unwrap_or_default();
        let (id, content) = (id.into_owned(), content.into_owned());
        return Ok(vec![Block::ToolResult { id, content, is_error: false }]);
    }
    let mut blocks = Vec::new();
    if let Some(text) = message.string("thinking").filter(|text| !text.is_empty()) {
        blocks.push(Block::Thinking { text: text.into_owned(), signature: None });
    }
    if !content.is_empty() {
        blocks.push(Block::Text(content.into()));
    }
    if let Some(raw) = message.find("images") {
        blocks.extend(images(raw)?);
    }
    if let Some(raw) = message.find("tool_calls") {
        let calls = fields::items(raw).ok_or("`tool_calls` must be an array")?;
        for (at, raw) in calls.into_iter().enumerate() {
            blocks.push(call(at, raw)?);
        }
    }
    Ok(blocks)
}

/// Reads `images`: Base64 without a word of what it is.
pub(super) fn images(raw: &RawValue) -> Result<Vec<Block>, String> {
    let items = fields::items(raw).ok_or("`images` must be an array")?;
    let image = |raw: &RawValue| {
        let data = fields::string(raw).ok_or("an image must be a string in Base64")?;
        let source = match Source::from_url(&data) {
            Source::Url(data) => Source::Data { media_type: media_type(&data).into(), data },
            source => source,
        };
        Ok(Block::Image(Media { source, name: None }))
    };
    items.into_iter().map(image).collect()
}

/// The type of a picture by how its Base64 begins.
fn media_type(data: &str) -> &'static str {
    let begins = |head: &str| data.starts_with(head);
    if begins("/9j/") {
        "image/jpeg"
    } else if begins("R0lGOD") {
        "image/gif"
    } else if begins("UklGR") {
        "image/webp"
    } else {
        "image/png"
    }
}

/// Reads the call at this place of its message.
pub(super) fn call(at: usize, raw: &RawValue) -> Result<Block, String> {
    let call = Fields::read(raw).ok_or("a tool call must be an object")?;
    let function = call.find("function").and_then(Fields::read);
    let function = function.ok_or("a tool call must have a `function`")?;
    let name = function.string("name").ok_or("a tool call must have a `function.name`")?;
    let input = function.find("arguments").map(crate::dialect::openai_chat::content::arguments);
    let id = call.string("id").filter(|id| !id.is_empty()).map(Cow::into_owned);
    Ok(Block::ToolUse {
        id: id.unwrap_or_else(|| fields::made_up(MADE_UP, at, raw)),
        name: name.into_owned(),
        input: input.unwrap_or_else(crate::dialect::openai_chat::content::empty),
    })
}

/// Makes the model's message of its object; the bytes are kept unless the message is plain text.
pub(super) fn answer(object: Box<RawValue>) -> Result<Message, String> {
    let blocks = blocks(&object)?;
    let is_plain = is_plain(&object);
    let raw = (!is_plain).then(|| Raw { dialect: CHAT.into(), json: object });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Whether nothing but the text says anything.
pub(super) fn is_plain(object: &RawValue) -> bool {
    let Some(object) = Fields::read(object) else { return false };
    object.iter().all(|(name, value)| match name {
        "role" | "content" => true,
        _ => matches!(value.get(), "null" | "[]" | "\"\""),
    })
}
