//! JSON-RPC 2.0 messages, kept raw: method and id are read, everything else passes as it is.

mod refusal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub use refusal::{Refusal, code};

/// The id of a request: a string or a whole number, in its exact form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// A number of ours.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// The id as JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    fn read(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let is_text = text.starts_with('"');
        let is_number = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        (is_text || is_number).then(|| Self(text.into()))
    }
}

/// One message.
#[derive(Clone, Debug)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// Which.
        id: Id,
        /// What is wanted.
        method: String,
        /// With what.
        params: Params,
    },
    /// Wants none.
    Notification {
        /// What happened.
        method: String,
        /// With what.
        params: Params,
    },
    /// Answers a request of ours.
    Response {
        /// Which.
        id: Id,
        /// The result, or the error object.
        outcome: Result<Value, Value>,
    },
}

/// The parameters of a message: an object, empty when there was none.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Map<String, Value>);

impl Params {
    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// An object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `invalid params`, naming it.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::params(format!("`{name}` must be a string")))
    }

    /// A member of `_meta`.
    #[must_use]
    pub fn meta(&self, name: &str) -> Option<&Value> {
        self.0.get("_meta")?.get(name)
    }
}

/// What came: one message, or a batch as the revision 2025-03-26 allows.
#[derive(Debug)]
pub enum Incoming {
    /// One.
    One(Message),
    /// Several, each by itself.
    Batch(Vec<Result<Message, Refusal>>),
}

/// Limit: messages in one batch.
const BATCH_MAX: usize = 100;

/// Reads what came over the wire.
///
/// # Errors
/// A parse error, or an invalid request.
pub fn read(bytes: &[u8]) -> Result<Incoming, Refusal> {
    let text = std::str::from_utf8(bytes)
        .map_err(|cause| Refusal::parse(format!("byte {} is not UTF-8", cause.valid_up_to())))?;
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|cause| Refusal::parse(cause.to_string()))?;
        if items.is_empty() || items.len() > BATCH_MAX {
            return Err(Refusal::request(format!("a batch has 1 to {BATCH_MAX} messages")));
        }
        return Ok(Incoming::Batch(items.into_iter().map(|item| one(item.get())).collect()));
    }
    one(text).map(Incoming::One)
}

fn one(text: &str) -> Result<Message, Refusal> {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(default)]
        jsonrpc: Option<Value>,
        #[serde(default, borrow)]
        id: Option<&'a RawValue>,
        #[serde(default)]
        method: Option<Value>,
        #[serde(default)]
        params: Option<Value>,
        #[serde(default)]
        result: Option<Value>,
        #[serde(default)]
        error: Option<Value>,
    }
    let frame: Frame<'_> = serde_json::from_str(text).map_err(|cause| {
        if serde_json::from_str::<&RawValue>(text).is_ok() {
            // An object may be nested too deeply, or say something twice.
            let is_object = text.trim_start().starts_with('{');
            let why =
                if is_object { cause.to_string() } else { "a message is a JSON object".into() };
            Refusal::request(why)
        } else {
            Refusal::parse(cause.to_string())
        }
    })?;
    if frame.jsonrpc != Some(Value::from("2.0")) {
        return Err(Refusal::request("`jsonrpc` must be \"2.0\""));
    }
    let id = match frame.id {
        Some(raw) => Some(
            Id::read(raw)
                .ok_or_else(|| Refusal::request("`id` must be a string or a whole number"))?,
        ),
        None => None,
    };
    let params = |params| match params {
        None => Ok(Params::default()),
        Some(Value::Object(map)) => Ok(Params(map)),
        Some(_) => Err(Refusal::request("`params` must be an object")),
    };
    match (id, frame.method) {
        (Some(id), Some(Value::String(method))) => {
            Ok(Message::Request { id, method, params: params(frame.params)? })
        }
        (None, Some(Value::String(method))) => {
            Ok(Message::Notification { method, params: params(frame.params)? })
        }
        (Some(id), None) => match (frame.result, frame.error) {
            (Some(result), None) => Ok(Message::Response { id, outcome: Ok(result) }),
            (None, Some(error)) => Ok(Message::Response { id, outcome: Err(error) }),
            _ => Err(Refusal::request("an answer has either `result` or `error`")),
        },
        (_, Some(_)) => Err(Refusal::request("`method` must be a string")),
        (None, None) => Err(Refusal::request("a message has a `method` or an `id`")),
    }
}

/// The id of an answer that cannot be read as a whole, such as one that is nested too deeply.
#[must_use]
pub fn answered(bytes: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        method: Option<IgnoredAny>,
    }
    let frame: Frame<'_> = serde_json::from_slice(bytes).ok()?;
    if frame.method.is_some() { None } else { Id::read(frame.id) }
}

/// Writes an answer.
#[must_use]
pub fn result(id: &Id, result: &Value) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.as_json())
}

/// Writes a refusal; without an id where the request had none that could be read.
#[must_use]
pub fn error(id: Option<&Id>, refusal: &Refusal) -> String {
    let id = id.map_or("null", Id::as_json);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{}}}", refusal.object())
}

/// Writes a request.
#[must_use]
pub fn request(id: &Id, method: &str, params: &Value) -> String {
    let method = Value::from(method);
    let id = id.as_json();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}")
}

/// Writes a notification.
#[must_use]
pub fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}
