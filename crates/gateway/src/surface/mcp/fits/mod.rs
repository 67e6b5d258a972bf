//! Whether arguments break the schema of a tool, as far as that is beyond doubt: the server judges.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use wire::{Code, Fault, nearest};

use super::super::fields::kind_of;

/// Limit: how deep a value is looked into.
const DEPTH_MAX: usize = 32;
/// Limit: schemas that are held against values in one call. Those of strangers may go round.
const STEPS_MAX: usize = 10_000;
/// Limit: what a schema allows, as far as it is told.
const SHOWN: usize = 20;

/// What of a value breaks its schema.
#[derive(Debug, PartialEq)]
struct Misfit {
    path: String,
    text: String,
    missing: bool,
}

impl Misfit {
    /// A value that should have been another one.
    fn must(path: &str, what: &str) -> Self {
        let subject = if path.is_empty() { "the body".to_owned() } else { format!("`{path}`") };
        let text = format!("{subject} must {what}");
        Self { path: path.to_owned(), text, missing: false }
    }
}

/// Refuses arguments that break this schema for sure. What is not understood of it, or leads out of
/// it, is left to the server; nothing is fetched.
///
/// # Errors
/// `missing_field` or `invalid_input`, naming the field and what would have been right.
pub(super) fn check(schema: &Value, arguments: &Map<String, Value>) -> Result<(), Fault> {
    let mut judge = Judge { root: schema, steps: 0 };
    let given = Value::Object(arguments.clone());
    let Some(misfit) = judge.misfit(schema, &given, ("", 0)) else { return Ok(()) };
    let code = if misfit.missing { Code::MissingField } else { Code::InvalidInput };
    Err(Fault::new(code, misfit.text).details(json!({"field": misfit.path})))
}

/// Where a value is: its path, and how deep that is.
type Place<'p> = (&'p str, usize);

struct Judge<'s> {
    root: &'s Value,
    steps: usize,
}

impl<'s> Judge<'s> {
    fn misfit(
        &mut self,
        schema: &'s Value,
        given: &Value,
        (path, depth): Place<'_>,
    ) -> Option<Misfit> {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return None;
        }
        let schema = schema.as_object()?;
        if given.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return None;
        }
        if let Some(reference) = schema.get("$ref") {
            // What stands beside a reference counts in some revisions only.
            let target = self.root.pointer(reference.as_str()?.strip_prefix('#')?)?;
            return self.misfit(target, given, (path, depth + 1));
        }
        kind(schema, given, path)
            .or_else(|| listed(schema, given, path))
            .or_else(|| match given {
                Value::Object(map) => self.members(schema, map, (path, depth)),
                Value::Array(items) => self.items(schema, items, (path, depth)),
                Value::String(text) => {
                    size(schema, ("minLength", "maxLength"), text.chars().count())
                        .map(|what| Misfit::must(path, &format!("have {what} characters")))
                }
                Value::Number(number) => bounds(schema, number.as_f64()?)
                    .map(|what| Misfit::must(path, &format!("be {what}"))),
                Value::Null | Value::Bool(_) => None,
            })
            .or_else(|| self.joined(schema, given, (path, depth)))
    }

    fn members(
        &mut self,
        schema: &'s Map<String, Value>,
        given: &Map<String, Value>,
        (path, depth): Place<'_>,
    ) -> Option<Misfit> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let mut required = required.into_iter().flatten().filter_map(Value::as_str);
        if let Some(name) = required.find(|name| !given.contains_key(*name)) {
            let path = below(path, name);
            let text = format!("the field `{path}` is missing");
            return Some(Misfit { path, text, missing: true });
        }
        let rest = schema.get("additionalProperties");
        let rest = rest.filter(|_| !schema.contains_key("patternProperties"));
        for (name, value) in given {
            let at = below(path, name);
            let known = properties.and_then(|properties| properties.get(name));
            if known.is_none() && rest == Some(&Value::Bool(false)) {
                return Some(unknown(name, at, properties));
            }
            let Some(schema) = known.or(rest) else { continue };
            let misfit = self.misfit(schema, value, (&at, depth + 1));
            if misfit.is_some() {
                return misfit;
            }
        }
        None
    }

    fn items(
        &mut self,
        schema: &'s Map<String, Value>,
        given: &[Value],
        (path, depth): Place<'_>,
    ) -> Option<Misfit> {
        if let Some(what) = size(schema, ("minItems", "maxItems"), given.len()) {
            return Some(Misfit::must(path, &format!("have {what} items")));
        }
        let each = schema.get("items").filter(|_| !schema.contains_key("prefixItems"))?;
        let mut given = given.iter().enumerate();
        given
            .find_map(|(at, value)| self.misfit(each, value, (&format!("{path}[{at}]"), depth + 1)))
    }

    /// What several schemas say together: all of them, or one at least.
    fn joined(
        &mut self,
        schema: &'s Map<String, Value>,
        given: &Value,
        (path, depth): Place<'_>,
    ) -> Option<Misfit> {
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        let all = list("allOf").into_iter().flatten();
        for each in all {
            let misfit = self.misfit(each, given, (path, depth + 1));
            if misfit.is_some() {
                return misfit;
            }
        }
        for ways in [list("anyOf"), list("oneOf")].into_iter().flatten() {
            let mut misfits = Vec::new();
            for way in ways {
                misfits.push(self.misfit(way, given, (path, depth + 1))?);
            }
            match misfits.len() {
                0 => {}
                1 => return misfits.pop(),
                _ => {
                    let texts: Vec<&str> =
                        misfits.iter().take(SHOWN).map(|misfit| misfit.text.as_str()).collect();
                    let text = texts.join(", or ");
                    return Some(Misfit { path: path.to_owned(), text, missing: false });
                }
            }
        }
        None
    }
}

/// A member of an object, as errors name it.
fn below(path: &str, name: &str) -> String {
    // Limit: names come from strangers.
    let name: String = name.chars().take(100).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn unknown(name: &str, path: String, known: Option<&Map<String, Value>>) -> Misfit {
    let names = || known.into_iter().flat_map(Map::keys).map(String::as_str);
    let more = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names().next().is_none() => "it takes none".to_owned(),
        None => format!("it takes {}", names().take(SHOWN).collect::<Vec<_>>().join(", ")),
    };
    let text = format!("the tool knows no field `{path}`: {more}");
    Misfit { path, text, missing: false }
}

/// A value of another type than the schema's, or than all of them.
fn kind(schema: &Map<String, Value>, given: &Value, path: &str) -> Option<Misfit> {
    let kinds: Vec<&str> = match schema.get("type")? {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let mut wanted = Vec::new();
    for kind in kinds {
        let (fits, name) = match kind {
            "string" => (given.is_string(), "a string"),
            "number" => (given.is_number(), "a number"),
            "integer" => (is_whole(given), "a whole number"),
            "boolean" => (given.is_boolean(), "a boolean"),
            "array" => (given.is_array(), "a list"),
            "object" => (given.is_object(), "an object"),
            "null" => (given.is_null(), "null"),
            _ => return None,
        };
        if fits {
            return None;
        }
        wanted.push(name);
    }
    let wanted = wanted.join(" or ");
    let got = kind_of(given);
    (!wanted.is_empty()).then(|| Misfit::must(path, &format!("be {wanted}, got {got}")))
}

/// Whole numbers may be written as `2.0`.
fn is_whole(given: &Value) -> bool {
    given.is_i64() || given.is_u64() || given.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// A value that is none of those a schema lists.
fn listed(schema: &Map<String, Value>, given: &Value, path: &str) -> Option<Misfit> {
    let only = schema.get("const").map(std::slice::from_ref);
    let values = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).or(only)?;
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    if values.is_empty() || !is_plain(given) || values.iter().any(|value| same(value, given)) {
        return None;
    }
    let shown: Vec<String> = values.iter().take(SHOWN).map(|value| format!("`{value}`")).collect();
    let more = if values.len() > SHOWN { " …" } else { "" };
    Some(Misfit::must(path, &format!("be one of {}{more}", shown.join(", "))))
}

/// `1` and `1.0` are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == other,
    }
}

/// How long something must be, when it is not.
fn size(schema: &Map<String, Value>, (least, most): (&str, &str), count: usize) -> Option<String> {
    let count = count as u64;
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(least) = bound(least).filter(|least| count < *least) {
        return Some(format!("at least {least}"));
    }
    bound(most).filter(|most| count > *most).map(|most| format!("at most {most}"))
}

/// How great a number must be, when it is not.
fn bounds(schema: &Map<String, Value>, given: f64) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").filter(|least| given < *least);
    let most = bound("maximum").filter(|most| given > *most);
    let above = bound("exclusiveMinimum").filter(|least| given < *least);
    let under = bound("exclusiveMaximum").filter(|most| given > *most);
    let said = [(least, "at least"), (most, "at most"), (above, "above"), (under, "below")];
    said.into_iter().find_map(|(bound, word)| Some(format!("{word} {}", bound?)))
}
