//! Reads content blocks, and tells which content has to be kept byte for byte.

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::fields::{self, Fields};
use crate::prompt::{Block, Message, Raw, Role};

/// Reads content: an array of blocks, or a string.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(content: &RawValue) -> Result<Vec<Block>, String> {
    if let Some(text) = fields::string(content) {
        return Ok(vec![Block::Text(text.into_owned())]);
    }
    let items = fields::items(content).ok_or("`content` must be an array of blocks or a string")?;
    items.into_iter().map(block).collect()
}

/// Makes the model's message of its content; the bytes are kept unless the content is one plain
/// text, which is written from its text just as well.
pub(super) fn answer(content: Box<RawValue>) -> Result<Message, String> {
    let blocks = blocks(&content)?;
    let is_plain = match fields::items(&content).as_deref() {
        Some([only]) => is_plain(only),
        Some(items) => items.is_empty(),
        None => true,
    };
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: content });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

fn block(raw: &RawValue) -> Result<Block, String> {
    let block = Fields::read(raw).ok_or("a content block must be an object")?;
    let kind = block.string("type").ok_or("a content block must have a `type`")?;
    let text = |name: &str| {
        let value = block.string(name).map(std::borrow::Cow::into_owned);
        value.ok_or_else(|| format!("a `{kind}` block must have the string `{name}`"))
    };
    Ok(match kind.as_ref() {
        "text" => Block::Text(text("text")?),
        "thinking" => Block::Thinking {
            // Where thoughts are not displayed the text may be absent; the signature counts.
            text: text("thinking").unwrap_or_default(),
            signature: text("signature").ok(),
        },
        "tool_use" => {
            let input = block.find("input").map(ToOwned::to_owned);
            let input = input.or_else(|| fields::raw("{}".to_owned()));
            let input = input.ok_or("a `tool_use` block must have an `input`")?;
            Block::ToolUse { id: text("id")?, name: text("name")?, input }
        }
        "tool_result" => Block::ToolResult {
            id: text("tool_use_id")?,
            content: block.find("content").map(result_text).unwrap_or_default(),
            is_error: block.find("is_error").is_some_and(|raw| raw.get() == "true"),
        },
        _ => Block::Other { kind: kind.into_owned() },
    })
}

/// The text of a tool's result; parts that are no text are named by their type.
fn result_text(content: &RawValue) -> String {
    let Ok(blocks) = blocks(content) else { return content.get().to_owned() };
    let parts = blocks.into_iter().map(|block| match block {
        Block::Text(text) => text,
        Block::Other { kind } => format!("[{kind}]"),
        Block::Thinking { .. } | Block::ToolUse { .. } | Block::ToolResult { .. } => String::new(),
    });
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn is_plain(block: &RawValue) -> bool {
    let Some(block) = Fields::read(block) else { return false };
    block.iter().all(|(name, value)| match name {
        "type" => value.get() == "\"text\"",
        "text" => true,
        "citations" => value.get() == "null",
        _ => false,
    })
}
