//! Reads fields of loosely shaped objects, with errors that name field, expected type and value.

use serde_json::{Map, Value, json};
use wire::{Code, Fault};

/// The spellings of a context's id that every door accepts.
pub const ID_SPELLINGS: &[&str] = &["sessionId", "session_id", "context_id", "SESSION_ID", "id"];

/// The JSON type of a value, in words.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A text field; `None` when it is absent.
///
/// # Errors
/// `invalid_input` when it is something else, `null` included.
pub fn text<'a>(map: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, Fault> {
    match map.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(field, "a string", other)),
    }
}

/// An object field; `None` when it is absent.
///
/// # Errors
/// `invalid_input` when it is something else, `null` included.
pub fn object<'a>(
    map: &'a Map<String, Value>,
    field: &str,
) -> Result<Option<&'a Map<String, Value>>, Fault> {
    match map.get(field) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(wrong(field, "an object", other)),
    }
}

/// A yes-or-no field; `false` when it is absent.
///
/// # Errors
/// `invalid_input` when it is something else.
pub fn flag(map: &Map<String, Value>, field: &str) -> Result<bool, Fault> {
    match map.get(field) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(field, "a boolean", other)),
    }
}

/// The id of the context in any of its spellings; numbers are taken as their digits.
///
/// # Errors
/// `invalid_input` when it is neither text nor a number.
pub fn id(map: &Map<String, Value>) -> Result<Option<String>, Fault> {
    for field in ID_SPELLINGS {
        match map.get(*field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Ok(Some(text.clone())),
            Some(Value::Number(number)) => return Ok(Some(number.to_string())),
            Some(other) => return Err(wrong(field, "a string", other)),
        }
    }
    Ok(None)
}

/// The fault of a field with the wrong type.
#[must_use]
pub fn wrong(field: &str, expected: &str, got: &Value) -> Fault {
    let text = format!("`{field}` must be {expected}, got {}", kind_of(got));
    Fault::new(Code::InvalidInput, text)
        .details(json!({"field": field, "expected": expected, "got": kind_of(got)}))
}

/// The fault of a field that is absent.
#[must_use]
pub fn missing(field: &str) -> Fault {
    Fault::new(Code::MissingField, format!("the field `{field}` is missing"))
        .details(json!({"field": field}))
}
