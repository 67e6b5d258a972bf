//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked};
use crate::dialect::body::{Body, number, quoted, report};
use crate::dialect::losses::Losses;
use crate::dialect::openai_chat::knobs::{effort, read_effort, read_schema, write_schema};
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Format, Prompt, ToolChoice};

const KNOWN: [&str; 6] = ["tool_choice", "parallel_tools", "format", "effort", "user", "cache_key"];

/// Writes every parameter.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, has_tools: bool, losses: &Losses) {
    report(prompt, NAME, &KNOWN, losses);
    let (knobs, wishes) = (&prompt.knobs, &prompt.knobs.wishes);
    if !knobs.stop.is_empty() {
        losses.add("stop");
    }
    body.knob("max_output_tokens", knobs.max_tokens.map(|count| count.to_string()));
    body.knob("temperature", number(knobs.temperature));
    body.knob("top_p", number(knobs.top_p));
    let choice = wishes.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => quoted("auto"),
        ToolChoice::Never => quoted("none"),
        ToolChoice::Any => quoted("required"),
        ToolChoice::Tool(name) => format!(r#"{{"type":"function","name":{}}}"#, quoted(name)),
    });
    body.knob("tool_choice", choice.filter(|_| has_tools));
    let parallel = wishes.parallel_tools.map(|parallel| parallel.to_string());
    body.knob("parallel_tool_calls", parallel.filter(|_| has_tools));
    body.knob("text", wishes.format.as_ref().map(text));
    let reasoning = effort(wishes.depth()).map(|effort| format!(r#"{{"effort":{effort}}}"#));
    body.knob("reasoning", reasoning);
    body.knob("user", wishes.user.as_deref().map(quoted));
    body.knob("prompt_cache_key", wishes.cache_key.as_deref().map(quoted));
}

fn text(format: &Format) -> String {
    let format = show::object(|object| match format {
        Format::Json => object.string("type", "json_object"),
        Format::Schema { .. } => {
            object.string("type", "json_schema");
            write_schema(format, object);
        }
    });
    format!(r#"{{"format":{format}}}"#)
}

/// Reads `text`: the form of the reply, and how wordy it is.
pub(super) fn read_text(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let text = ask::object("text", raw)?;
    asked.own("text", raw);
    // The form is carried over; the rest is only named, for those who lose it.
    for (name, raw) in text.iter().filter(|(name, _)| *name != "format") {
        asked.keep(&format!("text.{name}"), raw);
    }
    if let Some(raw) = text.find("format") {
        let format = ask::object("text.format", raw)?;
        asked.prompt.knobs.wishes.format = match format.string("type").as_deref() {
            Some("json_object") => Some(Format::Json),
            Some("json_schema") => Some(read_schema(&format)),
            Some("text") | None => None,
            Some(_) => {
                asked.keep("text.format", raw);
                None
            }
        };
    }
    Ok(())
}

/// Reads `reasoning`; how it is shown stays in its exact form.
pub(super) fn read_reasoning(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let reasoning = ask::object("reasoning", raw)?;
    if let Some(level) = reasoning.find("effort") {
        asked.prompt.knobs.wishes.effort = read_effort("reasoning.effort", level)?;
    }
    asked.own("reasoning", raw);
    Ok(())
}
