//! The errors of the protocol: their numbers, their HTTP statuses and what they carry.

use serde_json::{Map, Value};
use wire::{Fault, fault};

/// The numbers of errors.
pub mod code {
    /// The text is no JSON.
    pub const PARSE: i64 = -32700;
    /// The JSON is no message.
    pub const REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD: i64 = -32601;
    /// The parameters cannot be used, or name something that does not exist.
    pub const PARAMS: i64 = -32602;
    /// A bug or a broken part of ours.
    pub const INTERNAL: i64 = -32603;
    /// Legacy: there is no such resource.
    pub const RESOURCE: i64 = -32002;
    /// Modern: headers and body say different things.
    pub const HEADERS: i64 = -32020;
    /// Modern: the client lacks a capability that the request needs.
    pub const CAPABILITY: i64 = -32021;
    /// Modern: the revision is not spoken here.
    pub const VERSION: i64 = -32022;
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// One of [`code`], or a number of an upstream.
    pub code: i64,
    /// What is wrong, in words.
    pub message: String,
    /// More about it.
    pub data: Option<Box<Value>>,
    /// The HTTP status in the modern era; the legacy one answers 200.
    pub status: u16,
}

impl Refusal {
    /// A refusal with HTTP status 400.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, status: 400 }
    }

    /// Adds data.
    #[must_use]
    pub fn with(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// Another HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The text is no JSON.
    #[must_use]
    pub fn parse(why: impl Into<String>) -> Self {
        Self::new(code::PARSE, format!("not JSON: {}", why.into()))
    }

    /// The JSON is no message.
    #[must_use]
    pub fn request(why: impl Into<String>) -> Self {
        Self::new(code::REQUEST, why)
    }

    /// The parameters cannot be used.
    #[must_use]
    pub fn params(why: impl Into<String>) -> Self {
        Self::new(code::PARAMS, why)
    }

    /// There is no such method.
    #[must_use]
    pub fn method(name: &str) -> Self {
        // Limit: a name comes from a stranger and may be long.
        let shown: String = name.chars().take(100).collect();
        Self::new(code::METHOD, format!("there is no method `{shown}`")).status(404)
    }

    /// The error object.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("code".to_owned(), self.code.into());
        object.insert("message".to_owned(), self.message.clone().into());
        if let Some(data) = &self.data {
            object.insert("data".to_owned(), Value::clone(data));
        }
        Value::Object(object)
    }
}

impl From<&Fault> for Refusal {
    fn from(fault: &Fault) -> Self {
        let message = match fault.hint_text() {
            Some(hint) => format!("{} ({hint})", fault.text()),
            None => fault.text().to_owned(),
        };
        let (code, status) = match fault.kind() {
            fault::Kind::BadRequest | fault::Kind::NotFound => (code::PARAMS, 400),
            fault::Kind::Unauthenticated => (code::REQUEST, 401),
            fault::Kind::Forbidden => (code::REQUEST, 403),
            _ => (code::INTERNAL, 200),
        };
        Self::new(code, message).status(status)
    }
}
