//! Writes parameters in the API's words, and reads them from a caller.

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::body::{Body, penalties, quoted, report};
use crate::dialect::fields;
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Effort, Format, Prompt, ToolChoice};

const KNOWN: [&str; 9] = [
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tool_choice",
    "parallel_tools",
    "format",
    "effort",
    "user",
    "cache_key",
];

/// What a schema is called that has no name: the API wants one.
pub(in crate::dialect) const SCHEMA_NAME: &str = "reply";

/// Writes every parameter but the limit of tokens.
pub(super) fn write(body: &mut Body<'_>, prompt: &Prompt, has_tools: bool, losses: &Losses) {
    report(prompt, NAME, &KNOWN, losses);
    let wishes = &prompt.knobs.wishes;
    body.sampling("stop");
    penalties(body, wishes);
    let choice = wishes.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => quoted("auto"),
        ToolChoice::Never => quoted("none"),
        ToolChoice::Any => quoted("required"),
        ToolChoice::Tool(name) => {
            format!(r#"{{"type":"function","function":{{"name":{}}}}}"#, quoted(name))
        }
    });
    // Both are refused where there are no tools.
    body.knob("tool_choice", choice.filter(|_| has_tools));
    let parallel = wishes.parallel_tools.map(|parallel| parallel.to_string());
    body.knob("parallel_tool_calls", parallel.filter(|_| has_tools));
    body.knob("response_format", wishes.format.as_ref().map(format));
    body.knob("reasoning_effort", effort(wishes.depth()));
    body.knob("user", wishes.user.as_deref().map(quoted));
    body.knob("prompt_cache_key", wishes.cache_key.as_deref().map(quoted));
}

/// The effort as both OpenAI dialects have it.
pub(in crate::dialect) fn effort(effort: Option<Effort>) -> Option<String> {
    effort.map(|effort| quoted(effort.as_str()))
}

fn format(format: &Format) -> String {
    match format {
        Format::Json => r#"{"type":"json_object"}"#.to_owned(),
        Format::Schema { .. } => {
            format!(
                r#"{{"type":"json_schema","json_schema":{}}}"#,
                show::object(|object| {
                    write_schema(format, object);
                })
            )
        }
    }
}

/// Writes the name, strictness and schema of a form.
pub(in crate::dialect) fn write_schema(
    format: &Format,
    object: &mut crate::dialect::text::Object<'_>,
) {
    let Format::Schema { name, schema, strict } = format else { return };
    object.string("name", name.as_deref().unwrap_or(SCHEMA_NAME));
    object.raw("schema", schema.get());
    if let Some(strict) = strict {
        object.raw("strict", if *strict { "true" } else { "false" });
    }
}

/// Reads `response_format`.
pub(super) fn read_format(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let format = ask::object("response_format", raw)?;
    asked.prompt.knobs.wishes.format = match format.string("type").as_deref() {
        Some("json_object") => Some(Format::Json),
        Some("json_schema") => {
            let field = "response_format.json_schema";
            let inner = format.find("json_schema").ok_or_else(|| ask::missing(field))?;
            Some(read_schema(&ask::object(field, inner)?))
        }
        // Text is what everybody answers; kinds that came later are for those who know them.
        _ => None,
    };
    asked.own("response_format", raw);
    Ok(())
}

/// Reads the name, strictness and schema of a form.
pub(in crate::dialect) fn read_schema(fields: &fields::Fields<'_>) -> Format {
    let Some(schema) = fields.find("schema") else { return Format::Json };
    Format::Schema {
        name: fields.string("name").map(std::borrow::Cow::into_owned),
        schema: schema.to_owned(),
        strict: fields.find("strict").map(|raw| raw.get() == "true"),
    }
}

/// Reads `tool_choice` of either OpenAI dialect: a word, or an object that names a function.
pub(in crate::dialect) fn read_choice(asked: &mut Asked, raw: &RawValue) -> Result<(), Fault> {
    let expected = "`auto`, `none`, `required` or an object that names a function";
    let wishes = &mut asked.prompt.knobs.wishes;
    wishes.tool_choice = match fields::string(raw).as_deref() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::Never),
        Some("required" | "any") => Some(ToolChoice::Any),
        Some(_) => return Err(wrong("tool_choice", expected)),
        None => {
            let choice = fields::Fields::read(raw).ok_or_else(|| wrong("tool_choice", expected))?;
            let inner = choice.find("function").and_then(fields::Fields::read);
            let name = inner.as_ref().unwrap_or(&choice).string("name");
            // Other kinds, such as a hosted tool, are for those who know them.
            name.map(|name| ToolChoice::Tool(name.into_owned()))
        }
    };
    match wishes.tool_choice {
        Some(_) => asked.own("tool_choice", raw),
        None => asked.keep("tool_choice", raw),
    }
    Ok(())
}

/// Reads an effort; a level that came after us is for those who know it.
pub(in crate::dialect) fn read_effort(
    field: &str,
    raw: &RawValue,
) -> Result<Option<Effort>, Fault> {
    Ok(ask::text(field, raw)?.and_then(|level| Effort::parse(&level)))
}
