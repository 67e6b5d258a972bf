//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, number, private_in, quoted, report};
use crate::dialect::fields::{self, Fields};
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Effort, Format, Prompt, ToolChoice};

/// Writes every parameter but the tools.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, losses: &Losses) {
    let additional = additional(prompt);
    let mut known = vec!["tool_choice", "format"];
    if is_claude(&prompt.model) {
        known.extend(["top_k", "effort", "thinking_tokens"]);
    }
    report(prompt, NAME, &known, losses);
    let inference = inference(prompt);
    body.knob("inferenceConfig", (inference != "{}").then_some(inference));
    body.knob("outputConfig", output(prompt, losses));
    body.knob("additionalModelRequestFields", (additional != "{}").then_some(additional));
}

/// Fields that stand in their places in `inferenceConfig`.
const CARRIED: [&str; 4] = ["maxTokens", "temperature", "topP", "stopSequences"];

fn inference(prompt: &Prompt) -> String {
    let knobs = &prompt.knobs;
    let stop: Vec<String> = knobs.stop.iter().map(|text| quoted(text)).collect();
    let values = [
        knobs.max_tokens.map(|count| count.to_string()),
        number(knobs.temperature),
        number(knobs.top_p),
        (!stop.is_empty()).then(|| format!("[{}]", stop.join(","))),
    ];
    show::object(|config| {
        for (name, value) in CARRIED.into_iter().zip(values) {
            if let Some(json) = value {
                config.raw(name, &json);
            }
        }
        for (name, json) in private_in(prompt, NAME, "inferenceConfig") {
            if !CARRIED.contains(&name) {
                config.raw(name, json);
            }
        }
    })
}

/// Whether the model is one whose own parameters are those of the Messages API.
fn is_claude(model: &str) -> bool {
    model.to_lowercase().contains("claude")
}

/// What the model's own API has beside the common parameters.
fn additional(prompt: &Prompt) -> String {
    let wishes = &prompt.knobs.wishes;
    show::object(|fields| {
        if !is_claude(&prompt.model) {
            return;
        }
        if let Some(count) = wishes.top_k {
            fields.raw("top_k", &count.to_string());
        }
        match (wishes.effort, wishes.thinking_tokens) {
            (Some(Effort::Off), _) => fields.raw("thinking", r#"{"type":"disabled"}"#),
            (_, Some(tokens)) => {
                let thinking = format!(r#"{{"type":"enabled","budget_tokens":{tokens}}}"#);
                fields.raw("thinking", &thinking);
            }
            (Some(effort), None) => {
                fields.raw("thinking", r#"{"type":"adaptive"}"#);
                let effort = quoted(effort.max(Effort::Low).as_str());
                fields.raw("output_config", &format!(r#"{{"effort":{effort}}}"#));
            }
            (None, None) => {}
        }
    })
}

fn output(prompt: &Prompt, losses: &Losses) -> Option<String> {
    let (name, schema) = match prompt.knobs.wishes.format.as_ref()? {
        Format::Schema { name, schema, .. } => (name.as_deref(), schema),
        Format::Json => {
            losses.add("format");
            return None;
        }
    };
    let inner = show::object(|inner| {
        // The schema is text there.
        inner.string("schema", schema.get());
        if let Some(name) = name {
            inner.string("name", name);
        }
    });
    let structure = format!(r#"{{"jsonSchema":{inner}}}"#);
    Some(format!(r#"{{"textFormat":{{"type":"json_schema","structure":{structure}}}}}"#))
}

/// The choice of a tool, where the API has a word for it.
pub(super) fn choice(choice: &ToolChoice) -> Option<String> {
    match choice {
        ToolChoice::Auto => Some(r#"{"auto":{}}"#.to_owned()),
        ToolChoice::Any => Some(r#"{"any":{}}"#.to_owned()),
        ToolChoice::Tool(name) => Some(format!(r#"{{"tool":{{"name":{}}}}}"#, quoted(name))),
        ToolChoice::Never => None,
    }
}

/// Reads `inferenceConfig`; what the prompt cannot say is kept under its path.
pub(super) fn read(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let config = ask::object("inferenceConfig", raw)?;
    for (name, raw) in config.iter().filter(|(_, raw)| raw.get() != "null") {
        let path = format!("inferenceConfig.{name}");
        let knobs = &mut asked.prompt.knobs;
        match name {
            "maxTokens" => knobs.max_tokens = ask::count(&path, raw)?,
            "temperature" => knobs.temperature = ask::number(&path, raw)?,
            "topP" => knobs.top_p = ask::number(&path, raw)?,
            "stopSequences" => knobs.stop = ask::texts(&path, raw)?,
            _ => asked.keep(&path, raw),
        }
    }
    Ok(())
}

/// Reads `toolConfig.toolChoice`.
pub(super) fn read_choice(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let expected = "an object with `auto`, `any` or `tool`";
    let choice = ask::object("toolConfig.toolChoice", raw)?;
    let choice = if choice.find("auto").is_some() {
        ToolChoice::Auto
    } else if choice.find("any").is_some() {
        ToolChoice::Any
    } else {
        let tool = choice.find("tool").and_then(Fields::read);
        let name = tool.and_then(|tool| tool.string("name"));
        let name = name.ok_or_else(|| wrong("toolConfig.toolChoice", expected))?;
        ToolChoice::Tool(name.into_owned())
    };
    asked.prompt.knobs.wishes.tool_choice = Some(choice);
    Ok(())
}

/// Reads `outputConfig`.
pub(super) fn read_output(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let output = ask::object("outputConfig", raw)?;
    let inner = |fields: &Fields<'_>, name: &str| fields.find(name).map(ToOwned::to_owned);
    let read = |raw: &Option<Box<RawValue>>, name: &str| {
        raw.as_deref().and_then(Fields::read).and_then(|fields| inner(&fields, name))
    };
    let structure = read(&inner(&output, "textFormat"), "structure");
    let json = read(&structure, "jsonSchema");
    if let Some(fields) = json.as_deref().and_then(Fields::read)
        && let Some(schema) = fields.string("schema")
    {
        let schema = fields::raw(schema.into_owned());
        let path = "outputConfig.textFormat.structure.jsonSchema.schema";
        let schema = schema.ok_or_else(|| wrong(path, "a JSON Schema as text"))?;
        let name = fields.string("name").map(std::borrow::Cow::into_owned);
        let format = Format::Schema { name, schema, strict: None };
        asked.prompt.knobs.wishes.format = Some(format);
    }
    asked.own("outputConfig", raw);
    Ok(())
}

/// Reads the model's own fields, as far as more than one dialect has them.
pub(super) fn read_additional(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let path = "additionalModelRequestFields";
    let fields = ask::object(path, raw)?;
    let mut is_carried = true;
    for (name, raw) in fields.iter() {
        let wishes = &mut asked.prompt.knobs.wishes;
        match name {
            "top_k" => wishes.top_k = ask::count(&format!("{path}.{name}"), raw)?,
            "thinking" => {
                let thinking = ask::object(format!("{path}.{name}"), raw)?;
                let budget = thinking.find("budget_tokens");
                if thinking.string("type").as_deref() == Some("disabled") {
                    wishes.effort = Some(Effort::Off);
                } else if let Some(budget) = budget {
                    wishes.thinking_tokens = ask::count("thinking.budget_tokens", budget)?;
                }
            }
            "output_config" => {
                let output = ask::object(format!("{path}.{name}"), raw)?;
                let effort = output.string("effort").and_then(|level| Effort::parse(&level));
                wishes.effort = effort.or(wishes.effort);
            }
            _ => is_carried = false,
        }
    }
    if is_carried {
        asked.own(path, raw);
    } else {
        asked.keep(path, raw);
    }
    Ok(())
}
