//! Every door answers with the documented shapes, and all share one store.

use axum::body::Body;
use gateway::settings::Settings;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn the_first_shape_lives_from_create_to_delete() {
    let house = House::new().await;
    let made = house.call("POST", "/mcp/context").await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.json()["message"], "New context created");
    let id = made.json()["context_id"].as_str().unwrap().to_owned();
    let path = format!("/mcp/context/{id}");
    let say = |text: &'static str| {
        let (house, path) = (&house, format!("{path}/message"));
        async move { house.post(&path, &json!({"message": text})).await.json() }
    };
    let first = say("Can you book me a flight to New York?").await;
    let told = format!(
        "Acknowledged: 'Can you book me a flight to New York?'. How can I further assist you with \
         the context ID '{id}'?"
    );
    assert_eq!(first["ai_response"], told);
    let second = say("Make it for next Tuesday and I prefer a window seat.").await;
    let told = "Got it, a flight for next Tuesday. Any specific time or airline?";
    assert_eq!(second["ai_response"], told);
    let whole = house.call("GET", &path).await.json();
    for key in ["id", "created_at", "messages", "state", "last_updated"] {
        assert!(whole.get(key).is_some(), "{key}");
    }
    let roles: Vec<&str> =
        whole["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    let gone = house.call("DELETE", &path).await;
    assert_eq!(gone.json()["message"], format!("Context '{id}' deleted"));
    let again = house.call("DELETE", &path).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str()),
        (StatusCode::NOT_FOUND, Some("Context not found"))
    );
}

#[tokio::test]
async fn a_message_is_checked_before_its_context() {
    let house = House::new().await;
    let made = house.call("POST", "/api/context/create").await.json();
    let id = made["context_id"].as_str().unwrap().to_owned();
    for place in [id.as_str(), "unknown"] {
        let path = format!("/mcp/context/{place}/message");
        for body in [json!({}), json!({"text": "a"}), json!(null)] {
            let answer = house.post(&path, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(answer.json()["error"], "Message content is required", "{body}");
        }
        for body in
            [json!({"message": null}), json!({"message": 5}), json!(["message"]), json!("message")]
        {
            let answer = house.post(&path, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer.json()["error"].is_string(), "{body}");
        }
    }
    let answer = house.post("/mcp/context/unknown/message", &json!({"message": "a"})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let empty = house.post(&format!("/mcp/context/{id}/message"), &json!({"message": ""})).await;
    assert!(empty.json()["ai_response"].as_str().unwrap().starts_with("Acknowledged: ''"));
}

#[tokio::test]
async fn one_conversation_goes_through_all_doors() {
    let house = House::new().await;
    let line = house
        .raw(br#"{"sessionId":"s 1","message":"hi","context":{"user_id":"u","topic":"t"}}"#)
        .await;
    let reply: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        reply["response"],
        "Echo from MCP server (session s 1): You said 'hi'. User u is active. \
         Current topic: t. Context updated."
    );
    let keys: Vec<_> = reply["updatedContext"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["user_id", "topic", "last_message"]);
    let body = json!({"session_id": "s 1", "message": "again", "context": {}});
    let second = house.post("/api/mcp/interact", &body).await.json();
    assert_eq!(second["updatedContext"]["last_message"], "again");
    let third = house
        .post("/v1/predict", &json!({"session_id": "s 1", "input": "three", "model": "mock"}))
        .await
        .json();
    assert_eq!(third["output"], "Hello, how can I help?");
    let seen = house.call("GET", "/api/context/s%201").await.json();
    assert_eq!(seen["messages"].as_array().unwrap().len(), 6);
    let native =
        house.call("GET", "/api/v1/contexts/s%201/messages?role=user&order=desc").await.json();
    assert_eq!(native["messages"][0]["content"], "three");
    assert_eq!(house.call("DELETE", "/mcp/context/s%201").await.status, StatusCode::OK);
    assert_eq!(house.call("GET", "/api/v1/contexts/s%201").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn raw_tcp_answers_every_kind_of_input_and_stays_open() {
    let house = House::new().await;
    let said: &[&[u8]] = &[
        b"Hello MCP Server\r\n\r\n",
        b"{not json}\n",
        b"[1]\n",
        b"5\n",
        br#"{"sessionId":"a","message":7}"#,
        br#"{"sessionId":"a","message":"x","context":null}"#,
        b"\nMCP_HELLO_REQUEST: SESSION_ID=789\n",
        b"\xff\xfe\n",
        b"MCP_INIT: SESSION_ID=101\n",
        b"MCP_INIT: SESSION_ID=102 VERSION=2.0\n",
        br#"{"message":"one"}{"message":"two"}"#,
    ];
    let out = house.raw(&said.concat()).await;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 12, "{out}");
    assert_eq!(lines[0], "ERROR: Invalid JSON format");
    assert_eq!(lines[1], "ERROR: Invalid JSON format");
    for (line, code) in lines[2..6].iter().zip(["invalid_input"; 4]) {
        let error: Value = serde_json::from_str(line).unwrap();
        assert_eq!(error["code"], code, "{line}");
    }
    assert_eq!(lines[6], "MCP_HELLO_RESPONSE: SESSION_ID=789 STATUS=OK VERSION=1.0");
    assert!(lines[7].starts_with("ERROR: Invalid encoding"));
    assert_eq!(lines[8], "MCP_INIT_ACK: SESSION_ID=101 STATUS=OK VERSION=1.0");
    let refused = "MCP_INIT_ACK: SESSION_ID=102 STATUS=UNSUPPORTED_VERSION SUPPORTED=1.0";
    assert_eq!(lines[9], refused);
    for (line, text) in lines[10..].iter().zip(["one", "two"]) {
        let reply: Value = serde_json::from_str(line).unwrap();
        assert_eq!(reply["sessionId"], "101");
        assert_eq!(reply["updatedContext"]["last_message"], text);
    }
}

#[tokio::test]
async fn the_handshake_opens_framed_calls() {
    let house = House::new().await;
    let text = "One thing. Another thing that is longer. A third thing.";
    let mut said = "MCP/1.0\r\nConnection: Upgrade\r\n\r\n".to_owned();
    for call in [
        json!({"id": 1, "method": "summarize", "params": {"text": text, "length": "short"}}),
        json!({"id": 2, "method": "generate_prompt",
               "params": {"theme": "sci-fi", "difficulty": "hard"}}),
        json!({"id": 3, "method": "nothing"}),
        json!({"id": 4, "method": "interact", "params": {"message": "a b", "stream": true}}),
    ] {
        said.push_str(&format!("{call}\n"));
    }
    let out = house.raw(said.as_bytes()).await;
    let (head, rest) = out.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, "MCP/1.0 101 Switching Protocols\r\nConnection: Upgrade");
    let frames: Vec<Value> = rest.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(!frames[0]["result"]["summary"].as_str().unwrap().is_empty());
    assert!(frames[1]["result"]["prompt"].as_str().unwrap().contains("sci-fi"));
    assert_eq!(frames[2]["error"]["code"], "invalid_input");
    let last = frames.last().unwrap();
    let partials: String =
        frames[3..frames.len() - 1].iter().map(|f| f["partial"].as_str().unwrap()).collect();
    assert_eq!(last["result"]["response"], partials);
    let refused = house.raw(b"MCP/2.0\r\nConnection: Upgrade\r\n\r\n").await;
    assert!(refused.starts_with("MCP/1.0 426 Upgrade Required\r\nSupported: 1.0"), "{refused}");
}

#[tokio::test]
async fn requests_without_a_session_are_never_put_together() {
    let house = House::new().await;
    let one = house.post("/api/mcp/interact", &json!({"message": "a"})).await.json();
    let two = house.post("/api/mcp/interact", &json!({"message": "b"})).await.json();
    assert_ne!(one["sessionId"], two["sessionId"]);
}

#[tokio::test]
async fn errors_are_json_with_the_right_status() {
    let house = House::new().await;
    let wrong = house.call("PUT", "/mcp/context/a").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(wrong.header("allow").contains("GET"), "{wrong:?}");
    assert_eq!(wrong.json()["code"], "method_not_allowed");
    assert_eq!(house.call("GET", "/nothing").await.json()["code"], "not_found");
    let media = Request::post("/api/mcp/interact").header("content-type", "text/plain");
    let media = house.send(media.body(Body::from("{}")).unwrap()).await;
    assert_eq!(media.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let latin = Request::post("/api/mcp/interact").header("content-type", "application/json");
    let latin = house.send(latin.body(Body::from(&b"{\"message\":\"\xe9\"}"[..])).unwrap()).await;
    assert_eq!(latin.json()["code"], "invalid_encoding");
    let native = house.call("GET", "/api/v1/contexts/none").await;
    assert_eq!(native.header("content-type"), "application/problem+json");
    assert_eq!(native.json()["status"], 404);
    assert_eq!(native.json()["request_id"], native.header("x-request-id"));
    assert_eq!(house.call("OPTIONS", "/api/mcp/interact").await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.call("HEAD", "/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_document_names_every_path() {
    let house = House::new().await;
    let document = house.call("GET", "/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/mcp/context",
        "/api/context/create",
        "/api/mcp/interact",
        "/v1/predict",
        "/v1/context/set",
        "/v1/model/status",
        "/health",
        "/api/v1/contexts/{id}/turns",
        "/ws",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
}

#[tokio::test]
async fn behind_a_proxy_everything_is_below_the_base_path() {
    let settings = Settings {
        base_path: "/home".into(),
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..Default::default()
    };
    let house = House::with(settings).await;
    let redirect = house.call("GET", "/home").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (StatusCode::PERMANENT_REDIRECT, "/home/")
    );
    assert_eq!(house.call("GET", "/home/health").await.status, StatusCode::OK);
    assert_eq!(house.call("POST", "/home/mcp/context").await.status, StatusCode::CREATED);
    assert_eq!(house.call("GET", "/home/api/v1/contexts?limit=1").await.status, StatusCode::OK);
    for path in ["/health", "/homestead/health", "/"] {
        assert_eq!(house.call("GET", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_path_names_its_methods_when_a_wrong_one_comes() {
    let house = House::new().await;
    let document = house.call("GET", "/openapi.json").await.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let answer = house.call("TRACE", &path.replace("{id}", "x")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allow = answer.header("allow").to_lowercase();
        // A vendor's shape has the hint in its message.
        let hint = answer.text.to_lowercase();
        for method in methods.as_object().unwrap().keys() {
            assert!(allow.contains(method.as_str()), "{path}: {allow}");
            assert!(hint.contains(method.as_str()), "{path}: {hint}");
        }
    }
}

#[tokio::test]
async fn a_listed_page_may_send_what_its_client_sends_and_read_what_it_gets() {
    let cors_origins = vec!["http://localhost:3000".into()];
    let house = House::with(Settings { cors_origins, ..Settings::default() }).await;
    let asks = "authorization,content-type,mcp-session-id,mcp-protocol-version,anthropic-version";
    let preflight = |origin: &'static str, asks: Option<&'static str>| {
        let mut request = Request::builder().method("OPTIONS").uri("/mcp");
        request = request.header("host", "localhost:61900").header("origin", origin);
        request = request.header("access-control-request-method", "POST");
        if let Some(asks) = asks {
            request = request.header("access-control-request-headers", asks);
        }
        house.send(request.body(Body::empty()).unwrap())
    };
    let told = preflight("http://localhost:3000", Some(asks)).await;
    assert_eq!(told.status, StatusCode::NO_CONTENT);
    assert_eq!(told.header("access-control-allow-origin"), "http://localhost:3000");
    assert_eq!(told.header("access-control-allow-headers"), asks);
    assert_eq!(told.header("access-control-expose-headers"), "*");
    let plain = preflight("http://localhost:3000", None).await;
    assert!(plain.header("access-control-allow-headers").starts_with("authorization, "));
    let stranger = preflight("http://localhost:8080", Some(asks)).await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    assert!(!stranger.headers.contains_key("access-control-allow-headers"));
}
