//! Reads parts, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::fields::{self, Fields};
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// How an id begins that was made up here, because the API gave none.
const MADE_UP: &str = "gemini_call_";

/// Where the API keeps the files that were uploaded to it.
const FILES_HOST: &str = "https://generativelanguage.googleapis.com/";

/// The value of a field by its name, written either way: the API takes `camelCase` and
/// `snake_case`.
pub(super) fn find<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    fields.find(name).or_else(|| fields.find(&snake(name)))
}

pub(super) fn string<'a>(fields: &Fields<'a>, name: &str) -> Option<Cow<'a, str>> {
    find(fields, name).and_then(fields::string)
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len().saturating_add(4));
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Turns a name into the form of the API's own answers.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut is_next = false;
    for c in name.chars() {
        match c {
            '_' => is_next = true,
            c if std::mem::take(&mut is_next) => out.push(c.to_ascii_uppercase()),
            c => out.push(c),
        }
    }
    out
}

/// Reads an array of parts.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(parts: &RawValue) -> Result<Vec<Block>, String> {
    let parts = fields::items(parts).ok_or("`parts` must be an array")?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, raw) in parts.into_iter().enumerate() {
        part(at, raw, &mut blocks)?;
    }
    Ok(blocks)
}

/// Reads the part at this place of its message.
pub(super) fn part(at: usize, raw: &RawValue, blocks: &mut Vec<Block>) -> Result<(), String> {
    let part = &Fields::read(raw).ok_or("a part must be an object")?;
    if let Some(text) = string(part, "text") {
        let is_thought = part.find("thought").is_some_and(|raw| raw.get() == "true");
        let signature = string(part, "thoughtSignature").map(Cow::into_owned);
        if is_thought {
            blocks.push(Block::Thinking { text: text.into_owned(), signature });
        } else if !text.is_empty() {
            blocks.push(Block::Text(text.into()));
        }
        return Ok(());
    }
    if let Some(call) = find(part, "functionCall").and_then(Fields::read) {
        let name = call.string("name").ok_or("a `functionCall` must have a `name`")?.into_owned();
        let id = call.string("id").filter(|id| !id.is_empty()).map(Cow::into_owned);
        let input = call.find("args").map(ToOwned::to_owned);
        let input = input.or_else(|| fields::raw("{}".to_owned()));
        let input = input.ok_or("a `functionCall` must have `args`")?;
        let id = id.unwrap_or_else(|| fields::made_up(MADE_UP, at, raw));
        blocks.push(Block::ToolUse { id, name, input });
        return Ok(());
    }
    if let Some(result) = find(part, "functionResponse").and_then(Fields::read) {
        let name = result.string("name");
        let id = result.string("id").filter(|id| !id.is_empty()).or(name);
        let id = id.ok_or("a `functionResponse` must have a `name`")?.into_owned();
        let (content, is_error) = result.find("response").map(answered).unwrap_or_default();
        blocks.push(Block::ToolResult { id, content, is_error });
        let parts = result.find("parts").and_then(fields::items).unwrap_or_default();
        blocks.extend(parts.into_iter().filter_map(|part| media(&Fields::read(part)?)));
        return Ok(());
    }
    let other = || {
        let is_mark = |name: &str| matches!(camel(name).as_str(), "thoughtSignature" | "thought");
        let name = part.iter().map(|(name, _)| name).find(|name| !is_mark(name));
        Block::Other { kind: name.map_or_else(|| "part".to_owned(), camel) }
    };
    blocks.push(media(part).unwrap_or_else(other));
    Ok(())
}

/// Reads a picture, recording or document.
fn media(part: &Fields<'_>) -> Option<Block> {
    let (source, inner) = if let Some(inner) = find(part, "inlineData").and_then(Fields::read) {
        let media_type = string(&inner, "mimeType").unwrap_or_default();
        let data = inner.string("data")?;
        (Source::Data { media_type: media_type.as_ref().into(), data: data.as_ref().into() }, inner)
    } else {
        let inner = find(part, "fileData").and_then(Fields::read)?;
        let uri = string(&inner, "fileUri")?;
        let is_public = uri.starts_with("http") && !uri.starts_with(FILES_HOST);
        let uri = uri.as_ref().into();
        (if is_public { Source::Url(uri) } else { Source::File(uri) }, inner)
    };
    let media_type = string(&inner, "mimeType").unwrap_or_default();
    let name = string(&inner, "displayName").map(Cow::into_owned);
    let media = Media { source, name };
    Some(match media_type.split('/').next() {
        Some("image") => Block::Image(media),
        Some("audio") => Block::Audio(media),
        _ => Block::Document(media),
    })
}

/// The text of a tool's result, and whether it is an error.
fn answered(response: &RawValue) -> (String, bool) {
    let Some(fields) = Fields::read(response) else { return (response.get().to_owned(), false) };
    let mut all = fields.iter();
    match (all.next(), all.next()) {
        (Some((name @ ("result" | "output" | "error"), value)), None) => {
            let text = fields::string(value).map(Cow::into_owned);
            (text.unwrap_or_else(|| value.get().to_owned()), name == "error")
        }
        _ => (response.get().to_owned(), false),
    }
}

/// Whether the API knows the call by this id.
pub(super) fn is_known(id: &str) -> bool {
    !id.starts_with(MADE_UP)
}

/// Makes the model's message of its parts; the bytes are kept unless they are plain text, which is
/// written from its text just as well.
pub(super) fn answer(parts: Box<RawValue>) -> Result<Message, String> {
    let blocks = blocks(&parts)?;
    let is_plain = |part: &&RawValue| {
        Fields::read(part).is_some_and(|part| part.iter().all(|(name, _)| name == "text"))
    };
    let all = fields::items(&parts).unwrap_or_default();
    let is_text = all.len() < 2 && all.iter().all(is_plain);
    let raw = (!is_text).then(|| Raw { dialect: NAME.into(), json: parts });
    Ok(Message { role: Role::Assistant, blocks, raw })
}
