//! Reads items, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::fields::{self, Fields};
use crate::dialect::openai_chat::content::{arguments, empty, is_wrapped};
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// Reads a list of items as the parts of one message.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(items: &RawValue) -> Result<Vec<Block>, String> {
    let items = fields::items(items).ok_or("a message's items must be an array")?;
    let mut blocks = Vec::new();
    for item in items {
        let item = Fields::read(item).ok_or("an item must be an object")?;
        self::item(&item, &mut blocks)?;
    }
    Ok(blocks)
}

/// The type of an item; those of a plain message may leave it out.
pub(super) fn kind<'a>(item: &'a Fields<'_>) -> Cow<'a, str> {
    item.string("type").unwrap_or(Cow::Borrowed("message"))
}

/// Reads one item.
pub(super) fn item(item: &Fields<'_>, blocks: &mut Vec<Block>) -> Result<(), String> {
    let text = |name: &str| item.string(name).map(Cow::into_owned);
    match kind(item).as_ref() {
        "message" => {
            let content = item.find("content").ok_or("a message must have `content`")?;
            parts(content, blocks)?;
        }
        "reasoning" => blocks
            .push(Block::Thinking { text: thought(item), signature: text("encrypted_content") }),
        "function_call" => {
            let id = text("call_id").or_else(|| text("id")).unwrap_or_default();
            let name = text("name").ok_or("a `function_call` must have a `name`")?;
            let input = item.find("arguments").map(arguments).unwrap_or_else(empty);
            blocks.push(Block::ToolUse { id, name, input });
        }
        "function_call_output" => {
            let id = text("call_id").ok_or("a `function_call_output` must have a `call_id`")?;
            let mut output = Vec::new();
            if let Some(raw) = item.find("output") {
                parts(raw, &mut output)?;
            }
            let is_text = |block: &Block| matches!(block, Block::Text(_));
            let (texts, media): (Vec<_>, Vec<_>) = output.into_iter().partition(is_text);
            let content = Message { role: Role::Tool, blocks: texts, raw: None }.plain();
            blocks.push(Block::ToolResult { id, content, is_error: false });
            blocks.extend(media);
        }
        other => blocks.push(Block::Other { kind: other.to_owned() }),
    }
    Ok(())
}

/// Reads content: a string, or an array of parts.
fn parts(content: &RawValue, blocks: &mut Vec<Block>) -> Result<(), String> {
    if let Some(text) = fields::string(content) {
        blocks.push(Block::Text(text.into()));
        return Ok(());
    }
    for part in fields::items(content).ok_or("`content` must be a string or an array of parts")? {
        let part = Fields::read(part).ok_or("a content part must be an object")?;
        let kind = part.string("type").unwrap_or_default();
        let block = match kind.as_ref() {
            "input_text" | "output_text" | "text" => part.string("text").map(text_block),
            "refusal" => part.string("refusal").map(text_block),
            "input_image" | "input_file" => media(&kind, &part),
            _ => None,
        };
        blocks.push(block.unwrap_or_else(|| Block::Other { kind: kind.into_owned() }));
    }
    Ok(())
}

fn text_block(text: Cow<'_, str>) -> Block {
    Block::Text(text.into())
}

fn media(kind: &str, part: &Fields<'_>) -> Option<Block> {
    let stored = || part.string("file_id").map(|id| Source::File(id.as_ref().into()));
    if kind == "input_image" {
        let here = part.string("image_url").map(|url| Source::from_url(&url));
        return Some(Block::Image(Media { source: here.or_else(stored)?, name: None }));
    }
    let name = part.string("filename").map(Cow::into_owned);
    let there = || part.string("file_url").map(|url| Source::Url(url.as_ref().into()));
    let here = part.string("file_data").map(|data| match Source::from_url(&data) {
        // Some send the Base64 without a `data:` in front.
        Source::Url(data) => Source::Data { media_type: "application/pdf".into(), data },
        source => source,
    });
    Some(Block::Document(Media { source: here.or_else(there).or_else(stored)?, name }))
}

/// The readable part of a thought: its summary, or where a server shows it the thought itself.
fn thought(item: &Fields<'_>) -> String {
    let texts = |name: &str| {
        let list = item.find(name).and_then(fields::items).unwrap_or_default();
        let text = |part: &RawValue| Some(Fields::read(part)?.string("text")?.into_owned());
        list.into_iter().filter_map(text).collect::<Vec<_>>().join("\n\n")
    };
    Some(texts("summary")).filter(|text| !text.is_empty()).unwrap_or_else(|| texts("content"))
}

/// Makes the model's message of its items; the bytes are kept unless they are one plain text,
/// which is written from its text just as well.
///
/// With `was_cut`, calls whose arguments are not JSON are dropped.
pub(super) fn answer(items: Box<RawValue>, was_cut: bool) -> Result<Message, String> {
    let mut blocks = blocks(&items)?;
    let before = blocks.len();
    if was_cut {
        blocks.retain(|block| !matches!(block, Block::ToolUse { input, .. } if is_wrapped(input)));
    }
    let is_whole = blocks.len() == before;
    let is_plain = match fields::items(&items).as_deref() {
        Some([only]) => Fields::read(only).is_some_and(|item| is_plain(&item)),
        Some(items) => items.is_empty(),
        None => true,
    };
    let raw = (is_whole && !is_plain).then(|| Raw { dialect: NAME.into(), json: items });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Whether nothing but one text says anything.
fn is_plain(item: &Fields<'_>) -> bool {
    let is_text = |part: &RawValue| {
        Fields::read(part).is_some_and(|part| {
            part.iter().all(|(name, value)| match name {
                "type" => value.get() == "\"output_text\"",
                "text" => true,
                _ => matches!(value.get(), "null" | "[]"),
            })
        })
    };
    item.iter().all(|(name, value)| match name {
        "id" | "role" | "status" => true,
        "type" => value.get() == "\"message\"",
        "content" => match fields::items(value).as_deref() {
            Some([only]) => is_text(only),
            _ => false,
        },
        _ => value.get() == "null",
    })
}

/// Whether the model gave its text as a refusal.
pub(super) fn refuses(items: &RawValue) -> bool {
    let refuses = |item: &RawValue| {
        let content = Fields::read(item)?.find("content")?;
        let parts = fields::items(content)?;
        let kinds = parts.into_iter().filter_map(|part| {
            Some(Fields::read(part)?.string("type").as_deref() == Some("refusal"))
        });
        Some(kinds.into_iter().any(|is_refusal| is_refusal))
    };
    let items = fields::items(items).unwrap_or_default();
    items.into_iter().any(|item| refuses(item).unwrap_or_default())
}
