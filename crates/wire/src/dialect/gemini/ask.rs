//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::content::{camel, find};
use super::{NAME, config, content};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::fault::{Code, Fault};
use crate::prompt::{Block, Message, Raw, Role, Tool};

/// Reads the body. The model and whether to stream are for the reader of the path to add.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    asked.wants_usage = true;
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match camel(name).as_str() {
            _ if raw.get() == "null" => {}
            "model" => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
            "contents" => asked.prompt.messages = contents(raw)?,
            "systemInstruction" => asked.prompt.system = Some(instruction(raw)?),
            "tools" => asked.prompt.tools = tools(raw)?,
            "toolConfig" => config::read_tools(&mut asked, raw)?,
            "generationConfig" => config::read(&mut asked, raw)?,
            known @ ("safetySettings" | "cachedContent" | "labels" | "serviceTier" | "store") => {
                asked.keep(known, raw);
            }
            "metadata" => asked.metadata(raw),
            _ => asked.unknown(name, raw),
        }
    }
    asked.prompt.system = asked.prompt.system.filter(|text| !text.is_empty());
    asked.done(false, "contents")
}

fn instruction(raw: &RawValue) -> Result<String, Fault> {
    if let Some(text) = fields::string(raw) {
        return Ok(text.into_owned());
    }
    let instruction = ask::object("systemInstruction", raw)?;
    let Some(parts) = instruction.find("parts") else { return Ok(String::new()) };
    // A single part may stand without its list.
    let texts = match Fields::read(parts) {
        Some(only) => only.string("text").map(Cow::into_owned).into_iter().collect(),
        None => blocks("systemInstruction.parts", parts)?.into_iter().filter_map(text).collect(),
    };
    let texts: Vec<String> = texts;
    Ok(texts.join("\n\n"))
}

fn text(block: Block) -> Option<String> {
    match block {
        Block::Text(text) => Some(text.into()),
        _ => None,
    }
}

fn blocks(field: &str, parts: &RawValue) -> Result<Vec<Block>, Fault> {
    content::blocks(parts).map_err(|text| {
        let details = serde_json::json!({"field": field});
        Fault::new(Code::InvalidInput, format!("{text} (in `{field}`)")).details(details)
    })
}

fn contents(raw: &RawValue) -> Result<Vec<Message>, Fault> {
    // A single content may stand without its list.
    let items = if raw.get().starts_with('{') { vec![raw] } else { ask::list("contents", raw)? };
    let mut messages: Vec<Message> = Vec::with_capacity(items.len());
    for (at, raw) in items.into_iter().enumerate() {
        let field = format!("contents.{at}");
        let content = ask::object(&field, raw)?;
        let role = match content.string("role").as_deref() {
            None | Some("user" | "function" | "tool") => Role::User,
            Some("model") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(wrong(format!("{field}.role"), "`user` or `model`")),
        };
        let parts = content.find("parts");
        let parts = parts.ok_or_else(|| ask::missing(&format!("{field}.parts")))?;
        let mut blocks = blocks(&format!("{field}.parts"), parts)?;
        if let Some(before) = messages.last() {
            name_results(before, parts, &mut blocks);
        }
        let is_plain = match fields::items(parts).as_deref() {
            Some([only]) => Fields::read(only).is_some_and(|part| {
                part.iter().all(|(name, _)| name == "text") && blocks.len() == 1
            }),
            _ => false,
        };
        let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: parts.to_owned() });
        messages.push(Message { role, blocks, raw });
    }
    Ok(messages)
}

/// Results without an id name their function; in turn they get the ids of its calls.
fn name_results(before: &Message, parts: &RawValue, blocks: &mut [Block]) {
    let mut calls: Vec<(&str, &str)> = before
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::ToolUse { id, name, .. } => Some((name.as_str(), id.as_str())),
            _ => None,
        })
        .collect();
    let is_unnamed = |part: &RawValue| {
        let result = Fields::read(part).and_then(|part| find(&part, "functionResponse"));
        Some(result.and_then(Fields::read)?.string("id").is_none_or(|id| id.is_empty()))
    };
    let parts = fields::items(parts).unwrap_or_default();
    let mut unnamed = parts.into_iter().filter_map(is_unnamed);
    for block in blocks {
        let Block::ToolResult { id, .. } = block else { continue };
        let is_unnamed = unnamed.next().unwrap_or_default();
        let fits = |(name, call): &(&str, &str)| if is_unnamed { name == id } else { call == id };
        if let Some(at) = calls.iter().position(fits) {
            let (_, call) = calls.remove(at);
            call.clone_into(id);
        }
    }
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let field = format!("tools.{at}");
        for (name, inner) in ask::object(&field, raw)?.iter() {
            let name = camel(name);
            if name == "functionDeclarations" {
                for (at, raw) in ask::list(&name, inner)?.into_iter().enumerate() {
                    tools.push(function(&format!("{field}.{name}.{at}"), raw)?);
                }
                continue;
            }
            let json = crate::dialect::show::object(|object| object.raw(&name, inner.get()));
            let raw = fields::raw(json).map(|json| Raw { dialect: NAME.into(), json });
            let hosted = Some(name.clone());
            tools.push(Tool { hosted, raw, ..Tool::new(name, RawValue::NULL.to_owned()) });
        }
    }
    Ok(tools)
}

fn function(field: &str, raw: &RawValue) -> Result<Tool, Fault> {
    let fields = ask::object(field, raw)?;
    let name = fields.string("name").ok_or_else(|| ask::missing(&format!("{field}.name")))?;
    let schema = find(&fields, "parametersJsonSchema").map(ToOwned::to_owned);
    let schema = schema.or_else(|| find(&fields, "parameters").and_then(lowered));
    let schema = schema.unwrap_or_else(crate::dialect::openai_chat::content::no_parameters);
    Ok(Tool {
        description: fields.string("description").map(Cow::into_owned),
        raw: Some(Raw { dialect: NAME.into(), json: raw.to_owned() }),
        ..Tool::new(name, schema)
    })
}

/// The API's own kind of schema as a JSON Schema: the names of types are in capitals there, and
/// what may be null says so apart.
pub(super) fn lowered(raw: &RawValue) -> Option<Box<RawValue>> {
    let mut schema: Value = serde_json::from_str(raw.get()).ok()?;
    lower(&mut schema);
    fields::raw(schema.to_string())
}

fn lower(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    let nullable = fields.shift_remove("nullable") == Some(Value::Bool(true));
    if let Some(Value::String(kind)) = fields.get_mut("type") {
        kind.make_ascii_lowercase();
        if nullable {
            let kinds = Value::from(vec![std::mem::take(kind), "null".to_owned()]);
            fields.insert("type".to_owned(), kinds);
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(lower);
    }
    if let Some(items) = fields.get_mut("items") {
        lower(items);
    }
    for name in ["anyOf", "any_of"] {
        if let Some(Value::Array(all)) = fields.get_mut(name) {
            all.iter_mut().for_each(lower);
        }
    }
}
