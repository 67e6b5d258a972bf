//! Servers of the Context API whose replies are not as documented.

use std::io::Write as _;

use doctor::Request;
use serde_json::{Value, json};

use super::servers::{Server, read_some, serve};
use super::{broken, fix, request, well};

fn health() -> Value {
    json!({ "status": "ok", "version": "1", "checks": { "store": {}, "provider": {} } })
}

fn status() -> Value {
    json!({ "status": "running", "version": "1", "protocol_versions": ["1.0"], "uptime_seconds": 1,
            "listen": [], "sessions": 0, "contexts": 0, "messages": 0,
            "store": { "kind": "memory" }, "model": { "default": "demo" },
            "auth": {}, "limits": {} })
}

/// A server with these answers; a turn is answered with `turn` and the session that was asked.
fn api(health: Value, status: Value, turn: Value) -> Server {
    serve("127.0.0.1:0", move |mut stream| {
        let bytes = read_some(&mut stream);
        let text = String::from_utf8_lossy(&bytes);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let body = match path {
            "/health" => health.to_string(),
            "/api/mcp/status" => status.to_string(),
            "/api/mcp/interact" => {
                let asked = text.split("\r\n\r\n").nth(1).unwrap_or_default();
                let asked: Value = serde_json::from_str(asked).unwrap_or_default();
                let mut turn = turn.clone();
                turn["sessionId"] = asked["sessionId"].clone();
                turn.to_string()
            }
            _ => json!({ "name": "rapport" }).to_string(),
        };
        let head = "HTTP/1.1 200 OK\r\nServer: rapport\r\nContent-Type: application/json\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        drop(stream.write_all(answer.as_bytes()));
    })
}

fn turn() -> Value {
    let context = json!({ "last_message": "ping", "made_by": "rapport doctor" });
    json!({ "response": "pong", "updatedContext": context })
}

fn target(server: &Server) -> Request {
    request(&format!("http://127.0.0.1:{}/", server.port))
}

#[tokio::test]
async fn a_reply_that_lacks_a_field_is_named() {
    let mut less = status();
    less.as_object_mut().unwrap().remove("protocol_versions");
    let server = api(health(), less, turn());
    let report = broken(&target(&server), "api.shape", "`protocol_versions` is missing").await;
    fix(&report, "openapi.json");
    let mut other = health();
    other["version"] = json!(1);
    let server = api(other, status(), turn());
    broken(&target(&server), "api.shape", "`version` is a number and not text").await;
    well(&target(&api(health(), status(), turn()))).await;
}

#[tokio::test]
async fn a_turn_is_made_only_when_it_is_asked_for() {
    let mut mute = turn();
    mute["updatedContext"] = json!("ping");
    let server = api(health(), status(), mute);
    well(&target(&server)).await;
    let asked = Request {
        ask: Some("demo".to_owned()),
        only: Some("interfaces".to_owned()),
        ..target(&server)
    };
    let report = broken(&asked, "api.shape", "`updatedContext` is text and not an object").await;
    fix(&report, "update the older one");
}
