//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, number, private_in, quoted, report};
use crate::dialect::fields;
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Effort, Format, Prompt};

const KNOWN: [&str; 6] =
    ["top_k", "seed", "frequency_penalty", "presence_penalty", "format", "effort"];

/// The options that are written in their places.
const CARRIED: [&str; 8] = [
    "num_predict",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stop",
];

/// Writes every parameter.
pub(super) fn write(body: &mut Body<'_>, dialect: &'static str, prompt: &Prompt, losses: &Losses) {
    report(prompt, dialect, &KNOWN, losses);
    let wishes = &prompt.knobs.wishes;
    let format = wishes.format.as_ref().map(|format| match format {
        Format::Json => quoted("json"),
        Format::Schema { schema, .. } => schema.get().to_owned(),
    });
    body.knob("format", format);
    body.knob("think", wishes.depth().map(|effort| think(effort, &prompt.model)));
    let options = options(dialect, prompt);
    body.knob("options", (options != "{}").then_some(options));
}

/// Only one family of models tells levels apart; others refuse them.
fn think(effort: Effort, model: &str) -> String {
    match effort {
        Effort::Off => "false".to_owned(),
        _ if !model.contains("gpt-oss") => "true".to_owned(),
        Effort::Minimal | Effort::Low => quoted("low"),
        Effort::Medium => quoted("medium"),
        Effort::High | Effort::Higher | Effort::Max => quoted("high"),
    }
}

fn options(dialect: &str, prompt: &Prompt) -> String {
    let (knobs, wishes) = (&prompt.knobs, &prompt.knobs.wishes);
    let stop: Vec<String> = knobs.stop.iter().map(|text| quoted(text)).collect();
    let values = [
        knobs.max_tokens.map(|count| count.to_string()),
        number(knobs.temperature),
        number(knobs.top_p),
        wishes.top_k.map(|count| count.to_string()),
        wishes.seed.map(|seed| seed.to_string()),
        number(wishes.frequency_penalty),
        number(wishes.presence_penalty),
        (!stop.is_empty()).then(|| format!("[{}]", stop.join(","))),
    ];
    show::object(|options| {
        for (name, value) in CARRIED.into_iter().zip(values) {
            if let Some(json) = value {
                options.raw(name, &json);
            }
        }
        for (name, json) in private_in(prompt, dialect, "options") {
            options.raw(name, json);
        }
    })
}

/// Reads a parameter that both doors have; gives whether it is one.
pub(super) fn read(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<bool, Fault> {
    let wishes = &mut asked.prompt.knobs.wishes;
    match name {
        "options" => read_options(asked, raw)?,
        "format" => {
            wishes.format = match fields::string(raw).as_deref() {
                Some("json") => Some(Format::Json),
                Some("") => None,
                Some(_) => return Err(wrong(name, "`json` or a JSON Schema object")),
                None => {
                    ask::object(name, raw)?;
                    let schema = raw.to_owned();
                    Some(Format::Schema { name: None, schema, strict: None })
                }
            };
        }
        "think" => {
            wishes.effort = match raw.get() {
                "true" => Some(Effort::Medium),
                "false" => Some(Effort::Off),
                _ => {
                    let level = fields::string(raw);
                    let expected = "true, false, `low`, `medium` or `high`";
                    Some(
                        Effort::parse(&level.unwrap_or_default())
                            .ok_or_else(|| wrong(name, expected))?,
                    )
                }
            };
            asked.own(name, raw);
        }
        "keep_alive" | "logprobs" | "top_logprobs" | "truncate" | "shift" => asked.keep(name, raw),
        "metadata" => asked.metadata(raw),
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_options(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    for (name, raw) in ask::object("options", raw)?.iter() {
        let path = format!("options.{name}");
        let knobs = &mut asked.prompt.knobs;
        match name {
            _ if raw.get() == "null" => {}
            // Negative ones mean as many as there is room for.
            "num_predict" => {
                let count: Option<i64> = ask::value(&path, raw, "a whole number")?;
                knobs.max_tokens = count.and_then(|count| u32::try_from(count).ok());
            }
            "temperature" => knobs.temperature = ask::number(&path, raw)?,
            "top_p" => knobs.top_p = ask::number(&path, raw)?,
            "top_k" => knobs.wishes.top_k = ask::count(&path, raw)?,
            "seed" => knobs.wishes.seed = ask::value(&path, raw, "a whole number")?,
            "frequency_penalty" => knobs.wishes.frequency_penalty = ask::number(&path, raw)?,
            "presence_penalty" => knobs.wishes.presence_penalty = ask::number(&path, raw)?,
            "stop" => knobs.stop = ask::texts(&path, raw)?,
            _ => asked.keep(&path, raw),
        }
    }
    Ok(())
}
