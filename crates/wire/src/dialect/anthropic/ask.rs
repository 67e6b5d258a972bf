//! Reads a caller's request.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{NAME, content, knobs};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::dialect::text::Array;
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Raw, Role, Tool};

/// Reads the body.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    asked.wants_usage = true;
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match name {
            "messages" => asked.prompt.messages = messages(raw, judged.as_ref())?,
            _ => field(&mut asked, name, raw)?,
        }
    }
    asked.done(true, "messages")
}

fn field(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    let prompt = &mut asked.prompt;
    match name {
        "model" => prompt.model = ask::text(name, raw)?.unwrap_or_default(),
        "max_tokens" => prompt.knobs.max_tokens = ask::count(name, raw)?,
        "system" => {
            let system = content::system(raw);
            let system =
                system.ok_or_else(|| wrong(name, "a string or an array of text blocks"))?;
            prompt.system = Some(system).filter(|text| !text.is_empty());
            let is_list = raw.get().starts_with('[');
            prompt.system_raw = is_list.then(|| Raw { dialect: NAME.into(), json: raw.to_owned() });
        }
        "tools" => prompt.tools = tools(raw)?,
        "temperature" => prompt.knobs.temperature = ask::number(name, raw)?,
        "top_p" => prompt.knobs.top_p = ask::number(name, raw)?,
        "top_k" => prompt.knobs.wishes.top_k = ask::count(name, raw)?,
        "stop_sequences" => prompt.knobs.stop = ask::texts(name, raw)?,
        "stream" => asked.stream = ask::flag(name, raw)?.unwrap_or_default(),
        "tool_choice" if raw.get() != "null" => knobs::read_choice(asked, raw)?,
        "thinking" if raw.get() != "null" => knobs::read_thinking(asked, raw)?,
        "output_config" if raw.get() != "null" => knobs::read_output(asked, raw)?,
        "metadata" => {
            asked.metadata(raw);
            let user = Fields::read(raw)
                .and_then(|metadata| Some(metadata.string("user_id")?.into_owned()));
            asked.prompt.knobs.wishes.user = user;
        }
        // A mark for the cache at the end of the prompt; what it marks is not lost.
        "cache_control" | "service_tier" | "speed" | "inference_geo" | "container" | "thread"
        | "mcp_servers" | "context_management" | "compaction" | "diagnostics" | "fallbacks"
        | "betas" => asked.keep(name, raw),
        "tool_choice" | "thinking" | "output_config" => {}
        _ => asked.unknown(name, raw),
    }
    Ok(())
}

fn messages(raw: &RawValue, judged: Option<&Judged>) -> Result<Vec<Message>, Fault> {
    let read = |item: Result<_, _>| item.and_then(message);
    ask::objects("messages", raw, judged)?.map(read).collect()
}

fn message((at, _, message): (usize, &RawValue, Fields<'_>)) -> Result<Message, Fault> {
    let field = |name: &str| format!("messages.{at}.{name}");
    let role = message.string("role");
    let role = match role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(wrong(field("role"), "`user`, `assistant` or `system`")),
    };
    let content = message.find("content");
    let content = content.ok_or_else(|| ask::missing(&field("content")))?;
    let shown = if role == Role::Assistant { presentable(content) } else { None };
    let json = shown.as_deref().unwrap_or(content);
    let blocks = content::blocks(json, message.judged()).map_err(|text| {
        let details = serde_json::json!({"field": field("content")});
        Fault::new(Code::InvalidInput, format!("{text} (in `{}`)", field("content")))
            .details(details)
    })?;
    let is_plain = json.get().starts_with('"') && role != Role::System;
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: json.to_owned() });
    Ok(Message { role, blocks, raw })
}

/// The model's content without thoughts that nobody signed: they are those of another provider,
/// which a caller was shown without their signature, and the API refuses them.
fn presentable(content: &RawValue) -> Option<Box<RawValue>> {
    let items = fields::items(content)?;
    let is_unsigned = |item: &&RawValue| {
        Fields::read(item).is_some_and(|block| {
            let is_thought = block.string("type").as_deref() == Some("thinking");
            is_thought && block.string("signature").is_none_or(|text| text.is_empty())
        })
    };
    if !items.iter().any(is_unsigned) {
        return None;
    }
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for item in items.iter().filter(|item| !is_unsigned(item)) {
        array.item().push_str(item.get());
    }
    array.end();
    fields::raw(out)
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let fields = ask::object(format!("tools.{at}"), raw)?;
        let kind = fields.string("type").filter(|kind| kind != "custom");
        let name = fields.string("name").or_else(|| kind.clone());
        let name = name.ok_or_else(|| ask::missing(&format!("tools.{at}.name")))?;
        let schema = fields.find("input_schema").unwrap_or(RawValue::NULL).to_owned();
        if kind.is_none() && !schema.get().starts_with('{') {
            return Err(wrong(format!("tools.{at}.input_schema"), "a JSON Schema object"));
        }
        tools.push(Tool {
            description: fields.string("description").map(std::borrow::Cow::into_owned),
            strict: fields.find("strict").map(|raw| raw.get() == "true"),
            hosted: kind.map(std::borrow::Cow::into_owned),
            raw: Some(Raw { dialect: NAME.into(), json: raw.to_owned() }),
            ..Tool::new(name, schema)
        });
    }
    Ok(tools)
}
