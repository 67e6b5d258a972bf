//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use super::NAME;
use super::content::{camel, find, string};
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, number, private_in, quoted, report};
use crate::dialect::fields::Fields;
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

/// Writes every parameter.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, has_tools: bool, losses: &Losses) {
    report(prompt, NAME, &KNOWN, losses);
    let choice = prompt.knobs.wishes.tool_choice.as_ref().map(|choice| {
        let config = show::object(|config| {
            config.string(
                "mode",
                match choice {
                    ToolChoice::Auto => "AUTO",
                    ToolChoice::Never => "NONE",
                    ToolChoice::Any | ToolChoice::Tool(_) => "ANY",
                },
            );
            if let ToolChoice::Tool(name) = choice {
                config.raw("allowedFunctionNames", &format!("[{}]", quoted(name)));
            }
        });
        format!(r#"{{"functionCallingConfig":{config}}}"#)
    });
    body.knob("toolConfig", choice.filter(|_| has_tools));
    let generation = generation(prompt);
    body.knob("generationConfig", (generation != "{}").then_some(generation));
}

fn generation(prompt: &Prompt) -> String {
    let (knobs, wishes) = (&prompt.knobs, &prompt.knobs.wishes);
    let stop: Vec<String> = knobs.stop.iter().map(|text| quoted(text)).collect();
    let schema = match &wishes.format {
        Some(Format::Schema { schema, .. }) => Some(schema.get().to_owned()),
        Some(Format::Json) | None => None,
    };
    let values = [
        ("maxOutputTokens", knobs.max_tokens.map(|count| count.to_string())),
        ("temperature", number(knobs.temperature)),
        ("topP", number(knobs.top_p)),
        ("topK", wishes.top_k.map(|count| count.to_string())),
        ("stopSequences", (!stop.is_empty()).then(|| format!("[{}]", stop.join(",")))),
        ("seed", wishes.seed.map(|seed| seed.to_string())),
        ("presencePenalty", number(wishes.presence_penalty)),
        ("frequencyPenalty", number(wishes.frequency_penalty)),
        ("responseMimeType", wishes.format.as_ref().map(|_| quoted("application/json"))),
        ("responseJsonSchema", schema),
        ("thinkingConfig", thinking(prompt)),
    ];
    show::object(|config| {
        let own: Vec<(&str, &str)> = private_in(prompt, NAME, "generationConfig").collect();
        for (name, value) in values {
            let given = own.iter().find(|(held, _)| *held == name).map(|(_, json)| *json);
            if let Some(json) = given.or(value.as_deref()) {
                config.raw(name, json);
            }
        }
        for (name, json) in own.iter().filter(|(name, _)| !CARRIED.contains(name)) {
            config.raw(name, json);
        }
    })
}

/// The fields that are written in their places.
const CARRIED: [&str; 11] = [
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseJsonSchema",
    "thinkingConfig",
];

fn thinking(prompt: &Prompt) -> Option<String> {
    let wishes = &prompt.knobs.wishes;
    let budget = |tokens: u32| Some(format!(r#"{{"thinkingBudget":{tokens}}}"#));
    if let Some(tokens) = wishes.thinking_tokens {
        return budget(tokens);
    }
    let effort = wishes.effort?;
    if effort == Effort::Off {
        return budget(0);
    }
    if has_levels(&prompt.model) {
        let level = match effort {
            Effort::Off | Effort::Minimal => "MINIMAL",
            Effort::Low => "LOW",
            Effort::Medium => "MEDIUM",
            Effort::High => "HIGH",
            Effort::Higher | Effort::Max => "XHIGH",
        };
        return Some(format!(r#"{{"thinkingLevel":"{level}"}}"#));
    }
    budget(match effort {
        Effort::Off | Effort::Minimal => 512,
        Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::Higher | Effort::Max => 24_576,
    })
}

/// Whether the model is of the third generation or a later one: those think by levels, and check
/// the signatures of their calls.
pub(super) fn has_levels(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let version = name.strip_prefix("gemini-").and_then(|rest| rest.split(['.', '-']).next());
    version.and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version >= 3)
}

/// Reads `generationConfig`; what the prompt cannot say is kept under its path.
pub(super) fn read(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let config = ask::object("generationConfig", raw)?;
    for (name, raw) in config.iter().filter(|(_, raw)| raw.get() != "null") {
        let name = camel(name);
        let path = format!("generationConfig.{name}");
        let knobs = &mut asked.prompt.knobs;
        match name.as_str() {
            "maxOutputTokens" => knobs.max_tokens = ask::count(&path, raw)?,
            "temperature" => knobs.temperature = ask::number(&path, raw)?,
            "topP" => knobs.top_p = ask::number(&path, raw)?,
            // A whole number for everybody, but a fraction by its type.
            "topK" => {
                let count = ask::number(&path, raw)?.map(|count| count.round());
                knobs.wishes.top_k = count.and_then(|count| format!("{count}").parse().ok());
            }
            "stopSequences" => knobs.stop = ask::texts(&path, raw)?,
            "seed" => knobs.wishes.seed = ask::value(&path, raw, "a whole number")?,
            "presencePenalty" => knobs.wishes.presence_penalty = ask::number(&path, raw)?,
            "frequencyPenalty" => knobs.wishes.frequency_penalty = ask::number(&path, raw)?,
            "candidateCount" => {
                if ask::count(&path, raw)?.unwrap_or(1) > 1 {
                    asked.drops("candidateCount");
                }
            }
            "thinkingConfig" => {
                thoughts(asked, raw)?;
                asked.own(&path, raw);
            }
            "responseMimeType" | "responseJsonSchema" | "responseSchema" => {}
            _ => asked.keep(&path, raw),
        }
    }
    format(asked, &config)
}

/// Reads the form of the reply, which takes two fields.
fn format(asked: &mut Asked, config: &Fields<'_>) -> Result<(), Fault> {
    let path = "generationConfig.responseMimeType";
    let kind = find(config, "responseMimeType").map(|raw| ask::text(path, raw)).transpose()?;
    let is_json = kind.flatten().is_some_and(|kind| kind == "application/json");
    let schema = find(config, "responseJsonSchema");
    let openapi = find(config, "responseSchema");
    if let Some(raw) = openapi {
        // Much like a JSON Schema, but with the API's own names of types.
        asked.own("generationConfig.responseSchema", raw);
    }
    let schema = schema.map(ToOwned::to_owned).or_else(|| openapi.and_then(super::ask::lowered));
    asked.prompt.knobs.wishes.format = match schema {
        Some(schema) => Some(Format::Schema { name: None, schema, strict: None }),
        None => is_json.then_some(Format::Json),
    };
    Ok(())
}

fn thoughts(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let path = "generationConfig.thinkingConfig";
    let config = ask::object(path, raw)?;
    let wishes = &mut asked.prompt.knobs.wishes;
    if let Some(raw) = find(&config, "thinkingBudget") {
        let budget: Option<i64> =
            ask::value(&format!("{path}.thinkingBudget"), raw, "a whole number")?;
        match budget {
            Some(0) => wishes.effort = Some(Effort::Off),
            // A negative one leaves it to the model.
            Some(budget) => wishes.thinking_tokens = u32::try_from(budget).ok(),
            None => {}
        }
    }
    let level = string(&config, "thinkingLevel").map(|level| level.to_ascii_lowercase());
    let level = level.and_then(|level| Effort::parse(&level));
    wishes.effort = level.or(wishes.effort);
    Ok(())
}

/// Reads `toolConfig`.
pub(super) fn read_tools(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let config = ask::object("toolConfig", raw)?;
    let calling = find(&config, "functionCallingConfig").and_then(Fields::read);
    if let Some(calling) = calling {
        let path = "toolConfig.functionCallingConfig";
        let mode = calling.string("mode").map(|mode| mode.to_ascii_uppercase());
        let names = find(&calling, "allowedFunctionNames");
        let names = names.map(|raw| ask::texts(&format!("{path}.allowedFunctionNames"), raw));
        let names = names.transpose()?.unwrap_or_default();
        asked.prompt.knobs.wishes.tool_choice = match (mode.as_deref(), names.as_slice()) {
            (None | Some("AUTO" | "MODE_UNSPECIFIED" | "VALIDATED"), _) => Some(ToolChoice::Auto),
            (Some("NONE"), _) => Some(ToolChoice::Never),
            (Some("ANY"), [only]) => Some(ToolChoice::Tool(only.clone())),
            (Some("ANY"), _) => Some(ToolChoice::Any),
            (Some(_), _) => return Err(wrong(format!("{path}.mode"), "`AUTO`, `ANY` or `NONE`")),
        };
    }
    asked.own("toolConfig", raw);
    Ok(())
}
