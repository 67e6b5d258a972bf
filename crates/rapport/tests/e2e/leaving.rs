//! Callers that close their connection, all of it or the half they send on.

use mock::{Mock, Script};
use serde_json::{Value, json};

use super::program::{Home, Server, soon};
use super::upstream::with_model;

/// A model that takes the question and says nothing.
const SILENT: &str = "default.fault = \"hang\"";
/// A model that says a word and then thinks for ten minutes.
const SLOW: &str = "default.fragments = [\"once \", \"upon \"]\ndefault.pause_ms = 600000";

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Asks, closes the connection in the middle of the answer, and waits for the end of the model's.
async fn leave((mock, server): (&Mock, &Server), (path, body): (&str, &Value), stream: bool) {
    let mut wire = server.connect().await;
    wire.say(post(path, body).as_bytes()).await;
    if stream {
        while !wire.line().await.contains("once") {}
    } else {
        soon("the question", mock.seen(1)).await;
    }
    // Everything that came was read: the end of the connection is no reset.
    drop(wire);
    soon("the end of the model's work", mock.left(1)).await;
}

#[tokio::test]
async fn whoever_closes_its_connection_ends_the_models_work() {
    for (script, stream) in [(SILENT, false), (SLOW, true)] {
        let home = Home::new();
        let (mock, server): (Mock, Server) = with_model(&home, script, &[]).await;
        let body = json!({"model": "claude-sonnet-5", "max_tokens": 9, "stream": stream,
                          "messages": [{"role": "user", "content": "hello"}]});
        leave((&mock, &server), ("/v1/messages", &body), stream).await;
    }
}

/// Turns go by the general server, which does not listen itself while it answers.
#[tokio::test]
async fn whoever_closes_its_connection_ends_a_turn_that_says_so() {
    for (path, stream) in [
        ("/api/v1/contexts/c/turns", false),
        ("/api/v1/contexts/c/turns", true),
        ("/mcp/context/c/message", false),
        ("/api/mcp/interact", true),
    ] {
        let home = Home::new();
        let script = if stream { SLOW } else { SILENT };
        let (mock, server): (Mock, Server) = with_model(&home, script, &[]).await;
        let body = json!({"id": "c", "settings": {"on_hang_up": "cancel"}});
        let made = server.post("/api/v1/contexts", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let mut body = json!({"message": "hello", "stream": stream});
        if path.ends_with("interact") {
            body["sessionId"] = json!("c");
        }
        leave((&mock, &server), (path, &body), stream).await;
    }
}

/// Every question has a connection of its own, whose sending side ends with it.
#[tokio::test]
async fn whoever_closes_the_half_it_sends_on_gets_its_answer() {
    let home = Home::new();
    let script = "default.text = \"patience\"\ndefault.delay_ms = 100";
    assert!(Script::parse(script).is_ok());
    let (_mock, server) = with_model(&home, script, &[]).await;
    let made = server.post("/api/v1/contexts", &json!({"id": "c"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let get = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    for round in 0..60 {
        let said = server.raw(get.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with('}'), "{round}: {said}");
    }
    for (path, stream) in [
        ("/api/v1/contexts/c/turns", false),
        ("/api/v1/contexts/c/turns", true),
        ("/v1/messages", false),
        ("/v1/messages", true),
    ] {
        let body = json!({"message": "hello", "stream": stream});
        let body = if path == "/v1/messages" {
            json!({"model": "claude-sonnet-5", "max_tokens": 9, "stream": stream,
                   "messages": [{"role": "user", "content": "hello"}]})
        } else {
            body
        };
        let said = server.raw(post(path, &body).as_bytes()).await;
        assert!(said.contains("HTTP/1.1 20") && said.contains("patience"), "{path}: {said}");
        let last = if stream { said.ends_with("0\r\n\r\n") } else { said.ends_with('}') };
        assert!(last, "{path}: {said}");
    }
}

#[tokio::test]
async fn a_request_names_its_host_and_may_name_it_in_its_target() {
    let home = Home::new();
    let (_mock, server) = with_model(&home, "default.text = \"fine\"", &[]).await;
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hello"}]});
    let close = |text: String| text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let ask = close(post("/v1/messages", &body));
    for ask in [ask.clone(), close("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned())] {
        let said = server.raw(ask.replace("Host: localhost\r\n", "").as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        assert!(said.contains("no header `host`"), "{said}");
        let old = ask.replace("Host: localhost\r\n", "").replace("HTTP/1.1", "HTTP/1.0");
        let said = server.raw(old.as_bytes()).await;
        assert!(said.contains(" 200 "), "HTTP/1.0 has no such rule: {said}");
        let whole = ask.replace(" /", " http://localhost:61900/");
        let said = server.raw(whole.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
}

#[tokio::test]
async fn a_method_that_is_refused_comes_with_the_right_one() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mcp = server.get("/mcp").await;
    assert_eq!(mcp.status, 405, "{mcp:?}");
    assert!(mcp.body.contains("`initialize`") && !mcp.body.contains("use one of"), "{mcp:?}");
    for path in ["/v1beta/models/demo:generateContent", "/v1/models/demo:countTokens"] {
        let said = server.get(path).await;
        assert_eq!(said.status, 405, "{said:?}");
        assert_eq!(said.headers["allow"], "POST", "{said:?}");
    }
}
