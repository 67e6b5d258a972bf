//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, content, knobs};
use crate::dialect::ask::{self, Asked, Link, wrong};
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::dialect::openai_chat::ask::read_function;
use crate::dialect::openai_chat::knobs::read_choice;
use crate::dialect::text::Array;
use crate::fault::{Code, Fault};
use crate::prompt::{Block, Message, Raw, Role, Tool};

/// Fields that the answer repeats.
const ECHOED: [&str; 17] = [
    "background",
    "conversation",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
];

/// Reads the body.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    asked.wants_usage = true;
    let judged = Judged::of(body);
    let fields = ask::body(body, judged.as_ref())?;
    for (name, raw) in fields.iter() {
        if ECHOED.contains(&name) {
            asked.echo(name, raw);
        }
        match name {
            _ if raw.get() == "null" => {}
            "model" => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
            "input" => asked.prompt.messages = input(name, raw)?,
            "instructions" => asked.prompt.system = Some(instructions(raw)?),
            "stream" => asked.stream = ask::flag(name, raw)?.unwrap_or_default(),
            "store" => asked.store = ask::flag(name, raw)?,
            "metadata" => asked.metadata(raw),
            "conversation" | "previous_response_id" => {}
            _ => parameter(&mut asked, name, raw)?,
        }
    }
    link(&mut asked, &fields)?;
    asked.done(true, "input")
}

/// What the request goes on with: our own id first, then the API's two.
fn link(asked: &mut Asked, fields: &Fields<'_>) -> Result<(), Fault> {
    let mut links = Vec::new();
    if let Some(raw) = fields.find("conversation") {
        let inner = Fields::read(raw).and_then(|object| Some(object.string("id")?.into_owned()));
        let id = fields::string(raw).map(Cow::into_owned).or(inner);
        links.push(Link::Conversation(id.ok_or_else(|| {
            wrong("conversation", "the id of a conversation or an object with its `id`")
        })?));
    }
    if let Some(raw) = fields.find("previous_response_id") {
        links.extend(ask::text("previous_response_id", raw)?.map(Link::Response));
    }
    if links.len() > 1 {
        return Err(wrong("previous_response_id", "absent where `conversation` is given"));
    }
    let found = links.into_iter().find(|link| !link.id().is_empty());
    asked.link = asked.link.take().or(found);
    Ok(())
}

fn parameter(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    let knobs = &mut asked.prompt.knobs;
    match name {
        "max_output_tokens" => knobs.max_tokens = ask::count(name, raw)?,
        "temperature" => knobs.temperature = ask::number(name, raw)?,
        "top_p" => knobs.top_p = ask::number(name, raw)?,
        "tools" => asked.prompt.tools = tools(raw)?,
        "tool_choice" => read_choice(asked, raw)?,
        "parallel_tool_calls" => knobs.wishes.parallel_tools = ask::flag(name, raw)?,
        "text" => knobs::read_text(asked, raw)?,
        "reasoning" => knobs::read_reasoning(asked, raw)?,
        "user" => knobs.wishes.user = ask::text(name, raw)?,
        "prompt_cache_key" => knobs.wishes.cache_key = ask::text(name, raw)?,
        // Of no account for one answer: what the answer shows, or how it is sent.
        "include" | "stream_options" => asked.own(name, raw),
        "truncation" if raw.get() == "\"disabled\"" => asked.own(name, raw),
        "background"
        | "context_management"
        | "max_tool_calls"
        | "moderation"
        | "prompt"
        | "prompt_cache_options"
        | "prompt_cache_retention"
        | "safety_identifier"
        | "service_tier"
        | "top_logprobs"
        | "truncation" => asked.keep(name, raw),
        _ => asked.unknown(name, raw),
    }
    Ok(())
}

fn instructions(raw: &RawValue) -> Result<String, Fault> {
    if let Some(text) = fields::string(raw) {
        return Ok(text.into_owned());
    }
    let texts: Vec<String> = input("instructions", raw)?.iter().map(Message::plain).collect();
    Ok(texts.join("\n\n"))
}

/// Reads `input`: a text, or items, of which those that belong together make one message.
pub(super) fn input(field: &str, raw: &RawValue) -> Result<Vec<Message>, Fault> {
    if let Some(text) = fields::string(raw) {
        return Ok(vec![Message::text(Role::User, text)]);
    }
    let items = fields::items(raw).ok_or_else(|| wrong(field, "a string or an array of items"))?;
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (at, raw) in items.into_iter().enumerate() {
        let (role, blocks, is_plain) = item(&format!("{field}.{at}"), raw)?;
        let joins = matches!(role, Role::Assistant | Role::Tool);
        match groups.last_mut() {
            Some(group) if joins && group.role == role => {
                group.items.push(raw);
                group.blocks.extend(blocks);
                group.is_plain = false;
            }
            _ => groups.push(Group { role, items: vec![raw], blocks, is_plain }),
        }
    }
    Ok(groups.into_iter().map(Group::message).collect())
}

/// Items that make one message.
struct Group<'a> {
    role: Role,
    items: Vec<&'a RawValue>,
    blocks: Vec<Block>,
    /// Its text says all there is.
    is_plain: bool,
}

impl Group<'_> {
    fn message(self) -> Message {
        let mut joined = String::new();
        let mut array = Array::begin(&mut joined);
        for item in &self.items {
            array.item().push_str(item.get());
        }
        array.end();
        let raw = fields::raw(joined).filter(|_| !self.is_plain);
        let raw = raw.map(|json| Raw { dialect: NAME.into(), json });
        Message { role: self.role, blocks: self.blocks, raw }
    }
}

fn item(place: &str, raw: &RawValue) -> Result<(Role, Vec<Block>, bool), Fault> {
    let item = ask::object(place, raw)?;
    let mut blocks = Vec::new();
    content::item(&item, &mut blocks).map_err(|text| {
        let details = serde_json::json!({"field": place});
        Fault::new(Code::InvalidInput, format!("{text} (in `{place}`)")).details(details)
    })?;
    let kind = content::kind(&item);
    if kind != "message" {
        let is_answer = kind.ends_with("_output") || kind.ends_with("_response");
        return Ok((if is_answer { Role::Tool } else { Role::Assistant }, blocks, false));
    }
    let name = item.string("role").unwrap_or_default();
    let role = match name.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            let expected = "`user`, `assistant`, `system` or `developer`";
            return Err(wrong(format!("{place}.role"), expected));
        }
    };
    let is_plain = name != "developer"
        && item.iter().all(|(name, value)| match name {
            "role" | "type" => true,
            "content" => value.get().starts_with('"'),
            _ => value.get() == "null",
        });
    Ok((role, blocks, is_plain))
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let field = format!("tools.{at}");
        let fields = ask::object(&field, raw)?;
        let kind = fields.string("type").unwrap_or(Cow::Borrowed("function"));
        let mut tool = if kind == "function" {
            read_function(&field, &fields)?
        } else {
            let hosted = Some(kind.clone().into_owned());
            let name = fields.string("name").unwrap_or(kind);
            Tool { hosted, ..Tool::new(name, RawValue::NULL.to_owned()) }
        };
        tool.raw = Some(Raw { dialect: NAME.into(), json: raw.to_owned() });
        tools.push(tool);
    }
    Ok(tools)
}
