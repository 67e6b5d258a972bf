//! Reads message objects, and tells which have to be kept byte for byte.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::dialect::text::Object;
use crate::prompt::{Block, Media, Message, Raw, Role, Source};

/// The names under which servers send the model's reasoning; OpenAI itself does not.
pub(super) const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// Reads a message object of any role.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks(message: &RawValue) -> Result<Vec<Block>, String> {
    blocks_of(&Fields::read(message).ok_or("a message must be an object")?)
}

/// Reads the fields of a message object of any role.
///
/// # Errors
/// What is wrong, as the text of a fault.
pub(super) fn blocks_of(message: &Fields<'_>) -> Result<Vec<Block>, String> {
    if matches!(message.string("role").as_deref(), Some("tool" | "function")) {
        let id = message.string("tool_call_id").map(Cow::into_owned);
        // Before there were ids a result named its function.
        let named = || message.string("name").map(|name| format!("call_{name}"));
        let id = id.or_else(named).unwrap_or_default();
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
        parts(field, message.judged(), &mut blocks)?;
    }
    if let Some(calls) = message.find("tool_calls") {
        for call in fields::items(calls).ok_or("`tool_calls` must be an array")? {
            blocks.push(tool_use(call)?);
        }
    }
    if let Some(call) = message.find("function_call").and_then(Fields::read) {
        let name = call.string("name").ok_or("a `function_call` must have a `name`")?.into_owned();
        let input = call.find("arguments").map(arguments).unwrap_or_else(empty);
        blocks.push(Block::ToolUse { id: format!("call_{name}"), name, input });
    }
    Ok(blocks)
}

/// Makes the model's message of its object; the bytes are kept unless the message is plain text,
/// which is written from its text just as well.
///
/// With `was_cut`, calls whose arguments are not JSON are dropped: the reply's limit cut them, and
/// half a call is worth nothing.
pub(super) fn answer(object: Box<RawValue>, was_cut: bool) -> Result<Message, String> {
    let fields = Fields::read(&object).ok_or("a message must be an object")?;
    let mut blocks = blocks_of(&fields)?;
    let is_plain = is_plain(&fields);
    let before = blocks.len();
    if was_cut {
        blocks.retain(|block| !matches!(block, Block::ToolUse { input, .. } if is_wrapped(input)));
    }
    let keeps_all = blocks.len() == before;
    let raw = (keeps_all && !is_plain).then(|| Raw { dialect: NAME.into(), json: object });
    Ok(Message { role: Role::Assistant, blocks, raw })
}

/// Reads content: a string, or an array of parts.
fn parts(
    content: &RawValue,
    judged: Option<&Judged>,
    blocks: &mut Vec<Block>,
) -> Result<(), String> {
    if let Some(text) = fields::said(content, judged) {
        if text.room() > 0 {
            blocks.push(Block::Text(text));
        }
        return Ok(());
    }
    let items = fields::parts(content, judged);
    for part in items.ok_or("`content` must be a string or an array of parts")? {
        let part = Fields::part(part, judged).ok_or("a content part must be an object")?;
        let kind = part.string("type").unwrap_or_default();
        let text = match kind.as_ref() {
            "text" | "refusal" => part.said(&kind),
            _ => None,
        };
        let block = match text {
            Some(text) => Some(Block::Text(text)),
            None => media(&kind, &part),
        };
        blocks.push(block.unwrap_or_else(|| Block::Other { kind: kind.into_owned() }));
    }
    Ok(())
}

/// Reads a picture, a recording or a file.
fn media(kind: &str, part: &Fields<'_>) -> Option<Block> {
    let inner = part.find(kind)?;
    let fields = Fields::read(inner);
    let text = |name: &str| fields.as_ref().and_then(|fields| fields.string(name));
    match kind {
        // A few callers write the address itself in place of the object.
        "image_url" => {
            let url = text("url").or_else(|| fields::string(inner))?;
            Some(Block::Image(Media { source: Source::from_url(&url), name: None }))
        }
        "input_audio" => {
            let media_type = format!("audio/{}", text("format")?).into();
            let source = Source::Data { media_type, data: text("data")?.as_ref().into() };
            Some(Block::Audio(Media { source, name: None }))
        }
        "file" => {
            let name = text("filename").map(Cow::into_owned);
            let stored = || text("file_id").map(|id| Source::File(id.as_ref().into()));
            let here = text("file_data").map(|data| match Source::from_url(&data) {
                // Some send the Base64 without a `data:` in front.
                Source::Url(data) => Source::Data { media_type: "application/pdf".into(), data },
                source => source,
            });
            let source = here.or_else(stored)?;
            Some(Block::Document(Media { source, name }))
        }
        _ => None,
    }
}

fn text_of(content: &RawValue) -> String {
    let mut blocks = Vec::new();
    match parts(content, None, &mut blocks) {
        Ok(()) => Message { role: Role::Tool, blocks, raw: None }.plain(),
        Err(_) => content.get().to_owned(),
    }
}

pub(in crate::dialect) fn tool_use(call: &RawValue) -> Result<Block, String> {
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
pub(in crate::dialect) fn arguments(raw: &RawValue) -> Box<RawValue> {
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

pub(in crate::dialect) fn is_wrapped(input: &RawValue) -> bool {
    Fields::read(input).is_some_and(|fields| fields.find(WRAPPED).is_some())
}

pub(in crate::dialect) fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Whether nothing but the text says anything.
pub(super) fn is_plain(object: &Fields<'_>) -> bool {
    object.iter().all(|(name, value)| match name {
        "role" => true,
        "content" => matches!(value.get().as_bytes().first(), Some(b'"' | b'n')),
        _ => matches!(value.get(), "null" | "[]" | "\"\"" | "{}"),
    })
}

/// The schema of a function without parameters.
pub(in crate::dialect) fn no_parameters() -> Box<RawValue> {
    let schema = r#"{"type":"object","properties":{}}"#.to_owned();
    fields::raw(schema).unwrap_or_else(empty)
}

/// Writes a call.
pub(in crate::dialect) fn write_call(call: &Block, out: &mut String) {
    if let Block::ToolUse { id, name, input } = call {
        let mut object = Object::begin(out);
        object.string("id", id);
        object.string("type", "function");
        let mut function = Object::begin(object.key("function"));
        function.string("name", name);
        function.string("arguments", input.get());
        function.end();
        object.end();
    }
}
