//! Reads a caller's request.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{NAME, config, content};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::{self, Fields};
use crate::dialect::judged::Judged;
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Raw, Role, Tool};

/// Reads the body. The model and whether to stream are for the reader of the path to add.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    asked.wants_usage = true;
    let judged = Judged::of(body);
    for (name, raw) in ask::body(body, judged.as_ref())?.iter() {
        match name {
            _ if raw.get() == "null" => {}
            "model" | "modelId" => {
                asked.prompt.model = ask::text(name, raw)?.unwrap_or_default();
            }
            "messages" => asked.prompt.messages = messages(raw)?,
            "system" => system(&mut asked, raw)?,
            "inferenceConfig" => config::read(&mut asked, raw)?,
            "toolConfig" => tooling(&mut asked, raw)?,
            "outputConfig" => config::read_output(&mut asked, raw)?,
            "additionalModelRequestFields" => config::read_additional(&mut asked, raw)?,
            "guardrailConfig"
            | "promptVariables"
            | "additionalModelResponseFieldPaths"
            | "requestMetadata"
            | "performanceConfig"
            | "serviceTier" => asked.keep(name, raw),
            "metadata" => asked.metadata(raw),
            _ => asked.unknown(name, raw),
        }
    }
    asked.done(false, "messages")
}

fn system(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let Some(text) = content::system(raw) else {
        return Err(wrong("system", "an array of objects with `text`"));
    };
    if !content::is_plain(raw) {
        asked.prompt.system_raw = Some(Raw { dialect: NAME.into(), json: raw.to_owned() });
    }
    asked.prompt.system = Some(text).filter(|text| !text.is_empty());
    Ok(())
}

fn messages(raw: &RawValue) -> Result<Vec<Message>, Fault> {
    let items = ask::list("messages", raw)?.into_iter().enumerate();
    items.map(|(at, item)| message(at, item)).collect()
}

fn message(at: usize, raw: &RawValue) -> Result<Message, Fault> {
    let field = format!("messages.{at}");
    let message = ask::object(&field, raw)?;
    let role = match message.string("role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) => return Err(wrong(format!("{field}.role"), "`user` or `assistant`")),
        None => return Err(ask::missing(&format!("{field}.role"))),
    };
    let inner = format!("{field}.content");
    let raw = message.find("content").ok_or_else(|| ask::missing(&inner))?;
    let blocks = content::blocks(raw).map_err(|text| {
        let details = serde_json::json!({"field": inner});
        Fault::new(Code::InvalidInput, format!("{text} (in `{inner}`)")).details(details)
    })?;
    let is_plain = content::is_plain(raw) && blocks.len() == 1;
    let raw = (!is_plain).then(|| Raw { dialect: NAME.into(), json: raw.to_owned() });
    Ok(Message { role, blocks, raw })
}

fn tooling(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let config = ask::object("toolConfig", raw)?;
    for (name, raw) in config.iter().filter(|(_, raw)| raw.get() != "null") {
        match name {
            "tools" => asked.prompt.tools = tools(raw)?,
            "toolChoice" => config::read_choice(asked, raw)?,
            _ => asked.keep(&format!("toolConfig.{name}"), raw),
        }
    }
    Ok(())
}

fn tools(raw: &RawValue) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in ask::list("toolConfig.tools", raw)?.into_iter().enumerate() {
        let field = format!("toolConfig.tools.{at}");
        let fields = ask::object(&field, raw)?;
        let mut tool = match fields.find("toolSpec") {
            Some(inner) => spec(&format!("{field}.toolSpec"), inner)?,
            None => {
                let kind = fields.iter().map(|(name, _)| name).next();
                let kind = kind.ok_or_else(|| ask::missing(&format!("{field}.toolSpec")))?;
                let hosted = Some(kind.to_owned());
                Tool { hosted, ..Tool::new(kind, RawValue::NULL.to_owned()) }
            }
        };
        tool.raw = Some(Raw { dialect: NAME.into(), json: raw.to_owned() });
        tools.push(tool);
    }
    Ok(tools)
}

fn spec(field: &str, raw: &RawValue) -> Result<Tool, Fault> {
    let spec = ask::object(field, raw)?;
    let name = spec.string("name").ok_or_else(|| ask::missing(&format!("{field}.name")))?;
    let schema = spec.find("inputSchema").and_then(Fields::read);
    let schema = match schema.as_ref().and_then(|schema| schema.find("json")) {
        // Some write the schema as text.
        Some(json) => match fields::string(json) {
            Some(text) => fields::raw(text.into_owned()),
            None => Some(json.to_owned()),
        },
        None => None,
    };
    let expected = "an object with a JSON Schema under `json`";
    let schema = schema.filter(|schema| schema.get().starts_with('{'));
    let schema = schema.ok_or_else(|| wrong(format!("{field}.inputSchema"), expected))?;
    Ok(Tool {
        description: spec.string("description").map(Cow::into_owned),
        strict: spec.find("strict").map(|raw| raw.get() == "true"),
        ..Tool::new(name, schema)
    })
}
