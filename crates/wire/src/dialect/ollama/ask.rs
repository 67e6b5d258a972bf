//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{CHAT, Door, GENERATE, content, options};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::Fields;
use crate::dialect::judged::Judged;
use crate::dialect::openai_chat::ask::read_function;
use crate::fault::{Code, Fault};
use crate::prompt::{Block, Message, Raw, Role, Tool};

/// Reads the body.
pub(super) fn request(door: Door, body: &Bytes) -> Result<Asked, Fault> {
    let dialect = if door == Door::Chat { CHAT } else { GENERATE };
    let mut asked = Asked::of(dialect);
    asked.wants_usage = true;
    asked.stream = true;
    let (mut text, mut images) = (None, Vec::new());
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match (door, name) {
            _ if raw.get() == "null" => {}
            (_, "model") => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
            (_, "stream") => asked.stream = ask::flag(name, raw)?.unwrap_or(true),
            (Door::Chat, "messages") => asked.prompt.messages = messages(raw)?,
            (Door::Chat, "tools") => asked.prompt.tools = tools(raw)?,
            (Door::Generate, "prompt") => text = ask::text(name, raw)?,
            (Door::Generate, "system") => {
                asked.prompt.system = ask::text(name, raw)?.filter(|text| !text.is_empty());
            }
            (Door::Generate, "images") => {
                images = content::images(raw).map_err(|text| wrong(name, text))?;
            }
            (Door::Generate, "suffix" | "template" | "context" | "raw") => {
                let says_nothing = matches!(raw.get(), "\"\"" | "[]" | "false");
                if !says_nothing {
                    asked.keep(name, raw);
                }
            }
            _ if options::read(&mut asked, name, raw)? => {}
            _ => asked.unknown(name, raw),
        }
    }
    if let Some(text) = text.filter(|text| !text.is_empty() || !images.is_empty()) {
        let mut blocks = images;
        blocks.push(Block::Text(text.into()));
        asked.prompt.messages = vec![Message { role: Role::User, blocks, raw: None }];
    }
    asked.done(true, if door == Door::Chat { "messages" } else { "prompt" })
}

fn messages(raw: &RawValue) -> Result<Vec<Message>, Fault> {
    let mut messages: Vec<Message> = Vec::new();
    // The calls that have no result yet, with their tools.
    let mut open: Vec<(String, String)> = Vec::new();
    for (at, raw) in ask::list("messages", raw)?.into_iter().enumerate() {
        let mut message = message(at, raw)?;
        if message.role == Role::Tool {
            name_result(raw, &mut open, &mut message.blocks);
        } else {
            open.clear();
        }
        open.extend(message.blocks.iter().filter_map(|block| match block {
            Block::ToolUse { id, name, .. } => Some((name.clone(), id.clone())),
            _ => None,
        }));
        messages.push(message);
    }
    Ok(messages)
}

/// A result without an id may name its tool, or nothing; in turn they answer the calls.
fn name_result(raw: &RawValue, open: &mut Vec<(String, String)>, blocks: &mut [Block]) {
    let Some(Block::ToolResult { id, .. }) = blocks.first_mut() else { return };
    let message = Fields::read(raw).unwrap_or_default();
    let has_id = message.string("tool_call_id").is_some_and(|id| !id.is_empty());
    let fits = |(name, call): &(String, String)| match (has_id, id.is_empty()) {
        (true, _) => call == id,
        (false, true) => true,
        (false, false) => name == id,
    };
    if let Some(at) = open.iter().position(fits) {
        let (_, call) = open.remove(at);
        *id = call;
    }
}

fn message(at: usize, raw: &RawValue) -> Result<Message, Fault> {
    let message = ask::object(format!("messages.{at}"), raw)?;
    let role = match message.string("role").as_deref() {
        Some("system") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        _ => {
            let expected = "`system`, `user`, `assistant` or `tool`";
            return Err(wrong(format!("messages.{at}.role"), expected));
        }
    };
    let blocks = content::blocks(raw).map_err(|text| {
        let details = serde_json::json!({"field": format!("messages.{at}")});
        Fault::new(Code::InvalidInput, format!("{text} (in `messages.{at}`)")).details(details)
    })?;
    let is_plain = role != Role::Tool && !blocks.is_empty() && content::is_plain(raw);
    let raw = (!is_plain).then(|| Raw { dialect: CHAT.into(), json: raw.to_owned() });
    Ok(Message { role, blocks, raw })
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let field = format!("tools.{at}.function");
        let fields = ask::object(format!("tools.{at}"), raw)?;
        let inner = fields.find("function").ok_or_else(|| ask::missing(&field))?;
        let mut tool = read_function(&field, &ask::object(&field, inner)?)?;
        tool.raw = Some(Raw { dialect: CHAT.into(), json: raw.to_owned() });
        tool.hosted = fields
            .string("type")
            .filter(|kind| kind != "function" && !kind.is_empty())
            .map(Cow::into_owned);
        tools.push(tool);
    }
    Ok(tools)
}
