//! Recall by vectors through a configured model: the built-in one, a provider's, one that fails.

use std::time::Duration;

use gateway::model::Models;
use gateway::settings::{KeySettings, ModelSettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::house::House;
use crate::stub::Stub;

const VECTOR: &str = r#"{"object":"list","data":[{"index":0,"embedding":[0.5,1.5,-1]}],
                         "model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;

fn settings(embed: &str, providers: Vec<ProviderSettings>) -> Settings {
    let models = ModelSettings { embed: Some(embed.to_owned()), ..ModelSettings::default() };
    let models = ModelSettings { default: Some("echo".to_owned()), ..models };
    Settings { models, providers, ..Settings::default() }
}

fn embedder(stub: &Stub) -> ProviderSettings {
    let mut provider =
        ProviderSettings::new("one", "openai_chat", &format!("http://{}", stub.addr));
    provider.keys = vec![KeySettings::new(Secret::new("sk-1"), "a test")];
    provider.models = vec!["e-3".to_owned()];
    provider.retries = 0;
    provider
}

async fn recall(house: &House, id: &str, query: &str) -> Value {
    let answer = house.call("GET", &format!("/api/v1/contexts/{id}/recall?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// Waits until every message has its vector.
async fn settled(house: &House, id: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while recall(house, id, "q=x").await["vectors"]["waiting"] != 0 {
        assert!(Instant::now() < until, "messages wait for their vectors");
        tokio::task::yield_now().await;
    }
}

fn seqs(told: &Value) -> Vec<u64> {
    told["recalled"].as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_built_in_model_finds_words_that_only_share_pieces() {
    let house = House::with(settings("hash-embed", Vec::new())).await;
    let said = ["we photographed the cathedral", "and then", "we had soup", "it was late"];
    let messages: Vec<Value> =
        said.iter().map(|text| json!({"role": "user", "content": text})).collect();
    house.post("/api/v1/contexts", &json!({"id": "c", "messages": messages})).await;
    settled(&house, "c").await;
    let words = recall(&house, "c", "q=cathedrals&by=words").await;
    assert_eq!(words["vectors"], json!({"model": "hash-embed-2", "done": 4, "waiting": 0}));
    let vectors = recall(&house, "c", "q=fotografed&by=vectors").await;
    assert_eq!(seqs(&vectors)[0], 1, "{vectors}");
    assert_eq!(vectors["recalled"][0]["vectors"], 1);
    assert_eq!(seqs(&recall(&house, "c", "q=fotografed&by=words").await), [0_u64; 0]);
    assert_eq!(seqs(&recall(&house, "c", "q=fotografed").await)[0], 1);
    // A turn adds two messages, and they get their vectors by themselves.
    let turn =
        json!({"message": "who takes pictures?", "window": {"strategy": "last", "turns": 1}});
    assert_eq!(house.post("/api/v1/contexts/c/turns", &turn).await.status, StatusCode::OK);
    settled(&house, "c").await;
    assert_eq!(recall(&house, "c", "q=x").await["vectors"]["done"], 6);
    let wrong = house.call("GET", "/api/v1/contexts/c/recall?q=x&by=magic").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.json()["detail"].as_str().unwrap().contains("magic"), "{wrong:?}");
}

#[tokio::test]
async fn a_provider_makes_vectors_and_is_told_what_for() {
    let stub = Stub::start(200, "application/json", VECTOR).await;
    let house = House::with(settings("one/e-3", vec![embedder(&stub)])).await;
    let messages = json!([{"role": "user", "content": "the ferry sails at noon"}]);
    house.post("/api/v1/contexts", &json!({"id": "c", "messages": messages})).await;
    settled(&house, "c").await;
    let found = recall(&house, "c", "q=when+does+the+boat+leave").await;
    assert_eq!(seqs(&found), [1], "{found}");
    assert_eq!(found["vectors"]["model"], "one/e-3");
    let last = stub.last();
    assert!(last.path.ends_with("/embeddings"), "{}", last.path);
    let body: Value = serde_json::from_str(last.text()).unwrap();
    assert_eq!(body["model"], "e-3");
    assert_eq!(body["input"], json!(["when does the boat leave"]), "{body}");
}

#[tokio::test]
async fn a_model_that_fails_harms_no_turn_and_is_left_alone_for_a_while() {
    let stub = Stub::start(500, "text/plain", "oops").await;
    let house = House::with(settings("one/e-3", vec![embedder(&stub)])).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let window = json!({"strategy": "last", "turns": 1, "recall": 3});
    for n in 0..5 {
        let turn = json!({"message": format!("ferry number {n}"), "window": window});
        let answer = house.post("/api/v1/contexts/c/turns", &turn).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let found = recall(&house, "c", "q=ferry&limit=50").await;
    assert!(!seqs(&found).is_empty(), "words still find");
    assert!(stub.count() <= 3, "a model that fails was asked {} times", stub.count());
}

#[tokio::test]
async fn a_model_that_makes_no_vectors_is_refused_by_name() {
    for (name, says) in [("echo", "makes no vectors"), ("nobody/nothing", "nobody")] {
        let problems = Models::problems(&settings(name, Vec::new()));
        assert_eq!(problems.len(), 1, "{name}");
        let text = problems[0].text();
        assert!(text.starts_with("models.embed: ") && text.contains(says), "{text}");
    }
    assert!(Models::problems(&settings("hash-embed", Vec::new())).is_empty());
    assert!(Models::problems(&settings("offline/hash-embed", Vec::new())).is_empty());
}
