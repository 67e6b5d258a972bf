//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, content, documents, knobs};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::judged::Judged;
use crate::dialect::openai_chat::ask::read_function;
use crate::fault::{Code, Fault};
use crate::prompt::{Media, Message, Raw, Role, Tool};

/// Reads the body.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    asked.wants_usage = true;
    let mut brought: Vec<Media> = Vec::new();
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match name {
            _ if raw.get() == "null" => {}
            "model" => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
            "messages" => asked.prompt.messages = messages(raw)?,
            "stream" => asked.stream = ask::flag(name, raw)?.unwrap_or_default(),
            "documents" => {
                brought = documents::list(raw)?;
                asked.own(name, raw);
            }
            "tools" => asked.prompt.tools = tools(raw)?,
            "strict_tools" => {
                ask::flag(name, raw)?;
                asked.own(name, raw);
            }
            "metadata" => asked.metadata(raw),
            _ => knobs::read(&mut asked, name, raw)?,
        }
    }
    documents::attach(&mut asked, brought);
    strict(&mut asked);
    asked.done(true, "messages")
}

/// `strict_tools` is said once for all tools; elsewhere each says it for itself.
fn strict(asked: &mut Asked) {
    let fields = asked.prompt.private.iter().flat_map(|private| &private.fields);
    let mut fields = fields.filter(|field| field.name == "strict_tools");
    if fields.any(|field| field.json.get() == "true") {
        for tool in &mut asked.prompt.tools {
            tool.strict = Some(true);
        }
    }
}

fn messages(raw: &RawValue) -> Result<Vec<Message>, Fault> {
    let items = ask::list("messages", raw)?.into_iter().enumerate();
    items.map(|(at, item)| message(at, item)).collect()
}

fn message(at: usize, raw: &RawValue) -> Result<Message, Fault> {
    let message = ask::object(format!("messages.{at}"), raw)?;
    let field = format!("messages.{at}.role");
    let name = message.string("role").ok_or_else(|| ask::missing(&field))?;
    let role = match name.as_ref() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(wrong(field, "`system`, `user`, `assistant` or `tool`")),
    };
    let blocks = content::blocks(raw).map_err(|text| {
        let details = serde_json::json!({"field": format!("messages.{at}")});
        Fault::new(Code::InvalidInput, format!("{text} (in `messages.{at}`)")).details(details)
    })?;
    let is_text = message.find("content").is_some_and(|raw| raw.get().starts_with('"'));
    let is_plain = role != Role::Tool && blocks.len() == 1 && is_text && content::is_plain(raw);
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: raw.to_owned() });
    Ok(Message { role, blocks, raw })
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let field = format!("tools.{at}");
        let fields = ask::object(&field, raw)?;
        let kind = fields.string("type").unwrap_or(Cow::Borrowed("function"));
        let mut tool = if kind == "function" {
            let field = format!("{field}.function");
            let inner = fields.find("function").ok_or_else(|| ask::missing(&field))?;
            read_function(&field, &ask::object(&field, inner)?)?
        } else {
            let hosted = Some(kind.clone().into_owned());
            Tool { hosted, ..Tool::new(kind, RawValue::NULL.to_owned()) }
        };
        tool.raw = Some(Raw { dialect: NAME.into(), json: raw.to_owned() });
        tools.push(tool);
    }
    Ok(tools)
}
