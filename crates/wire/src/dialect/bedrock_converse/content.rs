//! Reads content blocks, and tells which content has to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, media};
use crate::dialect::ask::is_flat;
use crate::dialect::fields::{self, Fields};
use crate::dialect::openai_chat::content::empty;
use crate::prompt::{Block, Message, Raw, Role};

/// Reads content: an array of blocks, each an object with one field that names its kind.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(content: &RawValue) -> Result<Vec<Block>, String> {
    if !is_flat(content.get().as_bytes()) {
        return Err("`content` nests too deep".to_owned());
    }
    let items = fields::items(content).ok_or("`content` must be an array of blocks")?;
    let mut blocks = Vec::with_capacity(items.len());
    for item in items {
        block(item, &mut blocks)?;
    }
    Ok(blocks)
}

fn block(raw: &RawValue, out: &mut Vec<Block>) -> Result<(), String> {
    let fields = Fields::read(raw).ok_or("a content block must be an object")?;
    let Some((kind, value)) = fields.iter().find(|(_, value)| value.get() != "null") else {
        return Err("a content block must have a field that names its kind".to_owned());
    };
    if kind == "text" {
        let text = fields::string(value).ok_or("`text` must be a string")?;
        out.push(Block::Text(text.into()));
        return Ok(());
    }
    let other = || Block::Other { kind: kind.to_owned() };
    let Some(inner) = Fields::read(value) else {
        out.push(other());
        return Ok(());
    };
    match kind {
        // One that the provider runs is nobody else's to answer.
        "toolUse" if inner.find("type").is_some() => {
            let kind = inner.string("type").unwrap_or_default().into_owned();
            out.push(Block::Other { kind });
        }
        "toolUse" => out.push(tool_use(&inner)?),
        "toolResult" => {
            let id = inner.string("toolUseId").ok_or("a `toolResult` must have a `toolUseId`")?;
            let is_error = inner.string("status").as_deref() == Some("error");
            let (content, media) = inner.find("content").map(result).unwrap_or_default();
            out.push(Block::ToolResult { id: id.into_owned(), content, is_error });
            out.extend(media);
        }
        "reasoningContent" => out.push(thought(&inner)),
        "citationsContent" => {
            let texts = inner.find("content").and_then(fields::items).unwrap_or_default();
            let text = |raw: &RawValue| Fields::read(raw)?.string("text").map(Cow::into_owned);
            out.push(Block::Text(texts.into_iter().filter_map(text).collect::<String>().into()));
        }
        _ => out.push(media::read(kind, &inner).unwrap_or_else(other)),
    }
    Ok(())
}

fn tool_use(inner: &Fields<'_>) -> Result<Block, String> {
    let text = |name: &str| {
        let value = inner.string(name).map(Cow::into_owned);
        value.ok_or_else(|| format!("a `toolUse` block must have the string `{name}`"))
    };
    let input = inner.find("input").map_or_else(empty, ToOwned::to_owned);
    Ok(Block::ToolUse { id: text("toolUseId")?, name: text("name")?, input })
}

fn thought(inner: &Fields<'_>) -> Block {
    let Some(text) = inner.find("reasoningText").and_then(Fields::read) else {
        return Block::Other { kind: "redactedContent".to_owned() };
    };
    Block::Thinking {
        text: text.string("text").unwrap_or_default().into_owned(),
        signature: text.string("signature").map(Cow::into_owned),
    }
}

/// The text of a tool's result, and its pictures and documents; other parts are named by their
/// kind.
fn result(content: &RawValue) -> (String, Vec<Block>) {
    let (mut texts, mut media) = (Vec::new(), Vec::new());
    for item in fields::items(content).unwrap_or_default() {
        let fields = Fields::read(item);
        if let Some(json) = fields.as_ref().and_then(|fields| fields.find("json")) {
            texts.push(json.get().to_owned());
            continue;
        }
        let mut blocks = Vec::new();
        if block(item, &mut blocks).is_err() {
            texts.push(item.get().to_owned());
        }
        for block in blocks {
            match block {
                Block::Text(text) => texts.push(text.into()),
                Block::Image(_) | Block::Document(_) | Block::Audio(_) => media.push(block),
                other => texts.push(format!("[{}]", other.kind())),
            }
        }
    }
    (texts.join("\n"), media)
}

/// Makes the model's message of its content; the bytes are kept unless the content is one plain
/// text, which is written from its text just as well.
pub(super) fn answer(content: Box<RawValue>) -> Result<Message, String> {
    let blocks = blocks(&content)?;
    let raw = (!is_plain(&content)).then(|| Raw { dialect: NAME.into(), json: content });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Whether the content is one text and nothing else.
pub(super) fn is_plain(content: &RawValue) -> bool {
    let is_text = |block: &RawValue| {
        Fields::read(block).is_some_and(|block| block.iter().all(|(name, _)| name == "text"))
    };
    match fields::items(content).as_deref() {
        Some([only]) => is_text(only),
        Some(items) => items.is_empty(),
        None => false,
    }
}

/// Reads instructions: text blocks, which are joined by blank lines; `None` when there are others.
pub(super) fn system(raw: &RawValue) -> Option<String> {
    let texts = blocks(raw).ok()?.into_iter().filter_map(|block| match block {
        Block::Text(text) => Some(Some(text.into())),
        // A mark for the provider's cache says nothing to the model.
        Block::Other { kind } if kind == "cachePoint" => None,
        _ => Some(None),
    });
    let texts: Vec<String> = texts.collect::<Option<_>>()?;
    Some(texts.join("\n\n"))
}
