//! What must not be kept, or must not be told: found by patterns, replaced by a mark.
//!
//! Invariants: the same text is always replaced by the same text, so that requests still begin
//! alike; a pattern takes time in proportion to the text, whatever either is.

pub(crate) mod json;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map as JsonMap, Value, json};
use wire::prompt::Raw;
use wire::{Code, Fault};

pub use plan::{RedactMode, RedactPlan};

use crate::{Content, Map};

/// The known patterns.
const TABLE: &str = include_str!("patterns.toml");
/// The patterns that are looked for unless others are named.
pub(crate) const DEFAULT: [&str; 5] = ["private_key", "key", "email", "card", "iban"];
/// Limit: patterns of one's own.
const OWN_MAX: usize = 32;
/// Limit: characters of one of them.
const OWN_CHARACTERS_MAX: usize = 500;
/// Limit: bytes that a pattern may take when it is made ready.
const READY_BYTES_MAX: usize = 1024 * 1024;

#[derive(Deserialize)]
struct Table {
    pattern: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    regex: String,
    check: Option<Check>,
}

/// What a match must pass.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Check {
    /// The digits of a card.
    Luhn,
    /// The letters and digits of an account.
    Mod97,
}

#[derive(Debug)]
struct Rule {
    name: String,
    regex: Regex,
    check: Option<Check>,
}

/// How often what was replaced.
pub(crate) type Marks = BTreeMap<String, u64>;

/// Patterns, ready to be looked for.
#[derive(Clone, Debug)]
pub(crate) struct Redactor(Arc<Vec<Rule>>);

impl Redactor {
    /// Makes the named patterns ready, and those of one's own.
    pub(crate) fn new(names: &[String], own: &JsonMap<String, Value>) -> Result<Self, Fault> {
        let table: Table = toml::from_str(TABLE)
            .map_err(|error| Fault::internal("the table of patterns is broken").because(error))?;
        let mut rules = Vec::new();
        for name in names {
            let row = table.pattern.iter().find(|row| row.name == *name);
            let row = row.ok_or_else(|| unknown(name, &table))?;
            rules.push(Rule {
                name: row.name.clone(),
                regex: ready(&row.regex)?,
                check: row.check,
            });
        }
        // In the order of the table, so that a place has one name whatever the order of names.
        let place = |rule: &Rule| table.pattern.iter().position(|row| row.name == rule.name);
        rules.sort_by_key(place);
        rules.dedup_by(|a, b| a.name == b.name);
        if own.len() > OWN_MAX {
            return Err(wrong(
                "own",
                &format!("has {} patterns, {OWN_MAX} are allowed", own.len()),
            ));
        }
        for (name, pattern) in own {
            rules.push(Rule { name: name.clone(), regex: own_regex(name, pattern)?, check: None });
        }
        Ok(Self(Arc::new(rules)))
    }

    /// The text without what was found; `None` when nothing was.
    pub(crate) fn text(&self, text: &str, marks: &mut Marks) -> Option<String> {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        let marked = marks_in(text);
        for rule in self.0.iter() {
            for hit in rule.regex.find_iter(text) {
                let passes = rule.check.is_none_or(|check| check.passes(hit.as_str()));
                let taken = found.iter().map(|(from, to, _)| (*from, *to));
                let mut taken = taken.chain(marked.iter().copied());
                let free = !taken.any(|(from, to)| hit.start() < to && from < hit.end());
                if passes && free && !hit.is_empty() {
                    found.push((hit.start(), hit.end(), &rule.name));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        found.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to, name) in found {
            out.push_str(text.get(at..from).unwrap_or_default());
            out.push_str(MARK);
            out.push_str(name);
            out.push(']');
            *marks.entry(name.to_owned()).or_default() += 1;
            at = to;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Some(out)
    }

    /// The content without what was found, and what that was; `None` when nothing was. Thinking,
    /// signatures and ids keep their bytes: models refuse them otherwise.
    pub(crate) fn content(&self, content: &Content) -> Option<(Content, Marks)> {
        let mut marks = Marks::new();
        let cleaned = match content {
            Content::Text(text) => Content::Text(self.text(text, &mut marks)?),
            Content::Raw(raw) => {
                let cleaned = json::clean(raw.json.get(), json::KEPT, &mut |text| {
                    self.text(text, &mut marks)
                })?;
                let json = RawValue::from_string(cleaned).ok()?;
                Content::Raw(Raw { dialect: Arc::clone(&raw.dialect), json })
            }
        };
        Some((cleaned, marks))
    }

    /// What is told of a message, without what was found, and what that was.
    pub(crate) fn meta(&self, meta: &Map) -> (Map, Marks) {
        let mut marks = Marks::new();
        let text = serde_json::to_string(meta).unwrap_or_default();
        let cleaned = json::clean(&text, json::KEPT, &mut |text| self.text(text, &mut marks));
        let cleaned = cleaned.and_then(|text| serde_json::from_str(&text).ok());
        (cleaned.unwrap_or_else(|| meta.clone()), marks)
    }
}

/// How a mark begins.
const MARK: &str = "[redacted: ";

/// Where marks stand already: no pattern may find something in them, so that doing it twice
/// changes nothing.
fn marks_in(text: &str) -> Vec<(usize, usize)> {
    let begins = text.match_indices(MARK);
    let ends = begins.filter_map(|(at, _)| {
        let rest = text.get(at..)?;
        Some((at, at + rest.find(']')? + 1))
    });
    ends.collect()
}

/// Writes into the meta of an entry what was replaced in it.
pub(crate) fn mark(meta: &Map, marks: &Marks) -> Map {
    let mut meta = meta.clone();
    let old = meta.get("redacted").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut all = old;
    for (name, count) in marks {
        let before = all.get(name).and_then(Value::as_u64).unwrap_or(0);
        all.insert(name.clone(), before.saturating_add(*count).into());
    }
    meta.insert("redacted".to_owned(), Value::Object(all));
    meta
}

impl Check {
    fn passes(self, text: &str) -> bool {
        match self {
            Self::Luhn => luhn(text),
            Self::Mod97 => mod97(text),
        }
    }
}

fn luhn(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ if *digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    // A row of equal digits is no card, whatever its sum.
    sum.is_multiple_of(10) && digits.iter().any(|digit| Some(digit) != digits.first())
}

fn mod97(text: &str) -> bool {
    let bare: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((head, tail)) = bare.split_at_checked(4) else { return false };
    let mut rest = 0;
    for c in tail.iter().chain(head) {
        let Some(value) = c.to_digit(36) else { return false };
        rest = if value > 9 { rest * 100 + value } else { rest * 10 + value } % 97;
    }
    rest == 1
}

fn ready(pattern: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(pattern)
        .size_limit(READY_BYTES_MAX)
        .build()
        .map_err(|error| Fault::internal("a known pattern is broken").because(error))
}

fn own_regex(name: &str, pattern: &Value) -> Result<Regex, Fault> {
    let named = !name.is_empty()
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !named {
        return Err(wrong("own", "needs names of 1 to 40 letters, digits, `_` and `-`"));
    }
    let Some(pattern) = pattern.as_str().filter(|p| !p.is_empty()) else {
        return Err(wrong(&format!("own.{name}"), "must be a regular expression"));
    };
    if pattern.chars().count() > OWN_CHARACTERS_MAX {
        let text = format!("has more than {OWN_CHARACTERS_MAX} characters");
        return Err(wrong(&format!("own.{name}"), &text));
    }
    RegexBuilder::new(pattern).size_limit(READY_BYTES_MAX).build().map_err(|error| {
        let why = match error {
            regex::Error::CompiledTooBig(_) => "is too large when made ready".to_owned(),
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default().to_owned();
                format!("is no regular expression: {}", last.trim_start_matches("error: "))
            }
        };
        wrong(&format!("own.{name}"), &why)
    })
}

fn unknown(name: &str, table: &Table) -> Fault {
    let known: Vec<String> = table.pattern.iter().map(|row| format!("`{}`", row.name)).collect();
    let text = format!("has no `{}`; known are {}", name.escape_debug(), known.join(", "));
    wrong("patterns", &text)
}

pub(super) fn wrong(field: &str, text: &str) -> Fault {
    let field = format!("redact.{field}");
    Fault::new(Code::InvalidInput, format!("`{field}` {text}")).details(json!({ "field": field }))
}

#[cfg(test)]
mod tests;
