//! Kept answers: found again in every form, never by another tenant, asked once by many.

use gateway::cache::{CacheMode, CacheSettings};
use gateway::settings::{ModelSettings, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{House, claude};

async fn start(script: &str, cache: CacheSettings) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let settings = Settings {
        providers: vec![claude(mock.addr())],
        models: ModelSettings::default(),
        cache,
        ..Settings::default()
    };
    (mock, House::with(settings).await)
}

fn all() -> CacheSettings {
    CacheSettings { exact: CacheMode::All, ..CacheSettings::default() }
}

fn question(text: &str, stream: bool) -> Value {
    json!({"model": "claude-3-opus-20240229", "max_tokens": 9, "stream": stream,
           "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn the_same_question_is_answered_once_and_given_again_to_the_byte() {
    let (mock, house) = start("default.text = \"answer {n}\"", all()).await;
    for (path, stream) in [
        ("/v1/messages", false),
        ("/v1/messages", true),
        ("/v1/chat/completions", false),
        ("/v1/chat/completions", true),
    ] {
        let asked = mock.requests().len();
        let first = house.post(path, &question("same", stream)).await;
        assert_eq!(first.status, StatusCode::OK, "{first:?}");
        assert_eq!(first.header("x-rapport-cache"), "miss");
        let again = house.post(path, &question("same", stream)).await;
        assert_eq!(again.header("x-rapport-cache"), "hit", "{path} {stream}");
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(again.header("x-rapport-provider"), "anthropic");
        assert_eq!(again.header("age"), "0");
        assert_eq!(again.text, first.text);
        assert_eq!(mock.requests().len(), asked + 1, "{path} {stream}");
    }
    let metrics = house.call("GET", "/metrics").await.text;
    assert!(metrics.contains("cache_total{outcome=\"hit\"} 4"), "{metrics}");
}

#[tokio::test]
async fn a_caller_decides_for_each_call() {
    let (mock, house) = start("default.text = \"answer {n}\"", CacheSettings::default()).await;
    let ask = async |wish: &[(&str, &str)]| {
        let answer = house.with_headers("POST", "/v1/messages", wish, &question("q", false)).await;
        let text = answer.json()["content"][0]["text"].as_str().unwrap().to_owned();
        (answer.header("x-rapport-cache").to_owned(), text)
    };
    let outcome = |cache: &str, text: &str| (cache.to_owned(), text.to_owned());
    assert_eq!(ask(&[]).await, outcome("", "answer 1"), "nobody asked for it");
    assert_eq!(ask(&[("x-rapport-cache", "on")]).await, outcome("miss", "answer 2"));
    assert_eq!(ask(&[("x-rapport-cache", "on")]).await, outcome("hit", "answer 2"));
    assert_eq!(ask(&[("x-rapport-cache", "off")]).await, outcome("", "answer 3"));
    assert_eq!(ask(&[("x-rapport-cache", "refresh")]).await, outcome("miss", "answer 4"));
    assert_eq!(ask(&[("x-rapport-cache", "on")]).await, outcome("hit", "answer 4"));
    let wrong = [("x-rapport-cache", "yes please")];
    let refused = house.with_headers("POST", "/v1/messages", &wrong, &question("q", false)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("`yes please`"), "{refused:?}");
    assert_eq!(mock.requests().len(), 4);
}

#[tokio::test]
async fn only_sure_calls_count_where_only_they_are_wanted() {
    let cache = CacheSettings { exact: CacheMode::Deterministic, ..CacheSettings::default() };
    let (mock, house) = start("default.text = \"answer {n}\"", cache).await;
    for _ in 0..2 {
        house.post("/v1/messages", &question("open", false)).await;
        let mut sure = question("sure", false);
        sure["temperature"] = json!(0);
        house.post("/v1/messages", &sure).await;
    }
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn a_hundred_calls_at_once_are_one_upstream() {
    let (mock, house) = start("default.text = \"once\"\ndefault.delay_ms = 100", all()).await;
    let body = question("at once", false);
    let calls = (0..100).map(|_| house.post("/v1/messages", &body));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|a| a.json()["content"][0]["text"] == "once"));
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn errors_and_cut_streams_are_not_kept() {
    let script = r#"
        [[rules]]
        times = 1
        reply = { status = 400 }
        [[rules]]
        times = 1
        reply = { fragments = ["a few ", "words ", "more"], cut_at = 300 }
        [default]
        text = "whole"
    "#;
    let (mock, house) = start(script, all()).await;
    let refused = house.post("/v1/messages", &question("q", true)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let cut = house.post("/v1/messages", &question("q", true)).await;
    assert!(cut.broken && !cut.text.contains("message_stop"), "{cut:?}");
    let whole = house.post("/v1/messages", &question("q", true)).await;
    assert!(whole.text.contains("whole"), "{whole:?}");
    assert_eq!(whole.header("x-rapport-cache"), "miss");
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn another_wording_is_answered_only_where_it_is_safe() {
    let cache = CacheSettings { similar: true, ..all() };
    let (mock, house) = start("default.text = \"answer {n}\"", cache).await;
    house.post("/v1/messages", &question("How do I reset my password?", false)).await;
    let again = "please, how can I reset my password";
    let similar = house.post("/v1/messages", &question(again, false)).await;
    assert_eq!(similar.header("x-rapport-cache"), "similar", "{similar:?}");
    assert!(similar.header("x-rapport-cache-similarity").parse::<f32>().unwrap() > 0.9);
    assert_eq!(similar.json()["content"][0]["text"], "answer 1");
    let mut tools = question("please how do I reset my password", false);
    tools["tools"] = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    assert_eq!(house.post("/v1/messages", &tools).await.header("x-rapport-cache"), "miss");
    let mut system = question("How should I reset my password", false);
    system["system"] = json!("be brief");
    assert_eq!(house.post("/v1/messages", &system).await.header("x-rapport-cache"), "miss");
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn a_turn_of_a_context_is_never_answered_from_memory() {
    let (mock, house) = start("default.text = \"answer {n}\"", all()).await;
    let headers = [("x-rapport-context", "kept"), ("x-rapport-cache", "on")];
    for _ in 0..2 {
        let body = question("the same", false);
        house.with_headers("POST", "/v1/messages", &headers, &body).await;
    }
    assert_eq!(mock.requests().len(), 2);
}
