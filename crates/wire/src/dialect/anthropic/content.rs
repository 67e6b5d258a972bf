//! Reads content blocks, and tells which content has to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::is_flat;
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// Reads content: an array of blocks, or a string.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(content: &RawValue, judged: Option<&Judged>) -> Result<Vec<Block>, String> {
    if judged.is_none() && !is_flat(content.get().as_bytes()) {
        return Err("`content` nests too deep".to_owned());
    }
    if let Some(text) = fields::said(content, judged) {
        return Ok(vec![Block::Text(text)]);
    }
    let items = fields::parts(content, judged);
    let items = items.ok_or("`content` must be an array of blocks or a string")?;
    let mut blocks = Vec::with_capacity(items.len());
    for item in items {
        block(item, judged, &mut blocks)?;
    }
    Ok(blocks)
}

/// Makes the model's message of its content; the bytes are kept unless the content is one plain
/// text, which is written from its text just as well.
pub(super) fn answer(content: &RawValue) -> Result<Message, String> {
    let blocks = blocks(content, None)?;
    let is_plain = match fields::items(content).as_deref() {
        Some([only]) => is_plain(only),
        Some(items) => items.is_empty(),
        None => true,
    };
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: content.to_owned() });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

fn block(raw: &RawValue, judged: Option<&Judged>, out: &mut Vec<Block>) -> Result<(), String> {
    let block = Fields::part(raw, judged).ok_or("a content block must be an object")?;
    let kind = block.string("type").ok_or("a content block must have a `type`")?;
    let text = |name: &str| {
        let value = block.string(name).map(Cow::into_owned);
        value.ok_or_else(|| format!("a `{kind}` block must have the string `{name}`"))
    };
    out.push(match kind.as_ref() {
        "text" => match block.said("text") {
            Some(text) => Block::Text(text),
            None => Block::Text(text("text")?.into()),
        },
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
        "tool_result" => {
            let (content, media) = block.find("content").map(result).unwrap_or_default();
            let is_error = block.find("is_error").is_some_and(|raw| raw.get() == "true");
            out.push(Block::ToolResult { id: text("tool_use_id")?, content, is_error });
            out.extend(media);
            return Ok(());
        }
        "image" | "document" => match media(&block) {
            Some(media) if kind == "image" => Block::Image(media),
            Some(media) => Block::Document(media),
            None => Block::Other { kind: kind.into_owned() },
        },
        _ => Block::Other { kind: kind.into_owned() },
    });
    Ok(())
}

fn media(block: &Fields<'_>) -> Option<Media> {
    let source = Fields::read(block.find("source")?)?;
    let text = |name: &str| source.string(name);
    let source = match text("type")?.as_ref() {
        "base64" => Source::Data {
            media_type: text("media_type").unwrap_or_default().as_ref().into(),
            data: text("data")?.as_ref().into(),
        },
        "text" => Source::Text(text("data")?.as_ref().into()),
        "url" => Source::Url(text("url")?.as_ref().into()),
        "file" => Source::File(text("file_id")?.as_ref().into()),
        _ => return None,
    };
    Some(Media { source, name: block.string("title").map(Cow::into_owned) })
}

/// The text of a tool's result, and its pictures and documents; other parts are named by their
/// type.
fn result(content: &RawValue) -> (String, Vec<Block>) {
    let Ok(blocks) = blocks(content, None) else { return (content.get().to_owned(), Vec::new()) };
    let (mut texts, mut media) = (Vec::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text(text) if !text.is_empty() => texts.push(text.into()),
            Block::Other { kind } => texts.push(format!("[{kind}]")),
            Block::Image(_) | Block::Document(_) | Block::Audio(_) => media.push(block),
            Block::Text(_)
            | Block::Thinking { .. }
            | Block::ToolUse { .. }
            | Block::ToolResult { .. } => {}
        }
    }
    (texts.join("\n"), media)
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

/// Reads instructions: a string, or text blocks, which are joined by blank lines.
pub(super) fn system(raw: &RawValue) -> Option<String> {
    if raw.get() == "null" {
        return Some(String::new());
    }
    let texts = blocks(raw, None).ok()?.into_iter().map(|block| match block {
        Block::Text(text) => Some(text.into()),
        _ => None,
    });
    let texts: Vec<String> = texts.collect::<Option<_>>()?;
    Some(texts.join("\n\n"))
}
