//! The Model Context Protocol from outside: both eras, what a key may do, what is told.

use catalog::{NewKey, Scopes};
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

async fn legacy(house: &House, session: Option<&str>, body: &Value) -> Answer {
    let mut headers = vec![ACCEPT];
    headers.extend(session.map(|id| ("mcp-session-id", id)));
    house.with_headers("POST", "/mcp", &headers, body).await
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

async fn begin(house: &House) -> String {
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {},
                        "clientInfo": {"name": "t", "version": "1"}});
    let answer = legacy(house, None, &request(1, "initialize", &params)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["result"]["protocolVersion"], "2025-06-18");
    answer.header("mcp-session-id").to_owned()
}

/// A request of the modern era with its headers.
async fn modern(house: &House, name: &str, arguments: &Value) -> Answer {
    let mut params = json!({"name": name, "arguments": arguments});
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                             "io.modelcontextprotocol/clientCapabilities": {}});
    let headers = [
        ACCEPT,
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", name),
    ];
    house.with_headers("POST", "/mcp", &headers, &request(9, "tools/call", &params)).await
}

#[tokio::test]
async fn a_conversation_lives_through_tools_in_both_eras() {
    let house = House::new().await;
    let session = begin(&house).await;
    let call = async |id: u64, name: &str, arguments: Value| {
        let params = json!({"name": name, "arguments": arguments});
        let answer = legacy(&house, Some(&session), &request(id, "tools/call", &params)).await;
        let result = answer.json()["result"].clone();
        assert_eq!(result["isError"], false, "{answer:?}");
        assert!(result.get("resultType").is_none(), "a word of the other era");
        result["structuredContent"].clone()
    };
    call(2, "context_create", json!({"id": "trip", "state": {"city": "Rome"}})).await;
    call(3, "context_append", json!({"id": "trip", "content": "we leave on Monday"})).await;
    let said = call(4, "context_send", json!({"id": "trip", "message": "hello"})).await;
    assert_eq!(said["text"], "Hello there! How can I help you today?");
    let state = call(5, "context_state", json!({"id": "trip", "patch": {"days": 3}})).await;
    assert_eq!(state["state"], json!({"city": "Rome", "days": 3}));
    let fork = call(6, "context_fork", json!({"id": "trip", "at": 1, "new_id": "other"})).await;
    assert_eq!((&fork["parent"], &fork["fork_seq"]), (&json!("trip"), &json!(1)));
    let got = modern(&house, "context_get", &json!({"id": "other"})).await.json();
    assert_eq!(got["result"]["resultType"], "complete");
    let messages = &got["result"]["structuredContent"]["messages"];
    assert_eq!(messages[0]["content"], "we leave on Monday", "{got}");
    call(7, "context_delete", json!({"id": "trip"})).await;
    let gone = modern(&house, "context_get", &json!({"id": "trip"})).await.json();
    assert_eq!(gone["result"]["isError"], true);
    let text = gone["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("context_not_found"), "{text}");
}

#[tokio::test]
async fn every_tool_has_a_short_name_a_schema_and_honest_hints() {
    let house = House::new().await;
    let session = begin(&house).await;
    let answer = legacy(&house, Some(&session), &request(2, "tools/list", &json!({}))).await;
    let tools = answer.json()["result"]["tools"].as_array().unwrap().clone();
    assert!(tools.len() >= 9);
    for tool in &tools {
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        let hints = &tool["annotations"];
        assert_eq!(hints["destructiveHint"], name == "context_delete", "{name}");
        let reads = [
            "context_list",
            "context_get",
            "context_search",
            "context_recall",
            "context_export",
            "model_list",
        ];
        let reads = reads.contains(&name);
        assert_eq!(hints["readOnlyHint"], reads, "{name}");
    }
    let wrong = modern(&house, "context_get", &json!({"id": 7})).await.json();
    let text = wrong["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("`id` must be of type `string`"), "{text}");
    let unknown = modern(&house, "no_such_tool", &json!({})).await;
    assert_eq!(unknown.json()["error"]["code"], -32602, "{unknown:?}");
}

#[tokio::test]
async fn contexts_are_resources_and_prompts() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "a b"})).await;
    let body = json!({"role": "user", "content": "the answer is 42"});
    house.post("/api/v1/contexts/a%20b/messages", &body).await;
    let session = begin(&house).await;
    let ask = async |method: &str, params: Value| {
        legacy(&house, Some(&session), &request(3, method, &params)).await.json()
    };
    let list = ask("resources/list", json!({})).await;
    let uri = &list["result"]["resources"][0]["uri"];
    assert_eq!(uri, "rapport://context/a%20b");
    let read = ask("resources/read", json!({"uri": uri})).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("**user**: the answer is 42"), "{text}");
    let missing = ask("resources/read", json!({"uri": "rapport://context/none"})).await;
    assert_eq!(missing["error"]["code"], -32002, "{missing}");
    let params = json!({"name": "summarize_context", "arguments": {"id": "a b"}});
    let prompt = ask("prompts/get", params).await;
    let text = prompt["result"]["messages"][1]["content"]["text"].as_str().unwrap();
    assert!(text.contains("the answer is 42"), "{prompt}");
    let params = json!({"ref": {"type": "ref/prompt", "name": "summarize_context"},
                        "argument": {"name": "id", "value": "a"}});
    let completed = ask("completion/complete", params).await;
    assert_eq!(completed["result"]["completion"]["values"], json!(["a b"]));
}

#[tokio::test]
async fn a_key_that_only_reads_changes_nothing_and_pages_of_others_stay_outside() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "kept"})).await;
    let new = NewKey {
        name: "reader".to_owned(),
        scopes: Scopes::parse("read").unwrap(),
        expires_in: None,
        models: catalog::ModelLimit::default(),
    };
    let key = house.keys.create(new).await.unwrap().secret.expose().to_owned();
    let nobody = legacy(&house, None, &request(1, "initialize", &json!({}))).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    let call = async |name: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                          "io.modelcontextprotocol/clientCapabilities": {}});
        let params = json!({"name": name, "arguments": {"id": "kept"}, "_meta": meta});
        let headers = [
            ACCEPT,
            ("x-api-key", key.as_str()),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
        ];
        let body = request(2, "tools/call", &params);
        house.with_headers("POST", "/mcp", &headers, &body).await.json()
    };
    assert_eq!(call("context_get").await["result"]["isError"], false);
    let refused = call("context_delete").await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("forbidden") && text.contains("`write`"), "{text}");
    assert_eq!(call("context_get").await["result"]["isError"], false, "it is still there");
    let headers = [ACCEPT, ("x-api-key", key.as_str()), ("origin", "https://evil.example")];
    let page = house.with_headers("POST", "/mcp", &headers, &json!({})).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
}

#[tokio::test]
async fn what_was_said_is_found_and_brought_elsewhere() {
    let house = House::new().await;
    for (id, content) in [("a", "the harbour is closed"), ("b", "we sail on Monday")] {
        house.post("/api/v1/contexts", &json!({"id": id})).await;
        let body = json!({"role": "user", "content": content});
        house.post(&format!("/api/v1/contexts/{id}/messages"), &body).await;
    }
    let call = async |name: &str, arguments: Value| {
        let answer = modern(&house, name, &arguments).await.json();
        answer["result"].clone()
    };
    let found = call("context_search", json!({"query": "sail monday"})).await;
    assert_eq!(found["structuredContent"]["hits"][0]["context_id"], "b", "{found}");
    let nothing = call("context_search", json!({"query": "  "})).await;
    assert_eq!(nothing["isError"], true);
    let recalled = call("context_recall", json!({"id": "a", "query": "which harbour?"})).await;
    let messages = &recalled["structuredContent"]["recalled"][0]["messages"];
    assert_eq!(messages[0]["content"], "the harbour is closed", "{recalled}");
    let document = call("context_export", json!({"id": "a", "format": "openai_chat"})).await;
    let text = document["structuredContent"]["document"].as_str().unwrap();
    let body: Value = serde_json::from_str(text).unwrap();
    assert_eq!(body["messages"][0]["content"], "the harbour is closed", "{body}");
    let unknown = call("context_export", json!({"id": "a", "format": "word"})).await;
    assert!(unknown["content"][0]["text"].as_str().unwrap().contains("`word` is no format"));
}

#[tokio::test]
async fn a_change_by_another_door_is_told_to_those_who_subscribed() {
    use futures_util::StreamExt as _;

    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "watched"})).await;
    let session = begin(&house).await;
    let subscribe = request(2, "resources/subscribe", &json!({"uri": "rapport://context/watched"}));
    legacy(&house, Some(&session), &subscribe).await;
    let open = http::Request::get("/mcp")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &session)
        .body(axum::body::Body::empty())
        .unwrap();
    let mut stream = house.stream(open).await;
    let mut told = String::new();
    let mut wait_for = async |part: &str| {
        let wait = async {
            while !told.contains(part) {
                let piece = stream.next().await.unwrap().unwrap();
                told.push_str(std::str::from_utf8(&piece).unwrap());
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap();
        std::mem::take(&mut told)
    };
    wait_for("listening").await;
    let body = json!({"role": "user", "content": "news"});
    house.post("/api/v1/contexts/watched/messages", &body).await;
    let text = wait_for("resources/updated").await;
    assert!(text.contains("rapport://context/watched"), "{text}");
    house.post("/api/v1/contexts", &json!({"id": "new"})).await;
    wait_for("resources/list_changed").await;
}

#[tokio::test]
async fn a_number_that_a_tool_does_not_take_is_refused_and_not_bent() {
    let house = House::new().await;
    modern(&house, "context_create", &json!({"id": "x"})).await;
    for limit in [json!(0), json!(51)] {
        let arguments = json!({"id": "x", "query": "word", "limit": limit});
        let answer = modern(&house, "context_recall", &arguments).await;
        assert!(answer.text.contains("must be a number from 1 to 50"), "{limit}: {answer:?}");
    }
    let arguments = json!({"id": "x", "query": "word", "limit": 50});
    let answer = modern(&house, "context_recall", &arguments).await;
    assert_eq!(answer.json()["result"]["isError"], false, "{answer:?}");
}
