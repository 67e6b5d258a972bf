//! Applications of other vendors' APIs: bytes pass untouched, or are translated, or are a turn.

use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

/// What an OpenAI caller asks.
fn chat(text: &str, stream: bool) -> Value {
    json!({"model": "claude-3-opus-20240229", "stream": stream,
           "messages": [{"role": "system", "content": "be kind"},
                        {"role": "user", "content": text}]})
}

#[tokio::test]
async fn the_same_dialect_passes_byte_for_byte_but_for_the_models_name() {
    let (mock, house) = start("default.text = \"as it is\"").await;
    let body = r#"{ "max_tokens" : 5,
        "model": "anthropic/claude-x", "odd": [1.50, 9007199254740993],
        "messages":[{"role":"user","content":"\u0068i"}] }"#;
    let request = http::Request::post("/v1/messages")
        .header("content-type", "application/json")
        .header("anthropic-beta", "some-beta")
        .body(axum::body::Body::from(body))
        .unwrap();
    let answer = house.send(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["content"][0]["text"], "as it is");
    assert_eq!(answer.header("x-rapport-provider"), "anthropic");
    let sent = mock.requests().pop().unwrap();
    let expected = body.replace("anthropic/claude-x", "claude-x");
    assert_eq!(std::str::from_utf8(&sent.body).unwrap(), expected);
    assert_eq!(sent.header("anthropic-beta"), Some("some-beta"));
    assert_eq!(sent.header("x-api-key"), Some("sk-ant-secret"));
}

#[tokio::test]
async fn a_streamed_pass_is_the_upstreams_own_stream() {
    let (mock, house) = start("default.fragments = [\"one \", \"two\"]").await;
    let body = json!({"model": "anthropic/claude-x", "max_tokens": 5, "stream": true,
                      "messages": [{"role": "user", "content": "hi"}]});
    let through = house.post("/v1/messages", &body).await;
    assert!(through.header("content-type").starts_with("text/event-stream"));
    for part in ["event: message_start", "one ", "two", "event: message_stop"] {
        assert!(through.text.contains(part), "{part}: {}", through.text);
    }
    drop(mock);
}

#[tokio::test]
async fn an_openai_caller_is_answered_by_a_claude() {
    let (mock, house) = start("default.fragments = [\"good \", \"day\"]").await;
    let whole = house.post("/v1/chat/completions", &chat("hi", false)).await;
    assert_eq!(whole.status, StatusCode::OK, "{whole:?}");
    let body = whole.json();
    assert_eq!(body["choices"][0]["message"]["content"], "good day");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["object"], "chat.completion");
    assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["system"], "be kind");
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "hi"}]));
    let streamed = house.post("/v1/chat/completions", &chat("hi", true)).await;
    let chunks: Vec<Value> = streamed
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let text: String =
        chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "good day", "{}", streamed.text);
    assert!(streamed.text.trim_end().ends_with("data: [DONE]"), "{}", streamed.text);
}

#[tokio::test]
async fn a_context_remembers_for_callers_of_every_dialect() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let headers = [("x-rapport-context", "kept")];
    let first =
        house.with_headers("POST", "/v1/chat/completions", &headers, &chat("one", false)).await;
    assert_eq!(first.header("x-rapport-context"), "kept", "{first:?}");
    let body = json!({"model": "claude-3-opus-20240229", "max_tokens": 9,
                      "messages": [{"role": "user", "content": "two"}]});
    let second = house.with_headers("POST", "/v1/messages", &headers, &body).await;
    assert_eq!(second.json()["content"][0]["text"], "answer 2", "{second:?}");
    let sent = mock.requests().pop().unwrap().json();
    let said: Vec<&str> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["content"].as_str().unwrap_or("?"))
        .collect();
    assert_eq!(said, ["one", "answer 1", "two"], "{sent}");
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let third = house.with_headers("POST", "/v1/messages", &headers, &streamed).await;
    assert!(third.text.contains("event: message_stop"), "{third:?}");
    let kept = house.call("GET", "/api/v1/contexts/kept").await.json();
    assert_eq!(kept["size"]["turns"], 3);
}

#[tokio::test]
async fn offline_models_answer_in_every_dialect() {
    let house = House::new().await;
    let body = json!({"model": "mock", "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hi"}]});
    let claude = house.post("/v1/messages", &body).await;
    assert_eq!(claude.json()["content"][0]["text"], "Hello, how can I help?", "{claude:?}");
    let openai = house.post("/v1/chat/completions", &body).await;
    assert_eq!(openai.json()["choices"][0]["message"]["content"], "Hello, how can I help?");
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let openai = house.post("/v1/chat/completions", &streamed).await;
    assert!(openai.text.contains("help?") && openai.text.contains("[DONE]"), "{openai:?}");
    let count = house.post("/v1/messages/count_tokens", &streamed).await.json();
    assert!(count["input_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn errors_and_lists_have_the_callers_shape() {
    let house = House::new().await;
    let body = json!({"model": "none-such", "messages": []});
    let openai = house.post("/v1/chat/completions", &body).await;
    assert_eq!(openai.status, StatusCode::NOT_FOUND);
    assert!(
        openai.json()["error"]["message"].as_str().unwrap().contains("none-such"),
        "{openai:?}"
    );
    let claude = house.post("/v1/messages", &body).await;
    assert_eq!(claude.json()["type"], "error", "{claude:?}");
    assert_eq!(claude.json()["error"]["type"], "not_found_error", "{claude:?}");
    let broken = http::Request::post("/v1/messages").header("content-type", "application/json");
    let broken = house.send(broken.body(axum::body::Body::from("{nonsense")).unwrap()).await;
    assert_eq!(
        (broken.status, broken.json()["type"].as_str()),
        (StatusCode::BAD_REQUEST, Some("error"))
    );
    let list = house.call("GET", "/v1/models").await.json();
    assert_eq!((&list["object"], &list["data"][0]["object"]), (&json!("list"), &json!("model")));
    let headers = [("anthropic-version", "2023-06-01")];
    let list = house.with_headers("GET", "/v1/models", &headers, &json!(null)).await.json();
    assert_eq!((&list["has_more"], &list["data"][0]["type"]), (&json!(false), &json!("model")));
}
