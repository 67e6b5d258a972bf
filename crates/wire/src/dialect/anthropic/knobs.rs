//! Writes parameters in the API's words, and reads them from a caller.

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, private, quoted, report};
use crate::dialect::fields::Fields;
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Effort, Format, Prompt, ToolChoice, Wishes};
use serde_json::value::RawValue;

/// The API takes no smaller budget for thoughts.
const THINKING_TOKENS_MIN: u32 = 1024;

const DISABLED: &str = r#"{"type":"disabled"}"#;

const KNOWN: [&str; 7] =
    ["top_k", "tool_choice", "parallel_tools", "format", "effort", "thinking_tokens", "user"];

/// Writes every parameter but `max_tokens`.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, has_tools: bool, losses: &Losses) {
    report(prompt, NAME, &KNOWN, losses);
    let wishes = &prompt.knobs.wishes;
    let thinking = thinking(prompt, has_tools, losses);
    let is_thinking = thinking.as_deref().is_some_and(|json| json != DISABLED);
    if is_thinking && prompt.knobs.temperature.is_some() {
        // The API refuses one with the other.
        losses.add("temperature");
        body.skip("temperature");
    }
    body.sampling("stop_sequences");
    body.knob("top_k", wishes.top_k.map(|count| count.to_string()));
    body.knob("tool_choice", choice(wishes).filter(|_| has_tools));
    body.knob("thinking", thinking);
    body.knob("output_config", output(wishes, losses));
    let user = wishes.user.as_deref();
    body.knob("metadata", user.map(|user| show::object(|object| object.string("user_id", user))));
}

fn choice(wishes: &Wishes) -> Option<String> {
    let is_single = wishes.parallel_tools == Some(false);
    let choice = match &wishes.tool_choice {
        None if !is_single => return None,
        None => &ToolChoice::Auto,
        Some(choice) => choice,
    };
    Some(show::object(|object| {
        object.string(
            "type",
            match choice {
                ToolChoice::Auto => "auto",
                ToolChoice::Never => "none",
                ToolChoice::Any => "any",
                ToolChoice::Tool(_) => "tool",
            },
        );
        if let ToolChoice::Tool(name) = choice {
            object.string("name", name);
        }
        if is_single && *choice != ToolChoice::Never {
            object.raw("disable_parallel_tool_use", "true");
        }
    }))
}

fn thinking(prompt: &Prompt, has_tools: bool, losses: &Losses) -> Option<String> {
    let wishes = &prompt.knobs.wishes;
    let is_given = private(prompt, NAME, "thinking").is_some();
    if wishes.effort == Some(Effort::Off) {
        return Some(DISABLED.to_owned());
    }
    if is_given || (wishes.effort.is_none() && wishes.thinking_tokens.is_none()) {
        return None;
    }
    let is_forced = matches!(wishes.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_)));
    if is_forced && has_tools {
        // The API does not think where it has no choice.
        losses.add("thinking_tokens");
        return None;
    }
    let Some(tokens) = wishes.thinking_tokens else {
        return Some(r#"{"type":"adaptive"}"#.to_owned());
    };
    // A thought is a part of the reply, and has to be shorter.
    let room = prompt.knobs.max_tokens.unwrap_or(super::write::MAX_TOKENS_DEFAULT);
    let tokens = tokens.max(THINKING_TOKENS_MIN).min(room.saturating_sub(1));
    if tokens < THINKING_TOKENS_MIN {
        losses.add("thinking_tokens");
        return None;
    }
    Some(format!(r#"{{"type":"enabled","budget_tokens":{tokens}}}"#))
}

fn output(wishes: &Wishes, losses: &Losses) -> Option<String> {
    let effort = wishes.effort.filter(|effort| *effort != Effort::Off);
    // The least that the API knows.
    let effort = effort.map(|effort| effort.max(Effort::Low).as_str());
    let schema = match &wishes.format {
        Some(Format::Schema { schema, .. }) => Some(schema),
        Some(Format::Json) => {
            losses.add("format");
            None
        }
        None => None,
    };
    if effort.is_none() && schema.is_none() {
        return None;
    }
    Some(show::object(|object| {
        if let Some(effort) = effort {
            object.string("effort", effort);
        }
        if let Some(schema) = schema {
            let format = format!(r#"{{"type":{},"schema":{schema}}}"#, quoted("json_schema"));
            object.raw("format", &format);
        }
    }))
}

/// Reads `tool_choice`.
pub(super) fn read_choice(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let choice = ask::object("tool_choice", raw)?;
    let wishes = &mut asked.prompt.knobs.wishes;
    wishes.tool_choice = Some(match choice.string("type").as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::Never,
        Some("any") => ToolChoice::Any,
        Some("tool") => {
            let name = choice.string("name").ok_or_else(|| ask::missing("tool_choice.name"))?;
            ToolChoice::Tool(name.into_owned())
        }
        _ => return Err(wrong("tool_choice.type", "`auto`, `any`, `tool` or `none`")),
    });
    if let Some(raw) = choice.find("disable_parallel_tool_use") {
        let single = ask::flag("tool_choice.disable_parallel_tool_use", raw)?;
        wishes.parallel_tools = single.map(|single| !single);
    }
    asked.own("tool_choice", raw);
    Ok(())
}

/// Reads `thinking`; how it is displayed stays in its exact form.
pub(super) fn read_thinking(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let thinking = ask::object("thinking", raw)?;
    let wishes = &mut asked.prompt.knobs.wishes;
    match thinking.string("type").as_deref() {
        Some("disabled") => wishes.effort = Some(Effort::Off),
        Some("enabled") => {
            if let Some(raw) = thinking.find("budget_tokens") {
                wishes.thinking_tokens = ask::count("thinking.budget_tokens", raw)?;
            }
        }
        // Kinds that came later say when the model thinks, not how much.
        _ => {}
    }
    asked.own("thinking", raw);
    Ok(())
}

/// Reads `output_config`.
pub(super) fn read_output(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let output = ask::object("output_config", raw)?;
    let wishes = &mut asked.prompt.knobs.wishes;
    let effort = output.string("effort").and_then(|effort| Effort::parse(&effort));
    // A level that came after us is for those who know it.
    wishes.effort = effort.or(wishes.effort);
    if let Some(format) = output.find("format").and_then(Fields::read)
        && let Some(schema) = format.find("schema")
    {
        let schema = schema.to_owned();
        wishes.format = Some(Format::Schema { name: None, schema, strict: Some(true) });
    }
    asked.own("output_config", raw);
    Ok(())
}
