//! Kept prompts: texts with places for arguments, by name, for MCP clients and for callers.
//!
//! Invariants:
//! - a value is put in as it is and never read for further places, so that nobody's words become
//!   part of a template;
//! - who may not use the model of a prompt does not see the prompt.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use crate::auth::{self, Caller};
use crate::gate::Snapshot;

/// Limit: characters of the name of a prompt or an argument.
const NAME_CHARACTERS_MAX: usize = 64;
/// Limit: arguments of one prompt.
const ARGUMENTS_MAX: usize = 50;
/// Limit: bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// Limit: bytes of what a template becomes.
const RENDERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The names of prompts that the server has of itself.
pub const TAKEN: [&str; 2] = ["continue_context", "summarize_context"];

/// What a prompt is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// How the template names it.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// What stands there when nothing is given; it must be given without one.
    pub default: Option<String>,
}

/// A kept prompt, as the configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptSettings {
    /// Its name.
    pub name: String,
    /// What people read.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What is said to the model, with places such as `{{city}}`.
    pub text: String,
    /// The instructions, with places.
    pub system: Option<String>,
    /// The model or route that answers it.
    pub model: Option<String>,
    /// What it is to be given, in its order.
    pub arguments: Vec<Argument>,
}

/// What a prompt became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What is said to the model.
    pub text: String,
    /// The instructions.
    pub system: Option<String>,
}

impl Argument {
    /// Reads `city`, `city Which city`, or `days=3 For how many days`.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (head, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (name, default) = match head.split_once('=') {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (head, None),
        };
        named(name)?;
        let description = Some(rest.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Self { name: name.to_owned(), description, default })
    }
}

/// Whether prompts and arguments may have this name.
fn named(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=NAME_CHARACTERS_MAX).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    Err(format!("`{shown}` is no name: use 1 to 64 letters, digits, `_` and `-`"))
}

impl PromptSettings {
    /// Makes it whole: places that no argument names become arguments that must be given, when none
    /// is written down.
    ///
    /// # Errors
    /// What is wrong with it, to be shown beside its name.
    pub fn checked(mut self) -> Result<Self, String> {
        named(&self.name)?;
        if TAKEN.contains(&self.name.as_str()) {
            return Err("is a prompt of the server itself: choose another name".to_owned());
        }
        if self.text.trim().is_empty() {
            return Err("needs a `text`".to_owned());
        }
        let bytes = self.text.len().max(self.system.as_deref().map_or(0, str::len));
        if bytes > TEMPLATE_BYTES_MAX {
            return Err(format!("has {bytes} bytes, {TEMPLATE_BYTES_MAX} are allowed"));
        }
        let places: Vec<String> = self.places().map(str::to_owned).collect();
        if self.arguments.is_empty() {
            for name in places {
                if !self.arguments.iter().any(|held| held.name == name) {
                    self.arguments.push(Argument { name, description: None, default: None });
                }
            }
        } else if let Some(lost) =
            places.iter().find(|place| !self.arguments.iter().any(|held| held.name == **place))
        {
            let known = self.arguments.iter().map(|held| format!("`{}`", held.name));
            let known: Vec<String> = known.collect();
            return Err(format!(
                "has a place `{{{{{lost}}}}}` and no argument of that name; its `arguments` are {}",
                known.join(", ")
            ));
        }
        if self.arguments.len() > ARGUMENTS_MAX {
            let count = self.arguments.len();
            return Err(format!("has {count} arguments, {ARGUMENTS_MAX} are allowed"));
        }
        let mut seen: Vec<&str> = Vec::new();
        for argument in &self.arguments {
            if seen.contains(&argument.name.as_str()) {
                return Err(format!("has the argument `{}` twice", argument.name));
            }
            seen.push(&argument.name);
        }
        Ok(self)
    }

    fn places(&self) -> impl Iterator<Item = &str> {
        let templates = std::iter::once(self.text.as_str()).chain(self.system.as_deref());
        templates.flat_map(pieces).filter_map(|piece| match piece {
            Piece::Place(name) => Some(name),
            Piece::Text(_) => None,
        })
    }

    /// Puts the arguments in their places.
    ///
    /// # Errors
    /// `missing_field` for one that must be given, `invalid_input` for one that the prompt has not
    /// or that is no text, `payload_too_large`.
    pub fn render(&self, given: &Map<String, Value>) -> Result<Rendered, Fault> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in given {
            let Some(argument) = self.arguments.iter().find(|held| held.name == *name) else {
                return Err(self.unknown(name));
            };
            if !value.is_null() {
                values.insert(&argument.name, plain(&argument.name, value)?);
            }
        }
        for argument in &self.arguments {
            let Some(default) = &argument.default else {
                if values.contains_key(argument.name.as_str()) {
                    continue;
                }
                return Err(self.missing(argument));
            };
            values.entry(&argument.name).or_insert_with(|| default.clone());
        }
        let system = self.system.as_deref().map(|template| fill(template, &values)).transpose()?;
        Ok(Rendered { text: fill(&self.text, &values)?, system })
    }

    fn missing(&self, argument: &Argument) -> Fault {
        let name = &argument.name;
        let text = format!("the prompt `{}` needs the argument `{name}`", self.name);
        let fault = Fault::new(Code::MissingField, text)
            .details(json!({"field": name, "prompt": self.name}));
        match &argument.description {
            Some(about) => fault.hint(format!("`{name}`: {about}")),
            None => fault.hint("`GET /api/v1/prompts` lists what every prompt is given"),
        }
    }

    fn unknown(&self, name: &str) -> Fault {
        let mut known = String::new();
        for (at, argument) in self.arguments.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _written = write!(known, "{comma}`{}`", argument.name);
        }
        let shown: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let text = format!("the prompt `{}` has no argument `{shown}`", self.name);
        let hint =
            if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {known}") };
        Fault::new(Code::InvalidInput, text).hint(hint).details(json!({"field": name}))
    }

    /// The prompt as the API and MCP tell it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let arguments: Vec<Value> = self.arguments.iter().map(Argument::to_value).collect();
        let mut out = json!({"name": self.name, "arguments": arguments});
        let fields = [("title", &self.title), ("description", &self.description)];
        for (name, text) in fields {
            if let (Some(text), Some(object)) = (text, out.as_object_mut()) {
                object.insert(name.to_owned(), text.as_str().into());
            }
        }
        out
    }
}

impl Argument {
    fn to_value(&self) -> Value {
        let mut out = json!({"name": self.name, "required": self.default.is_none()});
        if let Some(object) = out.as_object_mut() {
            let about = match (&self.description, &self.default) {
                (Some(about), Some(default)) => Some(format!("{about} (`{default}` if absent)")),
                (None, Some(default)) => Some(format!("`{default}` if absent")),
                (about, None) => about.clone(),
            };
            object.extend(about.map(|about| ("description".to_owned(), about.into())));
        }
        out
    }
}

/// A value as it is put in: a text, a number or a word as it is written, what is longer as JSON.
fn plain(name: &str, value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        // As the Responses API gives them.
        Value::Object(part) if part.get("type").and_then(Value::as_str) == Some("input_text") => {
            Ok(part.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        _ => Err(Fault::new(Code::InvalidInput, format!("the argument `{name}` must be a text"))
            .details(json!({"field": name}))),
    }
}

fn fill(template: &str, values: &BTreeMap<&str, String>) -> Result<String, Fault> {
    let mut out = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Place(name) => out.push_str(values.get(name).map_or("", String::as_str)),
        }
        if out.len() > RENDERED_BYTES_MAX {
            let text = format!("the prompt becomes longer than {RENDERED_BYTES_MAX} bytes");
            return Err(Fault::new(Code::PayloadTooLarge, text).hint("give it shorter arguments"));
        }
    }
    Ok(out)
}

enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

/// A template in its pieces. What stands in two braces and is no name stays as it is.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(at) = rest.get(from..).and_then(|tail| tail.find("{{")).map(|at| from + at) {
            let inside = rest.get(at + 2..).unwrap_or_default();
            let name = inside.split("}}").next().unwrap_or_default();
            let is_closed = inside.len() > name.len();
            if is_closed && named(name.trim()).is_ok() {
                if at > 0 {
                    let (text, tail) = rest.split_at(at);
                    rest = tail;
                    return Some(Piece::Text(text));
                }
                rest = inside.get(name.len() + 2..).unwrap_or_default();
                return Some(Piece::Place(name.trim()));
            }
            from = at + 1;
        }
        let text = rest;
        rest = "";
        Some(Piece::Text(text))
    })
}

/// The prompts that a caller sees.
pub(crate) fn seen<'a>(
    snapshot: &'a Snapshot,
    caller: &'a Caller,
) -> impl Iterator<Item = &'a PromptSettings> {
    snapshot.settings.prompts.iter().filter(|prompt| {
        let name = prompt.model.as_deref();
        name.is_none() || auth::may_name(&caller.models, snapshot, name).is_ok()
    })
}

/// A prompt that a caller sees.
///
/// # Errors
/// `not_found`, naming those there are.
pub(crate) fn find<'a>(
    snapshot: &'a Snapshot,
    caller: &'a Caller,
    name: &str,
) -> Result<&'a PromptSettings, Fault> {
    seen(snapshot, caller).find(|prompt| prompt.name == name).ok_or_else(|| {
        let shown: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let known: Vec<&str> = seen(snapshot, caller).take(10).map(|p| p.name.as_str()).collect();
        let hint = if known.is_empty() {
            "none is kept: write one below `prompts` in the configuration".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let text = format!("there is no prompt `{}`", shown.escape_default());
        Fault::new(Code::NotFound, text).hint(hint).details(json!({"field": "prompt"}))
    })
}

#[cfg(test)]
mod tests;
