//! Embeddings and rankings go by routes too: the next target, the next key, breaker, record.

use gateway::route::{RouteSettings, TargetSettings};
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::stub::Stub;

const VECTORS: &str = r#"{"object":"list","data":[{"index":0,"embedding":[0.5,1]}],"model":"e",
                          "usage":{"prompt_tokens":7,"total_tokens":7}}"#;
const RANKED: &str = r#"{"results":[{"index":0,"relevance_score":0.9}],
                         "meta":{"billed_units":{"input_tokens":3}}}"#;

fn provider(name: &str, dialect: &str, stub: &Stub) -> ProviderSettings {
    let mut settings = ProviderSettings::new(name, dialect, &format!("http://{}", stub.addr));
    let key = |n: u32| KeySettings {
        name: format!("key-{n}"),
        priority: n,
        ..KeySettings::new(Secret::new(format!("sk-{name}-{n}")), "a test")
    };
    settings.keys = vec![key(1), key(2)];
    settings.models = vec![format!("{name}-e")];
    settings.retries = 0;
    settings
}

async fn house(one: (&str, &Stub), two: (&str, &Stub)) -> House {
    let target = |text: &str| TargetSettings::parse(text).unwrap();
    let route = RouteSettings {
        name: "vectors".into(),
        targets: vec![target("one/one-e"), target("two/two-e")],
        ..RouteSettings::default()
    };
    let settings = Settings {
        providers: vec![provider("one", one.0, one.1), provider("two", two.0, two.1)],
        routes: vec![route],
        ..Settings::default()
    };
    House::with(settings).await
}

async fn explain(house: &House, answer: &Answer) -> Value {
    let id = answer.header("x-request-id");
    house.call("GET", &format!("/api/v1/requests/{id}/explain")).await.json()
}

const BROKEN: &[(u16, &str, &str)] = &[
    (500, "provider", "oops"),
    (429, "limit", r#"{"error":{"message":"slow down"}}"#),
    (401, "key", r#"{"error":{"message":"bad key"}}"#),
    (404, "model", r#"{"error":{"message":"no such model"}}"#),
    (200, "provider", "<html>log in</html>"),
];

#[tokio::test]
async fn embeddings_and_rankings_go_on_to_the_next_target() {
    for (status, culprit, said) in BROKEN {
        let media = if said.starts_with('<') { "text/html" } else { "application/json" };
        let one = Stub::start(*status, media, *said).await;
        for (path, body, reply) in [
            ("/v1/embeddings", json!({"model": "vectors", "input": "a"}), VECTORS),
            ("/api/embed", json!({"model": "vectors", "input": "a"}), VECTORS),
            ("/v2/embed", json!({"model": "vectors", "texts": ["a"], "input_type": "x"}), VECTORS),
            ("/v1/rerank", json!({"model": "vectors", "query": "q", "documents": ["d"]}), RANKED),
        ] {
            let two = Stub::start(200, "application/json", reply).await;
            let house = house(("openai_chat", &one), ("openai_chat", &two)).await;
            let answer = house.post(path, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{status} {path}: {answer:?}");
            assert_eq!(answer.header("x-rapport-provider"), "two", "{status} {path}");
            assert_eq!(answer.header("x-rapport-route"), "vectors");
            let told = explain(&house, &answer).await;
            assert_eq!((&told["outcome"], &told["provider"]), (&json!("ok"), &json!("two")));
            let tokens = &told["usage"]["input_tokens"];
            assert!(tokens == 7 || tokens == 3, "{path} {told}");
            if media != "text/html" {
                assert_eq!(told["attempts"][0]["culprit"], *culprit, "{told}");
            }
            let keys = told["attempts"].as_array().unwrap();
            let of_one = keys.iter().filter(|a| a["provider"] == "one").count();
            let walked = if matches!(status, 429 | 401) { 2 } else { 1 };
            assert_eq!(of_one, walked, "{status}: both keys are tried first: {told}");
        }
    }
}

#[tokio::test]
async fn a_wrong_request_and_the_last_refusal_keep_the_upstreams_words() {
    let wrong = r#"{"error":{"message":"`input` is too odd","type":"invalid_request_error"}}"#;
    let one = Stub::start(400, "application/json", wrong).await;
    let two = Stub::start(200, "application/json", VECTORS).await;
    let house = house(("openai_chat", &one), ("openai_chat", &two)).await;
    let answer = house.post("/v1/embeddings", &json!({"model": "vectors", "input": "a"})).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::BAD_REQUEST, wrong));
    assert_eq!(two.count(), 0, "it would fail everywhere");
    let told = explain(&house, &answer).await;
    assert_eq!(told["culprit"], "request", "{told}");
}

#[tokio::test]
async fn a_target_without_embeddings_is_passed_over() {
    let one = Stub::start(200, "application/json", "{}").await;
    let two = Stub::start(200, "application/json", VECTORS).await;
    let house = house(("anthropic", &one), ("openai_chat", &two)).await;
    let answer = house.post("/v1/embeddings", &json!({"model": "vectors", "input": "a"})).await;
    assert_eq!(answer.header("x-rapport-provider"), "two", "{answer:?}");
    assert_eq!(one.count(), 0);
    let alone = house.post("/v1/embeddings", &json!({"model": "one-e", "input": "a"})).await;
    assert_eq!(alone.status, StatusCode::BAD_REQUEST, "{alone:?}");
    assert!(alone.text.contains("makes no embeddings"), "{alone:?}");
}

#[tokio::test]
async fn a_target_that_fails_again_and_again_is_left_alone() {
    let one = Stub::start(500, "application/json", "{}").await;
    let two = Stub::start(200, "application/json", VECTORS).await;
    let house = house(("openai_chat", &one), ("openai_chat", &two)).await;
    for _ in 0..9 {
        let body = json!({"model": "vectors", "input": "a"});
        assert_eq!(house.post("/v1/embeddings", &body).await.status, StatusCode::OK);
    }
    assert_eq!((one.count(), two.count()), (5, 9), "five failures open the breaker");
}
