//! Reading documents: which format it is, and what it holds.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::dialect::named;
use wire::prompt::{Message, Raw, Role};
use wire::{Code, Fault};

use super::{Format, Item, Parcel, tree};
use crate::{Content, Map, New, NewEntry, Settings};

/// What our own documents call themselves.
pub(super) const FORMAT: &str = "rapport.context/1";

/// Reads a document; finds its format out when none is named.
///
/// # Errors
/// `invalid_input`, naming what is wrong with the document and where.
pub fn read(text: &str, format: Option<Format>) -> Result<Parcel, Fault> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let format = match format {
        Some(format) => format,
        None => guess(text)?,
    };
    match format {
        Format::Rapport => document(text).map(one),
        Format::JsonLines => lines(text).map(one),
        Format::Anthropic | Format::OpenAiChat | Format::OpenAiResponses => request(text, format),
        Format::ChatGpt => tree::chatgpt(text),
        Format::Claude => tree::claude(text),
    }
}

fn one((item, left_out): (Item, u64)) -> Parcel {
    Parcel { items: vec![item], left_out }
}

/// The fields that tell formats apart.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Marks {
    format: Option<String>,
    messages: Option<Vec<Mark>>,
    input: Option<Value>,
    mapping: Option<Box<RawValue>>,
    chat_messages: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    system: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Mark {
    role: String,
    tool_calls: Option<Box<RawValue>>,
    content: Option<Value>,
}

fn guess(text: &str) -> Result<Format, Fault> {
    let unknown = |why: String| {
        let names: Vec<&str> = Format::ALL.iter().map(|(_, name)| *name).collect();
        Fault::new(Code::InvalidInput, format!("the document is of no format known here: {why}"))
            .hint(format!("name its format: one of {}", names.join(", ")))
    };
    let first = if text.starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| broken(&e))?;
        let Some(first) = list.first() else { return Err(unknown("it is an empty list".into())) };
        first.get().to_owned()
    } else if serde_json::from_str::<&RawValue>(text).is_ok() {
        text.to_owned()
    } else {
        let first = text.lines().next().unwrap_or_default();
        serde_json::from_str::<&RawValue>(first).map_err(|e| broken(&e))?;
        return Ok(Format::JsonLines);
    };
    let marks: Marks = serde_json::from_str(&first).map_err(|e| broken(&e))?;
    let is_list = text.starts_with('[');
    if marks.format.as_deref() == Some(FORMAT) {
        Ok(Format::Rapport)
    } else if let Some(format) = marks.format {
        Err(unknown(format!("it calls itself `{}`", format.escape_debug())))
    } else if marks.mapping.is_some() {
        Ok(Format::ChatGpt)
    } else if marks.chat_messages.is_some() {
        Ok(Format::Claude)
    } else if marks.input.is_some() || (is_list && marks.kind.is_some()) {
        Ok(Format::OpenAiResponses)
    } else if is_list && marks.role.is_some() {
        let list: Vec<Mark> = serde_json::from_str(text).map_err(|e| broken(&e))?;
        Ok(chat(&list, false))
    } else if let Some(messages) = &marks.messages {
        Ok(chat(messages, marks.system.is_some()))
    } else {
        Err(unknown("none of `messages`, `input`, `mapping` and `chat_messages` is there".into()))
    }
}

/// Tells the two chat formats apart; for plain text they are the same.
fn chat(messages: &[Mark], has_system: bool) -> Format {
    let block =
        |kind: &str| {
            messages.iter().filter_map(|m| m.content.as_ref()?.as_array()).flatten().any(|part| {
                part.get("type").and_then(Value::as_str).is_some_and(|found| found == kind)
            })
        };
    let theirs = messages.iter().any(|message| {
        message.tool_calls.is_some()
            || matches!(message.role.as_str(), "tool" | "developer" | "function")
    });
    let first_is_system = messages.first().is_some_and(|message| message.role == "system");
    if theirs || block("image_url") || block("input_audio") || (first_is_system && !has_system) {
        Format::OpenAiChat
    } else {
        Format::Anthropic
    }
}

pub(super) fn broken(error: &serde_json::Error) -> Fault {
    Fault::new(Code::InvalidInput, format!("the document is not JSON: {error}"))
        .hint("send the file as it was exported, as UTF-8")
}

#[derive(Deserialize)]
struct Document {
    format: String,
    context: Map,
    messages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: Box<RawValue>,
    #[serde(default)]
    dialect: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    meta: Option<Map>,
}

fn document(text: &str) -> Result<(Item, u64), Fault> {
    let document: Document = serde_json::from_str(text).map_err(|e| broken(&e))?;
    ours(&document.format, &document.context, document.messages.iter().map(|raw| raw.get()))
}

fn lines(text: &str) -> Result<(Item, u64), Fault> {
    #[derive(Deserialize)]
    struct First {
        format: String,
        context: Map,
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let first: First = serde_json::from_str(first).map_err(|error| {
        let text = format!("line 1 must hold `format` and `context`: {error}");
        Fault::new(Code::InvalidInput, text)
    })?;
    ours(&first.format, &first.context, lines)
}

fn ours<'t>(
    format: &str,
    context: &Map,
    messages: impl Iterator<Item = &'t str>,
) -> Result<(Item, u64), Fault> {
    if format != FORMAT {
        let text = format!("the format `{}` is not `{FORMAT}`", format.escape_debug());
        return Err(Fault::new(Code::InvalidInput, text));
    }
    let mut new = about(context)?;
    let mut left_out = 0;
    for (at, raw) in messages.enumerate() {
        match said(raw, at + 1)? {
            Some(entry) => new.messages.push(entry),
            None => left_out += 1,
        }
    }
    let closed = context.get("status").and_then(Value::as_str) == Some("closed");
    Ok((Item { new, fork: None, closed }, left_out))
}

fn about(context: &Map) -> Result<New, Fault> {
    let text = |name: &str| context.get(name).and_then(Value::as_str).map(str::to_owned);
    let object = |name: &str| context.get(name).and_then(Value::as_object).cloned();
    Ok(New {
        id: text("id"),
        title: text("title"),
        user: text("user"),
        system: text("system"),
        settings: Settings::parse(object("settings").unwrap_or_default())?,
        state: object("state").unwrap_or_default(),
        metadata: object("metadata").unwrap_or_default(),
        messages: Vec::new(),
        expires_in: None,
        idle_for: None,
    })
}

/// One message of ours; `None` when it was never answered.
fn said(raw: &str, number: usize) -> Result<Option<NewEntry>, Fault> {
    let wrong = |why: String| {
        Fault::new(Code::InvalidInput, format!("message {number} cannot be read: {why}"))
            .details(json!({ "message": number }))
    };
    let said: Said = serde_json::from_str(raw).map_err(|error| wrong(error.to_string()))?;
    if said.status.is_some_and(|status| status != "complete") {
        return Ok(None);
    }
    let role = Role::parse(&said.role)
        .ok_or_else(|| wrong(format!("`{}` is no role", said.role.escape_debug())))?;
    let dialect = match (said.dialect, said.content.get().starts_with('"')) {
        (Some(name), _) => Some(name),
        (None, true) => None,
        (None, false) => Some("anthropic".to_owned()),
    };
    let content = match dialect {
        None => Content::Text(
            serde_json::from_str(said.content.get()).map_err(|error| wrong(error.to_string()))?,
        ),
        Some(name) => {
            let raw = Raw { dialect: name.as_str().into(), json: said.content };
            let known = named(&name)
                .ok_or_else(|| wrong(format!("`{}` is no dialect", name.escape_debug())))?;
            known.message(role, raw.clone()).map_err(|fault| wrong(fault.text().to_owned()))?;
            Content::Raw(raw)
        }
    };
    let mut meta = said.meta.unwrap_or_default();
    if let Some(time) = said.timestamp {
        meta.entry("said_at").or_insert(time.into());
    }
    Ok(Some(NewEntry { role, content, model: said.model, meta }))
}

/// A request to a model is a conversation, too.
fn request(text: &str, format: Format) -> Result<Parcel, Fault> {
    let name = format.dialect().unwrap_or_default();
    let dialect =
        named(name).ok_or_else(|| Fault::internal(format!("the dialect `{name}` is not there")))?;
    // What an export leaves out, a request needs; of equal fields the last one counts.
    let defaults = "{\"model\":\"imported\",\"max_tokens\":1024";
    let body = match text.strip_prefix('{') {
        Some(rest) if rest.trim_start() == "}" => format!("{defaults}{rest}"),
        Some(rest) => format!("{defaults},{rest}"),
        None if format == Format::OpenAiResponses => format!("{defaults},\"input\":{text}}}"),
        None => format!("{defaults},\"messages\":{text}}}"),
    };
    let asked = dialect.request(body.as_bytes())?;
    let prompt = asked.prompt;
    let mut new = New { system: prompt.system, ..New::default() };
    if prompt.model != "imported" {
        new.metadata.insert("imported_model".to_owned(), prompt.model.into());
    }
    new.metadata.insert("imported_from".to_owned(), format.as_str().into());
    let mut messages = prompt.messages.into_iter().peekable();
    // Some APIs carry the instructions as the first message.
    if let Some(first) = messages.next_if(|m| new.system.is_none() && m.role == Role::System) {
        new.system = Some(first.plain());
    }
    new.messages = messages.map(entry).collect();
    Ok(Parcel { items: vec![Item::alone(new)], left_out: 0 })
}

fn entry(message: Message) -> NewEntry {
    let role = message.role;
    let content = match message.raw {
        Some(raw) => Content::Raw(raw),
        None => Content::Text(message.plain()),
    };
    NewEntry { role, content, model: None, meta: Map::new() }
}
