//! What a message says: plain text, or the exact bytes of a model API's message.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use wire::prompt::Raw;

/// The content of an entry; both forms are stored byte for byte.
#[derive(Clone, Debug)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// A message of the dialect that `dialect` names.
    Raw(Raw),
}

/// Whether a message leaves calls of tools open, or answers some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) asks: bool,
    pub(crate) answers: bool,
}

impl Content {
    /// The readable text, without tool calls, thinking and other blocks.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Raw(raw) => {
                let mut out = String::new();
                if let Ok(value) = serde_json::from_str::<Value>(raw.json.get()) {
                    collect(&value, &mut out);
                }
                Cow::Owned(out)
            }
        }
    }

    /// The bytes that are stored.
    #[must_use]
    pub fn stored(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Raw(raw) => raw.json.get(),
        }
    }

    /// The dialect of the stored bytes; `None` for plain text.
    #[must_use]
    pub fn dialect(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Raw(raw) => Some(&raw.dialect),
        }
    }

    /// Reads stored bytes back; `None` when they are not what was stored.
    pub(crate) fn restore(dialect: Option<&str>, bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.to_owned();
        match dialect {
            None => Some(Self::Text(text)),
            Some(name) => {
                let json = RawValue::from_string(text).ok()?;
                Some(Self::Raw(Raw { dialect: Arc::from(name), json }))
            }
        }
    }

    /// Looks for calls of tools and for their results.
    pub(crate) fn tools(&self) -> Tools {
        let Self::Raw(raw) = self else { return Tools::default() };
        let text = raw.json.get();
        // Cheap first: most messages mention no tool at all.
        if !text.contains("tool") && !text.contains("function_call") {
            return Tools::default();
        }
        let mut found = Tools::default();
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            look(&value, &mut found);
        }
        found
    }
}

fn collect(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            Some("text" | "input_text" | "output_text") => {
                if let Some(Value::String(text)) = fields.get("text") {
                    out.push_str(text);
                }
            }
            None | Some("message") => {
                if let Some(content) = fields.get("content") {
                    collect(content, out);
                }
            }
            Some(_) => {}
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Knows the shapes of both families: blocks with a `type`, and messages with `tool_calls`.
fn look(value: &Value, found: &mut Tools) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| look(item, found)),
        Value::Object(fields) => {
            match fields.get("type").and_then(Value::as_str) {
                Some("tool_use" | "function_call") => found.asks = true,
                Some("tool_result" | "function_call_output") => found.answers = true,
                _ => {}
            }
            found.asks |= fields
                .get("tool_calls")
                .and_then(Value::as_array)
                .is_some_and(|calls| !calls.is_empty());
            found.answers |= fields.get("role").and_then(Value::as_str) == Some("tool");
            if let Some(content) = fields.get("content") {
                look(content, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
