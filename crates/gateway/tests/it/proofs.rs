//! What state on any upstream promises: nothing missed, forks without end, nothing of others.

use context::{New, NewEntry, Tenant};
use gateway::settings::{ModelSettings, ProviderSettings, Settings, Unsupported};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{House, claude};

const MODEL: &str = "claude-3-opus-20240229";

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

/// The response of a whole answer, or of the last event of a stream.
fn response(text: &str) -> Value {
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data: "));
    let value: Value = serde_json::from_str(last.unwrap_or(text)).unwrap();
    value.get("response").cloned().unwrap_or(value)
}

/// Goes on with the answer before, at once, so often; every other one is streamed.
async fn follow(house: &House, times: u32, line: &str) {
    let mut after = Value::Null;
    for turn in 0..times {
        let body = json!({"model": MODEL, "input": format!("{line} {turn}"),
                          "previous_response_id": after, "stream": turn % 2 == 1});
        let answer = house.post("/v1/responses", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{line}, turn {turn}: {answer:?}");
        let response = response(&answer.text);
        assert_eq!(response["status"], "completed", "{line}, turn {turn}: {response}");
        assert_eq!(response["previous_response_id"], after, "{line}, turn {turn}");
        after = response["id"].clone();
        if turn % 10 == 9 {
            // A new line, so that the conversation does not grow without end.
            after = Value::Null;
        }
    }
}

#[tokio::test]
async fn a_thousand_follow_ups_at_once_miss_nothing() {
    let (mock, house) = start("default.text = \"yes\"").await;
    follow(&house, 200, "alone").await;
    let lines: Vec<String> = (0..16).map(|n| format!("line {n}")).collect();
    let at_once = lines.iter().map(|line| follow(&house, 50, line));
    futures_util::future::join_all(at_once).await;
    assert_eq!(mock.requests().len(), 1000);
}

#[tokio::test]
async fn one_response_is_gone_on_with_fifty_times() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let first = json!({"model": MODEL, "input": "one"});
    let first = house.post("/v1/responses", &first).await.json();
    let body = |n: u32| {
        json!({"model": MODEL, "input": format!("branch {n}"),
                               "previous_response_id": first["id"]})
    };
    let bodies: Vec<Value> = (0..50).map(body).collect();
    let calls = bodies.iter().map(|body| house.post("/v1/responses", body));
    let answers = futures_util::future::join_all(calls).await;
    let mut ids: Vec<String> =
        answers.iter().map(|answer| answer.json()["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
    for request in mock.requests().iter().skip(1) {
        let sent = request.json();
        let said: Vec<&str> = sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        assert_eq!(said[..2], ["one", "answer 1"], "{sent}");
        assert!(said.len() == 3 && said[2].starts_with("branch "), "{sent}");
    }
    let kept = house.call("GET", &format!("/v1/responses/{}", first["id"].as_str().unwrap())).await;
    assert_eq!(kept.json()["output"], first["output"], "the first is as it was");
}

#[tokio::test]
async fn nothing_of_another_tenant_is_found_by_any_id() {
    let house = House::new().await;
    let others = Tenant(7);
    for id in ["resp_theirs", "conv_theirs", "msg_theirs"] {
        let secret = NewEntry {
            role: wire::prompt::Role::User,
            content: context::Content::Text("their secret".into()),
            model: None,
            meta: context::Map::new(),
        };
        let metadata = json!({"kind": "thread", "background": true}).as_object().cloned().unwrap();
        let id = Some(id.to_owned());
        let new = New { id, metadata, messages: vec![secret], ..New::default() };
        house.contexts.create(others, new).await.unwrap();
    }
    let ask = |field: &str, id: &str| {
        let mut body = json!({"model": "demo", "input": "x"});
        body[field] = json!(id);
        body
    };
    let thread = json!({"model": "demo", "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
        "thread": {"type": "continue", "previous_message_id": "msg_theirs"}});
    let items = json!({"items": [{"role": "user", "content": "x"}]});
    let none = json!({});
    let calls: &[(&str, &str, &Value)] = &[
        ("GET", "/v1/responses/resp_theirs", &none),
        ("GET", "/v1/responses/resp_theirs?stream=true", &none),
        ("GET", "/v1/responses/resp_theirs/input_items", &none),
        ("DELETE", "/v1/responses/resp_theirs", &none),
        ("POST", "/v1/responses/resp_theirs/cancel", &none),
        ("POST", "/v1/responses", &ask("previous_response_id", "resp_theirs")),
        ("POST", "/v1/responses", &ask("conversation", "conv_theirs")),
        ("POST", "/v1/responses/input_tokens", &ask("previous_response_id", "resp_theirs")),
        ("POST", "/v1/responses/compact", &ask("conversation", "conv_theirs")),
        ("GET", "/v1/conversations/conv_theirs", &none),
        ("POST", "/v1/conversations/conv_theirs", &none),
        ("DELETE", "/v1/conversations/conv_theirs", &none),
        ("GET", "/v1/conversations/conv_theirs/items", &none),
        ("POST", "/v1/conversations/conv_theirs/items", &items),
        ("GET", "/v1/conversations/conv_theirs/items/msg_1_0", &none),
        ("DELETE", "/v1/conversations/conv_theirs/items/msg_1_0", &none),
        ("POST", "/v1/messages", &thread),
    ];
    for (method, path, body) in calls {
        let headers = [("anthropic-beta", "message-threads-2026-08-12")];
        let answer = house.with_headers(method, path, &headers, body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {answer:?}");
        let error = &answer.json()["error"];
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains("theirs")),
            "{answer:?}"
        );
        assert!(!answer.text.contains("secret"), "{answer:?}");
        // A name nobody has is answered in the same words.
        let nobody = path.replace("theirs", "nobody");
        let other: Value =
            serde_json::from_str(&body.to_string().replace("theirs", "nobody")).unwrap();
        let missing = house.with_headers(method, &nobody, &headers, &other).await;
        assert_eq!(missing.text.replace("nobody", "theirs"), answer.text, "{method} {path}");
    }
    for id in ["resp_theirs", "conv_theirs", "msg_theirs"] {
        let key = context::Key::new(others, id).unwrap();
        assert_eq!(house.contexts.get(&key).await.unwrap().size.messages, 1, "{id}");
    }
}

/// Each caller's API with a field that no other has, and where it says so.
fn peculiar() -> Vec<(&'static str, Value, &'static str)> {
    let user = json!([{"role": "user", "content": "hi"}]);
    vec![
        (
            "/v1/chat/completions",
            json!({"model": "M", "messages": user, "logit_bias": {"1": 2}}),
            "logit_bias",
        ),
        (
            "/v1/messages",
            json!({"model": "M", "max_tokens": 9, "messages": user, "container": "c1"}),
            "container",
        ),
        (
            "/v1/responses",
            json!({"model": "M", "input": "hi", "store": false, "max_tool_calls": 3}),
            "max_tool_calls",
        ),
        (
            "/v1/responses",
            json!({"model": "M", "input": "hi", "max_tool_calls": 3}),
            "max_tool_calls",
        ),
        ("/v1/completions", json!({"model": "M", "prompt": "hi", "best_of": 2}), "best_of"),
        (
            "/v1beta/models/M:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                   "cachedContent": "c"}),
            "cachedContent",
        ),
        (
            "/api/chat",
            json!({"model": "M", "stream": false, "messages": user, "keep_alive": "5m"}),
            "keep_alive",
        ),
        (
            "/v2/chat",
            json!({"model": "M", "messages": user, "safety_mode": "STRICT"}),
            "safety_mode",
        ),
    ]
}

#[tokio::test]
async fn what_is_lost_is_named_refused_or_passed_on_in_every_api() {
    let (mock, house) = two_providers(Unsupported::Drop).await;
    for (path, body, field) in peculiar() {
        // Each is asked of a provider whose API is another.
        let model = if path == "/v1/messages" { "gpt-x" } else { MODEL };
        let fill = |text: String| text.replace("\"M\"", &format!("\"{model}\""));
        let path = path.replace("/M:", &format!("/{model}:"));
        let mut body: Value = serde_json::from_str(&fill(body.to_string())).unwrap();
        for streamed in [false, true] {
            let mut path = path.clone();
            if streamed && path.contains(":generateContent") {
                path = path.replace(":generateContent", ":streamGenerateContent?alt=sse");
            } else if !path.contains("/v1beta") {
                body["stream"] = json!(streamed);
            }
            for context in [None, Some("c")] {
                let mut headers: Vec<(&str, &str)> = Vec::new();
                headers.extend(context.map(|id| ("x-rapport-context", id)));
                let case = format!("{path} {field} {streamed} {context:?}");
                let answer = house.with_headers("POST", &path, &headers, &body).await;
                assert_eq!(answer.status, StatusCode::OK, "{case}: {answer:?}");
                assert!(answer.header("x-rapport-dropped").contains(field), "{case}: {answer:?}");
                let asked = mock.requests().len();
                headers.push(("x-rapport-unsupported", "error"));
                let refused = house.with_headers("POST", &path, &headers, &body).await;
                assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{case}: {refused:?}");
                assert!(refused.text.contains(field), "{case}: {refused:?}");
                assert_eq!(mock.requests().len(), asked, "{case}: nobody was asked");
                headers.pop();
                headers.push(("x-rapport-unsupported", "pass"));
                let passed = house.with_headers("POST", &path, &headers, &body).await;
                assert_eq!(passed.status, StatusCode::OK, "{case}: {passed:?}");
                assert!(passed.header("x-rapport-passed").contains(field), "{case}: {passed:?}");
                let sent = mock.requests().pop().unwrap().json();
                assert_eq!(sent[field], body[field], "{case}: {sent}");
            }
        }
    }
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]});
    let wrong = [("x-rapport-unsupported", "maybe")];
    for headers in [&wrong[..], &[wrong[0], ("x-rapport-context", "c")]] {
        let refused = house.with_headers("POST", "/v1/chat/completions", headers, &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(refused.json()["error"]["param"], "x-rapport-unsupported");
    }
}

async fn two_providers(unsupported: Unsupported) -> (Mock, House) {
    let script = Script::parse("default.text = \"answer\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let other = ProviderSettings {
        models: vec!["gpt-x".into()],
        retries: 0,
        ..ProviderSettings::new("other", "openai_chat", &format!("http://{}/v1", mock.addr()))
    };
    let models = ModelSettings { unsupported, ..ModelSettings::default() };
    let providers = vec![claude(mock.addr()), other];
    let house = House::with(Settings { providers, models, ..Settings::default() }).await;
    (mock, house)
}

#[tokio::test]
async fn the_settings_say_what_becomes_of_what_is_lost() {
    let (_mock, house) = two_providers(Unsupported::Error).await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}],
                      "frequency_penalty": 0.5});
    let refused = house.post("/v1/chat/completions", &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert_eq!(refused.json()["error"]["param"], "frequency_penalty", "{refused:?}");
    let own = [("x-rapport-unsupported", "drop")];
    let answer = house.with_headers("POST", "/v1/chat/completions", &own, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    // Where both speak the same, nothing is lost.
    let mut same = body.clone();
    same["model"] = json!("gpt-x");
    assert_eq!(house.post("/v1/chat/completions", &same).await.status, StatusCode::OK);
}
