//! Versions of Anthropic's API: the caller's, the provider's, and what lies between.

use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House};

const FIRST: &str = "2023-06-01";
const SECOND: &str = "2026-10-21";

async fn town(dialect: &str, version: Option<&str>) -> (Mock, House) {
    let script = Script::parse("default.text = \"hello\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let mut provider = ProviderSettings::new("up", dialect, &format!("http://{}", mock.addr()));
    provider.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    provider.models = vec!["m".into()];
    provider.version = version.map(ToOwned::to_owned);
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    (mock, house)
}

async fn ask(house: &House, version: &str, body: &Value) -> Answer {
    house.with_headers("POST", "/v1/messages", &[("anthropic-version", version)], body).await
}

fn plain() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
}

fn warm() -> Value {
    let mut body = plain();
    body["temperature"] = json!(0.5);
    body
}

/// The last request that arrived: its version and its body.
fn sent(mock: &Mock) -> (String, Value) {
    let last = mock.requests().pop().unwrap();
    let version = last.headers["anthropic-version"].to_str().unwrap().to_owned();
    (version, serde_json::from_slice(&last.body).unwrap())
}

#[tokio::test]
async fn without_a_configured_version_the_callers_counts_and_no_byte_changes() {
    let (mock, house) = town("anthropic", None).await;
    for version in [FIRST, SECOND] {
        let body = if version == FIRST { warm() } else { plain() };
        let answer = ask(&house, version, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(!answer.headers.contains_key("x-rapport-dropped"), "{answer:?}");
        assert_eq!(sent(&mock), (version.to_owned(), body));
    }
}

#[tokio::test]
async fn a_configured_version_is_spoken_and_what_it_lacks_is_named() {
    let (mock, house) = town("anthropic", Some(SECOND)).await;
    let answer = ask(&house, FIRST, &warm()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["x-rapport-dropped"], "temperature");
    assert_eq!(sent(&mock), (SECOND.to_owned(), plain()));
    // From another API too.
    let chat = json!({"model": "m", "temperature": 0.5, "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hi"}]});
    let answer = house.post("/v1/chat/completions", &chat).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["x-rapport-dropped"], "temperature");
    let (version, body) = sent(&mock);
    assert_eq!((version.as_str(), body.get("temperature")), (SECOND, None));
    // And back: what the second version says the first understands.
    let (mock, house) = town("anthropic", Some(FIRST)).await;
    assert_eq!(ask(&house, SECOND, &plain()).await.status, StatusCode::OK);
    assert_eq!(sent(&mock), (FIRST.to_owned(), plain()));
}

#[tokio::test]
async fn who_breaks_the_version_it_names_is_told_whoever_would_answer() {
    for (dialect, version) in
        [("anthropic", None), ("anthropic", Some(FIRST)), ("openai_chat", None)]
    {
        let (mock, house) = town(dialect, version).await;
        let answer = ask(&house, SECOND, &warm()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{answer:?}");
        assert!(error["message"].as_str().unwrap().contains("`temperature`"), "{answer:?}");
        assert!(mock.requests().is_empty());
    }
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_the_known_ones() {
    let (mock, house) = town("anthropic", None).await;
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let headers = [("anthropic-version", "2025-01-01")];
        let answer = house.with_headers("POST", path, &headers, &plain()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.text.contains(FIRST) && answer.text.contains(SECOND), "{answer:?}");
    }
    assert!(mock.requests().is_empty());
    let (_mock, house) = town("anthropic", Some("newest")).await;
    let answer = ask(&house, FIRST, &plain()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{answer:?}");
    assert!(answer.text.contains("`newest`") && answer.text.contains(SECOND), "{answer:?}");
}
