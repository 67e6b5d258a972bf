//! Messages of JSON-RPC 2.0, as MCP has them.

use serde::Serialize;
use serde_json::Value;

use super::events::Item;
use crate::capture::{Exchange, Kind};

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rpc {
    /// The caller said it.
    pub from_caller: bool,
    /// When it came, in milliseconds.
    pub at_ms: f64,
    /// `request`, `notification`, `result` or `error`.
    pub kind: &'static str,
    /// The method; for an answer, that of its request where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The tool, resource or prompt it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// How long the answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    /// What an error says; also of a tool's result that is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The message itself.
    #[serde(skip)]
    pub body: Value,
}

impl Rpc {
    /// The message in a few words.
    #[must_use]
    pub fn line(&self) -> String {
        let method = self.method.as_deref().unwrap_or("?");
        let name = self.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        match (self.kind, &self.error) {
            (_, Some(error)) => format!("{method}{name}: {error}"),
            ("result", None) => format!("{method}{name} ok"),
            _ => format!("{method}{name}"),
        }
    }
}

/// The messages of an exchange, in the order in which they came.
pub(super) fn read(exchange: &Exchange, items: &[Item]) -> Vec<Rpc> {
    let mut all = Vec::new();
    if exchange.kind == Kind::Http {
        // Most bodies are none of this; a look at the text is cheaper than reading it.
        let body = exchange.ask_body();
        if crate::rule::contains(&body, b"\"jsonrpc\"") {
            collect(&body, true, 0.0, &mut all);
        }
        if items.is_empty() {
            let body = exchange.answer_body();
            if crate::rule::contains(&body, b"\"jsonrpc\"") {
                let at = exchange.times.over.or(exchange.times.first_body).unwrap_or_default();
                collect(&body, false, super::events::ms(at), &mut all);
            }
        }
    }
    for item in items.iter().filter(|item| item.text.contains("\"jsonrpc\"")) {
        collect(item.text.as_bytes(), item.from_caller, item.at_ms, &mut all);
    }
    pair(&mut all);
    all
}

fn collect(text: &[u8], from_caller: bool, at_ms: f64, all: &mut Vec<Rpc>) {
    match serde_json::from_slice(text) {
        Ok(Value::Array(batch)) => {
            all.extend(batch.iter().filter_map(|value| message(value, from_caller, at_ms)));
        }
        Ok(value) => all.extend(message(&value, from_caller, at_ms)),
        Err(_) => {}
    }
}

fn message(value: &Value, from_caller: bool, at_ms: f64) -> Option<Rpc> {
    let fields = value.as_object()?;
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return None;
    }
    let method = fields.get("method").and_then(Value::as_str).map(ToOwned::to_owned);
    let id = fields.get("id").cloned();
    let error = fields.get("error").map(said).or_else(|| tool_error(fields.get("result")?));
    let kind = match (&method, &id) {
        (Some(_), Some(_)) => "request",
        (Some(_), None) => "notification",
        (None, _) if fields.contains_key("error") => "error",
        (None, _) => "result",
    };
    let params = fields.get("params");
    let name = params
        .and_then(|params| params.get("name").or_else(|| params.get("uri")))
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    let (took_ms, body) = (None, value.clone());
    Some(Rpc { from_caller, at_ms, kind, method, name, id, took_ms, error, body })
}

fn said(error: &Value) -> String {
    let code = error.get("code").map(ToString::to_string).unwrap_or_default();
    let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let meaning = match code.as_str() {
        "-32700" => " (parse error)",
        "-32600" => " (invalid request)",
        "-32601" => " (no such method)",
        "-32602" => " (invalid params)",
        "-32603" => " (internal error)",
        "-32020" => " (header and body disagree)",
        "-32021" => " (a capability is missing)",
        "-32022" => " (protocol version is not spoken)",
        _ => "",
    };
    format!("error {code}{meaning}: {text}")
}

/// A tool that failed says so in its result.
fn tool_error(result: &Value) -> Option<String> {
    if result.get("isError").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or("no text");
    Some(format!("the tool failed: {text}"))
}

/// Gives answers the method of their request, and the time they took.
fn pair(all: &mut [Rpc]) {
    let asked: Vec<Rpc> = all.iter().filter(|rpc| rpc.kind == "request").cloned().collect();
    for answer in all.iter_mut().filter(|rpc| matches!(rpc.kind, "result" | "error")) {
        let request = asked
            .iter()
            .find(|request| request.id == answer.id && request.from_caller != answer.from_caller);
        if let Some(request) = request {
            answer.method.clone_from(&request.method);
            answer.name.clone_from(&request.name);
            answer.took_ms = Some(((answer.at_ms - request.at_ms) * 1e3).round() / 1e3);
        }
    }
}
