//! HTTP Archive 1.2: what browsers and traffic tools open.
//!
//! Field names are those of the HAR 1.2 specification; `_webSocketMessages` is the field Chrome
//! writes, `_events` is our own for server-sent events, for which there is no agreed one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Secrets;
use crate::capture::{Exchange, Kind};
use crate::decode;
use crate::http::Head;
use crate::redact;
use crate::websocket::{Message, TEXT, messages};

/// The HTTP exchanges as one archive. Others have no place in the format.
#[must_use]
pub fn har(exchanges: &[Exchange], secrets: Secrets) -> Value {
    let is_http = |e: &&Exchange| matches!(e.kind, Kind::Http | Kind::WebSocket) && e.ask.is_some();
    let entries: Vec<Value> =
        exchanges.iter().filter(is_http).map(|exchange| entry(exchange, secrets)).collect();
    json!({"log": {
        "version": "1.2",
        "creator": {"name": "rapport inspect", "version": env!("CARGO_PKG_VERSION")},
        "entries": entries,
    }})
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn entry(exchange: &Exchange, secrets: Secrets) -> Value {
    let times = exchange.times;
    let over = times.over.unwrap_or_default();
    let connect = times.connected.unwrap_or_default();
    let sent = times.sent.unwrap_or(connect).max(connect);
    let first = times.first.unwrap_or(over).max(sent);
    let mut entry = json!({
        "startedDateTime": exchange.begun.to_string(),
        "time": ms(over),
        "request": request(exchange, secrets),
        "response": response(exchange, secrets),
        "cache": {},
        "timings": {
            "blocked": -1, "dns": -1, "ssl": -1,
            "connect": times.connected.map_or(-1.0, ms),
            "send": ms(sent.saturating_sub(connect)),
            "wait": ms(first.saturating_sub(sent)),
            "receive": ms(over.saturating_sub(first)),
        },
        "connection": exchange.peer,
        "_target": exchange.target,
        "_ending": exchange.ending.as_str(),
    });
    let items = decode::view(exchange).items;
    if let Some(fields) = entry.as_object_mut().filter(|_| !items.is_empty()) {
        if exchange.kind == Kind::WebSocket {
            let messages = messages(exchange);
            // What cannot be read may hold a secret.
            let messages = messages.iter().filter(|m| secrets == Secrets::Kept || !m.is_broken);
            let messages = messages.map(|message| websocket(exchange, message, secrets));
            fields.insert("_webSocketMessages".to_owned(), messages.collect());
        } else {
            let events = items.iter().map(|item| {
                json!({"at_ms": item.at_ms, "event": item.name, "data": shown(&item.text, secrets)})
            });
            fields.insert("_events".to_owned(), events.collect());
        }
    }
    entry
}

/// A message as Chrome writes it: what is no text in base64, the time in seconds since 1970.
fn websocket(exchange: &Exchange, message: &Message, secrets: Secrets) -> Value {
    let data = match std::str::from_utf8(&message.payload) {
        Ok(text) if message.kind == TEXT => shown(text, secrets),
        Ok(text) if message.is_data() => STANDARD.encode(shown(text, secrets)),
        Ok(_) | Err(_) => STANDARD.encode(&message.payload),
    };
    let begun = exchange.begun.as_microsecond() as f64 / 1e6;
    json!({"type": if message.from_caller { "send" } else { "receive" },
           "time": begun + message.at.as_secs_f64(), "opcode": message.kind, "data": data})
}

fn shown(text: &str, secrets: Secrets) -> String {
    if secrets == Secrets::Kept { text.to_owned() } else { redact::text(text) }
}

fn headers(head: &Head, secrets: Secrets) -> Value {
    let one = |(name, value): &(String, String)| {
        let value = match secrets {
            Secrets::Kept => value.clone(),
            Secrets::Hidden => redact::header(name, value),
        };
        json!({"name": name, "value": value})
    };
    head.headers.iter().map(one).collect()
}

/// A body; what follows the heads of a WebSocket is its messages, which stand elsewhere.
fn body(exchange: &Exchange, read: fn(&Exchange) -> Vec<u8>) -> Vec<u8> {
    if exchange.kind == Kind::WebSocket { Vec::new() } else { read(exchange) }
}

fn request(exchange: &Exchange, secrets: Secrets) -> Value {
    let Some(head) = &exchange.ask else { return Value::Null };
    let path = match secrets {
        Secrets::Kept => head.path().to_owned(),
        Secrets::Hidden => redact::path(head.path()),
    };
    let scheme = if exchange.target.starts_with("https://") { "https" } else { "http" };
    let host = exchange.target.trim_start_matches("https://");
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            json!({"name": name, "value": value})
        })
        .collect();
    let body = body(exchange, Exchange::ask_body);
    let mut request = json!({
        "method": head.method(),
        "url": format!("{scheme}://{host}{path}"),
        "httpVersion": head.version.as_str(),
        "cookies": [], "headers": headers(head, secrets), "queryString": query,
        "headersSize": head.length, "bodySize": body.len(),
    });
    if let Some(fields) = request.as_object_mut().filter(|_| !body.is_empty()) {
        let text = shown(&String::from_utf8_lossy(&body), secrets);
        let data = json!({"mimeType": head.header("content-type").unwrap_or(""), "text": text});
        fields.insert("postData".to_owned(), data);
    }
    request
}

fn response(exchange: &Exchange, secrets: Secrets) -> Value {
    let Some(head) = &exchange.answer else {
        return json!({"status": 0, "statusText": exchange.ending.as_str(), "httpVersion": "",
                      "cookies": [], "headers": [], "content": {"size": 0, "mimeType": ""},
                      "redirectURL": "", "headersSize": -1, "bodySize": -1});
    };
    let body = body(exchange, Exchange::answer_body);
    let mut content = json!({
        "size": body.len(), "mimeType": head.header("content-type").unwrap_or(""),
    });
    if let Some(fields) = content.as_object_mut() {
        match std::str::from_utf8(&body) {
            Ok(text) => {
                fields.insert("text".to_owned(), shown(text, secrets).into());
            }
            Err(_) => {
                fields.insert("text".to_owned(), STANDARD.encode(&body).into());
                fields.insert("encoding".to_owned(), "base64".into());
            }
        }
    }
    json!({
        "status": head.status(), "statusText": "",
        "httpVersion": head.version.as_str(),
        "cookies": [], "headers": headers(head, secrets), "content": content,
        "redirectURL": head.header("location").unwrap_or(""),
        "headersSize": head.length, "bodySize": exchange.answer_raw().len(),
    })
}
