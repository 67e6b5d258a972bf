//! Sessions of MCP over HTTP, as a load opens them.

use serde_json::{Value, json};

use super::judge;
use super::load::{Line, http};
use crate::proxy::{Duplex, Target};

/// The version that is asked for; what the server says instead is spoken.
const VERSION: &str = "2025-06-18";
/// Limit: bytes of an answer that are looked at.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Connects, begins a session, and makes the question's bytes ready.
///
/// # Errors
/// Why there is none.
pub(super) async fn open(target: &Target, path: &str, question: &str) -> Result<Line, String> {
    let mut stream = target.connect().await?;
    let mut held = Vec::new();
    let hello = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": VERSION, "capabilities": {},
            "clientInfo": {"name": "rapport-bench", "version": env!("CARGO_PKG_VERSION")},
        },
    });
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n",
        target.authority()
    );
    let mut body = Vec::new();
    let asked = whole(&head, &hello.to_string());
    let mut take_body = |piece: &[u8]| take(&mut body, piece);
    let answered = http(&mut stream, &mut held, (&asked, &mut take_body)).await;
    let (answer, keep) = answered.map_err(|why| match why.strip_prefix("status ") {
        // What needs a key is told as that.
        Some("401" | "403") | None => why,
        Some(status) => format!("no MCP at {path}: status {status}"),
    })?;
    let result = message(&body).and_then(|message| message.get("result").cloned());
    let result = result
        .ok_or_else(|| format!("no MCP at {path}: the answer to `initialize` has no result"))?;
    let version = result.get("protocolVersion").and_then(Value::as_str).unwrap_or(VERSION);
    head.push_str(&format!("MCP-Protocol-Version: {version}\r\n"));
    if let Some(session) = answer.header("mcp-session-id") {
        head.push_str(&format!("Mcp-Session-Id: {session}\r\n"));
    }
    if !keep {
        stream = target.connect().await?;
        held.clear();
    }
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let ready = whole(&head, &ready.to_string());
    let (_, keep) = http(&mut stream, &mut held, (&ready, &mut |_| {})).await?;
    if !keep {
        stream = target.connect().await?;
        held.clear();
    }
    Ok(line(stream, held, whole(&head, question)))
}

fn line(stream: Box<dyn Duplex>, held: Vec<u8>, question: Vec<u8>) -> Line {
    Line::Session(stream, held, question)
}

fn whole(head: &str, body: &str) -> Vec<u8> {
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Keeps a piece of an answer, up to what is looked at.
pub(super) fn take(body: &mut Vec<u8>, piece: &[u8]) {
    let room = BODY_BYTES_MAX.saturating_sub(body.len()).min(piece.len());
    body.extend_from_slice(piece.get(..room).unwrap_or_default());
}

/// Whether the answer is a result.
///
/// # Errors
/// What the server says is wrong, or that it answered with something else.
pub(super) fn answered(body: &[u8]) -> Result<(), String> {
    if body.len() >= BODY_BYTES_MAX {
        return Ok(());
    }
    let message = message(body).ok_or("no MCP came back: the answer is no message")?;
    match judge::error(&message) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

/// The answer, also where it came as the last event of a stream.
fn message(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return Some(value);
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let read = events.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
    read.rev().find(|value| value.get("id").is_some())
}

#[cfg(test)]
mod tests {
    use super::answered;

    #[test]
    fn results_are_good_and_errors_are_told_in_the_server_s_words() {
        assert_eq!(answered(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"), Ok(()));
        let stream = b"event: message\ndata: {\"method\":\"x\"}\n\n\
                       data: {\"id\":1,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n\n";
        assert_eq!(answered(stream), Err("error -32601: no".to_owned()));
        assert!(answered(b"<html>").is_err());
    }
}
