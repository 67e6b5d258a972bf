//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, content, knobs};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::Fields;
use crate::dialect::judged::Judged;
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Raw, Role, Tool, ToolChoice};

/// Reads the body.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match name {
            _ if raw.get() == "null" => {}
            "messages" => asked.prompt.messages = messages(raw, judged.as_ref())?,
            "model" | "stream" | "stream_options" | "store" | "metadata" | "n" => {
                frame(&mut asked, name, raw)?;
            }
            "tools" | "functions" | "tool_choice" | "function_call" | "parallel_tool_calls" => {
                tooling(&mut asked, name, raw)?;
            }
            _ => parameter(&mut asked, name, raw)?,
        }
    }
    asked.done(true, "messages")
}

fn frame(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    match name {
        "model" => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
        "stream" => asked.stream = ask::flag(name, raw)?.unwrap_or_default(),
        "stream_options" => {
            let options = ask::object(name, raw)?;
            let usage = options.find("include_usage");
            asked.wants_usage = usage.is_some_and(|raw| raw.get() == "true");
        }
        "store" => {
            asked.store = ask::flag(name, raw)?;
            asked.own(name, raw);
        }
        "metadata" => asked.metadata(raw),
        // One answer is what every other dialect gives.
        _ => {
            if ask::count(name, raw)?.unwrap_or(1) > 1 {
                asked.drops("n");
            }
        }
    }
    Ok(())
}

fn tooling(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    match name {
        "tools" => asked.prompt.tools = tools(raw)?,
        "functions" => {
            let list = ask::list(name, raw)?.into_iter().enumerate();
            let read = |(at, raw)| function(&format!("functions.{at}"), raw);
            asked.prompt.tools = list.map(read).collect::<Result<_, _>>()?;
        }
        "tool_choice" => knobs::read_choice(asked, raw)?,
        "function_call" => {
            let choice = match crate::dialect::fields::string(raw).as_deref() {
                Some("none") => ToolChoice::Never,
                Some(_) => ToolChoice::Auto,
                None => {
                    let call = ask::object(name, raw)?;
                    let called = call.string("name");
                    let called = called.ok_or_else(|| ask::missing("function_call.name"))?;
                    ToolChoice::Tool(called.into_owned())
                }
            };
            asked.prompt.knobs.wishes.tool_choice = Some(choice);
        }
        _ => asked.prompt.knobs.wishes.parallel_tools = ask::flag(name, raw)?,
    }
    Ok(())
}

fn parameter(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    let knobs = &mut asked.prompt.knobs;
    match name {
        "max_tokens" => {
            // The newer name wins where both are given.
            let is_free = !asked
                .prompt
                .private
                .iter()
                .flat_map(|p| &p.fields)
                .any(|field| field.name == "max_completion_tokens");
            if is_free {
                knobs.max_tokens = ask::count(name, raw)?;
            }
        }
        "max_completion_tokens" => {
            knobs.max_tokens = ask::count(name, raw)?;
            asked.own(name, raw);
        }
        "temperature" => knobs.temperature = ask::number(name, raw)?,
        "top_p" => knobs.top_p = ask::number(name, raw)?,
        "top_k" => knobs.wishes.top_k = ask::count(name, raw)?,
        "stop" => knobs.stop = ask::texts(name, raw)?,
        "seed" => knobs.wishes.seed = ask::value(name, raw, "a whole number")?,
        "frequency_penalty" => knobs.wishes.frequency_penalty = ask::number(name, raw)?,
        "presence_penalty" => knobs.wishes.presence_penalty = ask::number(name, raw)?,
        "response_format" => knobs::read_format(asked, raw)?,
        "reasoning_effort" => {
            knobs.wishes.effort = knobs::read_effort(name, raw)?;
            asked.own(name, raw);
        }
        "user" => knobs.wishes.user = ask::text(name, raw)?,
        "prompt_cache_key" => knobs.wishes.cache_key = ask::text(name, raw)?,
        "logit_bias"
        | "logprobs"
        | "top_logprobs"
        | "audio"
        | "modalities"
        | "prediction"
        | "verbosity"
        | "web_search_options"
        | "service_tier"
        | "safety_identifier"
        | "prompt_cache_retention"
        | "prompt_cache_options"
        | "moderation" => {
            asked.keep(name, raw);
        }
        _ => asked.unknown(name, raw),
    }
    Ok(())
}

fn messages(raw: &RawValue, judged: Option<&Judged>) -> Result<Vec<Message>, Fault> {
    let read = |item: Result<_, _>| item.and_then(message);
    ask::objects("messages", raw, judged)?.map(read).collect()
}

fn message((at, raw, message): (usize, &RawValue, Fields<'_>)) -> Result<Message, Fault> {
    let field = || format!("messages.{at}.role");
    let name = message.string("role").ok_or_else(|| ask::missing(&field()))?;
    let role = match name.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => return Err(wrong(field(), "`system`, `developer`, `user`, `assistant` or `tool`")),
    };
    let blocks = content::blocks_of(&message).map_err(|text| {
        let details = serde_json::json!({"field": format!("messages.{at}")});
        Fault::new(Code::InvalidInput, format!("{text} (in `messages.{at}`)")).details(details)
    })?;
    let is_common = matches!(name.as_ref(), "system" | "user" | "assistant");
    let is_plain = is_common && !blocks.is_empty() && content::is_plain(&message);
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: raw.to_owned() });
    Ok(Message { role, blocks, raw })
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("tools", raw)?.into_iter().enumerate() {
        let field = format!("tools.{at}");
        let fields = ask::object(&field, raw)?;
        let kind = fields.string("type").unwrap_or(Cow::Borrowed("function"));
        let mut tool = match fields.find("function") {
            Some(inner) if kind == "function" => function(&format!("{field}.function"), inner)?,
            None if kind == "function" => {
                return Err(ask::missing(&format!("{field}.function")));
            }
            _ => {
                let hosted = Some(kind.clone().into_owned());
                Tool { hosted, ..Tool::new(kind, RawValue::NULL.to_owned()) }
            }
        };
        tool.raw = Some(Raw { dialect: NAME.into(), json: raw.to_owned() });
        tools.push(tool);
    }
    Ok(tools)
}

/// Reads a function as `tools` and `functions` have it.
fn function(field: &str, raw: &RawValue) -> Result<Tool, Fault> {
    let fields = ask::object(field, raw)?;
    read_function(field, &fields)
}

/// Reads the name, description, parameters and strictness of a function.
pub(in crate::dialect) fn read_function(field: &str, fields: &Fields<'_>) -> Result<Tool, Fault> {
    let name = fields.string("name").ok_or_else(|| ask::missing(&format!("{field}.name")))?;
    let schema = match fields.find("parameters") {
        Some(schema) if schema.get().starts_with('{') => schema.to_owned(),
        Some(_) => return Err(wrong(format!("{field}.parameters"), "a JSON Schema object")),
        None => content::no_parameters(),
    };
    Ok(Tool {
        description: fields.string("description").map(Cow::into_owned),
        strict: fields.find("strict").map(|raw| raw.get() == "true"),
        ..Tool::new(name, schema)
    })
}
