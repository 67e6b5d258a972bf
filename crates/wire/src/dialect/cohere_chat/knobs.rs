//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, number, own_tools, quoted, report};
use crate::dialect::fields;
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Effort, Format, Prompt, ToolChoice};

const KNOWN: [&str; 8] = [
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tool_choice",
    "format",
    "effort",
    "thinking_tokens",
];

/// The API takes no more texts that end a reply.
const STOPS_MAX: usize = 5;

/// The API refuses the whole of the probability mass.
const TOP_P_MAX: f64 = 0.99;

/// Writes every parameter.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, losses: &Losses) {
    report(prompt, NAME, &KNOWN, losses);
    let (knobs, wishes) = (&prompt.knobs, &prompt.knobs.wishes);
    body.knob("max_tokens", knobs.max_tokens.map(|count| count.to_string()));
    body.knob("temperature", number(knobs.temperature));
    body.knob("p", number(knobs.top_p.map(|share| share.min(TOP_P_MAX))));
    body.knob("k", wishes.top_k.map(|count| count.to_string()));
    let stop: Vec<String> = knobs.stop.iter().take(STOPS_MAX).map(|text| quoted(text)).collect();
    if knobs.stop.len() > STOPS_MAX {
        losses.add("stop");
    }
    body.knob("stop_sequences", (!stop.is_empty()).then(|| format!("[{}]", stop.join(","))));
    // Against tokens only: the API knows no reward for repetition.
    let penalty = |value: Option<f64>| number(value.map(|value| value.clamp(0.0, 1.0)));
    body.knob("frequency_penalty", penalty(wishes.frequency_penalty));
    body.knob("presence_penalty", penalty(wishes.presence_penalty));
    body.knob("seed", wishes.seed.map(|seed| seed.to_string()));
    let has_tools = own_tools(prompt, NAME).next().is_some();
    body.knob("tool_choice", choice(wishes.tool_choice.as_ref(), losses).filter(|_| has_tools));
    let is_strict = has_tools && prompt.tools.iter().all(|tool| tool.strict == Some(true));
    body.knob("strict_tools", is_strict.then(|| "true".to_owned()));
    body.knob("response_format", wishes.format.as_ref().map(format));
    body.knob("thinking", thinking(prompt));
}

fn choice(choice: Option<&ToolChoice>, losses: &Losses) -> Option<String> {
    match choice? {
        // What the API does when nothing is said.
        ToolChoice::Auto => None,
        ToolChoice::Never => Some(quoted("NONE")),
        ToolChoice::Any => Some(quoted("REQUIRED")),
        ToolChoice::Tool(_) => {
            // Which one cannot be said.
            losses.add("tool_choice");
            Some(quoted("REQUIRED"))
        }
    }
}

fn format(format: &Format) -> String {
    show::object(|object| {
        object.string("type", "json_object");
        if let Format::Schema { schema, .. } = format {
            object.raw("json_schema", schema.get());
        }
    })
}

fn thinking(prompt: &Prompt) -> Option<String> {
    let wishes = &prompt.knobs.wishes;
    let enabled = |tokens: u32| Some(format!(r#"{{"type":"enabled","token_budget":{tokens}}}"#));
    match (wishes.effort, wishes.thinking_tokens) {
        (Some(Effort::Off), _) | (_, Some(0)) => Some(r#"{"type":"disabled"}"#.to_owned()),
        (_, Some(tokens)) => enabled(tokens),
        (Some(Effort::Minimal), _) => enabled(512),
        (Some(Effort::Low), _) => enabled(1024),
        (Some(Effort::Medium), _) => enabled(8192),
        (Some(Effort::High | Effort::Higher | Effort::Max), _) => {
            Some(r#"{"type":"enabled"}"#.to_owned())
        }
        (None, None) => None,
    }
}

/// Reads a parameter.
pub(super) fn read(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    let knobs = &mut asked.prompt.knobs;
    match name {
        "max_tokens" => knobs.max_tokens = ask::count(name, raw)?,
        "temperature" => knobs.temperature = ask::number(name, raw)?,
        "p" => {
            knobs.top_p = ask::number(name, raw)?;
            asked.own(name, raw);
        }
        "k" => {
            // None at all is how the API says that it is switched off.
            knobs.wishes.top_k = ask::count(name, raw)?.filter(|count| *count > 0);
            asked.own(name, raw);
        }
        "stop_sequences" => knobs.stop = ask::texts(name, raw)?,
        "seed" => knobs.wishes.seed = ask::value(name, raw, "a whole number")?,
        "frequency_penalty" => {
            knobs.wishes.frequency_penalty = ask::number(name, raw)?;
            asked.own(name, raw);
        }
        "presence_penalty" => {
            knobs.wishes.presence_penalty = ask::number(name, raw)?;
            asked.own(name, raw);
        }
        "tool_choice" => {
            let choice = ask::text(name, raw)?.map(|word| match word.as_str() {
                "REQUIRED" => Ok(ToolChoice::Any),
                "NONE" => Ok(ToolChoice::Never),
                _ => Err(wrong(name, "`REQUIRED` or `NONE`")),
            });
            knobs.wishes.tool_choice = choice.transpose()?;
        }
        "response_format" => read_format(asked, raw)?,
        "thinking" => read_thinking(asked, raw)?,
        "citation_options" | "safety_mode" | "logprobs" | "priority" | "raw_prompting" => {
            asked.keep(name, raw);
        }
        _ => asked.unknown(name, raw),
    }
    Ok(())
}

fn read_format(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let format = ask::object("response_format", raw)?;
    if format.string("type").as_deref() == Some("json_object") {
        // The older of the two names is still taken.
        let schema = format.find("json_schema").or_else(|| format.find("schema"));
        asked.prompt.knobs.wishes.format = Some(match schema {
            Some(schema) => Format::Schema { name: None, schema: schema.to_owned(), strict: None },
            None => Format::Json,
        });
    }
    asked.own("response_format", raw);
    Ok(())
}

fn read_thinking(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let thinking = ask::object("thinking", raw)?;
    let wishes = &mut asked.prompt.knobs.wishes;
    match thinking.string("type").as_deref() {
        Some("disabled") => wishes.effort = Some(Effort::Off),
        Some("enabled") => {
            let budget = fields::Fields::find(&thinking, "token_budget");
            let budget = budget.map(|raw| ask::count("thinking.token_budget", raw)).transpose()?;
            wishes.thinking_tokens = budget.flatten();
            if wishes.thinking_tokens.is_none() {
                wishes.effort = Some(Effort::High);
            }
        }
        _ => return Err(wrong("thinking.type", "`enabled` or `disabled`")),
    }
    asked.own("thinking", raw);
    Ok(())
}
