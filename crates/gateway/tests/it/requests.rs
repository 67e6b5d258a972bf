//! The log of model calls: found again by what is known of them, once each, also after a restart.

use std::time::Duration;

use gateway::settings::{Deadlines, ProviderSettings, RequestLog, Settings};
use http::StatusCode;
use mock::Mock;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::routes::{mock, provider};

fn settings(one: &Mock) -> Settings {
    let settings = ProviderSettings {
        deadlines: Deadlines { idle: Duration::from_millis(100), ..Deadlines::default() },
        ..provider("one", "anthropic", one)
    };
    Settings { providers: vec![settings], ..Settings::default() }
}

async fn ask(house: &House, model: &str, stream: bool) -> Answer {
    let body = json!({"model": model, "max_tokens": 9, "stream": stream,
                      "messages": [{"role": "user", "content": "hello"}]});
    house.post("/v1/messages", &body).await
}

async fn list(house: &House, query: &str) -> Vec<Value> {
    let answer = house.call("GET", &format!("/api/v1/requests{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
    answer.json()["requests"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_first_word_is_that_of_the_answer_and_not_the_question() {
    for (path, stream) in [
        ("/v1/messages", true),
        ("/v1/chat/completions", true),
        ("/v1/messages", false),
        ("/v1/chat/completions", false),
    ] {
        let mock = mock("default.delay_ms = 300\ndefault.text = \"late\"").await;
        let house = House::with(Settings {
            providers: vec![provider("one", "anthropic", &mock)],
            ..Settings::default()
        })
        .await;
        let body = json!({"model": "one-m", "max_tokens": 9, "stream": stream,
                          "messages": [{"role": "user", "content": "hello"}]});
        assert_eq!(house.post(path, &body).await.status, StatusCode::OK);
        let calls = list(&house, "").await;
        let first = calls[0]["first_ms"].as_f64().unwrap();
        assert!(first >= 290.0, "{path} {stream}: {calls:?}");
    }
}

fn outcomes(calls: &[Value]) -> Vec<&str> {
    calls.iter().map(|call| call["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_end_of_an_upstream_leaves_one_record() {
    let whole = "default.text = \"good\"";
    let cut = "default.fragments = [\"a\", \"b\"]\n\
               default.stream_error = { after = 1, kind = \"overloaded_error\" }";
    let silent = "default.fragments = [\"a\", \"b\"]\ndefault.pause_ms = 600000";
    for (script, stream, wanted) in [
        (whole, false, "ok"),
        (whole, true, "ok"),
        (cut, true, "upstream_unavailable"),
        (silent, true, "timeout"),
        ("default.status = 400", false, "invalid_input"),
        ("default.status = 500", false, "upstream_error"),
        ("default.fault = \"drop\"", false, "upstream_unavailable"),
        ("default.fault = \"malformed_json\"", true, "upstream_invalid"),
    ] {
        for path in ["/v1/messages", "/v1/chat/completions"] {
            let mock = mock(script).await;
            let house = House::with(settings(&mock)).await;
            let body = json!({"model": "one-m", "max_tokens": 9, "stream": stream,
                              "messages": [{"role": "user", "content": "hello"}]});
            let answer = house.post(path, &body).await;
            let calls = list(&house, "").await;
            assert_eq!(calls.len(), 1, "{script} {path}: {calls:?} {answer:?}");
            let outcome = calls[0]["outcome"].as_str().unwrap();
            assert_eq!(outcome == "ok", wanted == "ok", "{script} {path}: {calls:?}");
            if stream && wanted == "timeout" {
                assert_eq!(outcome, wanted, "{script} {path}: {calls:?}");
            }
            assert_eq!(calls[0]["id"], answer.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn an_answer_of_known_length_over_a_real_connection_is_complete() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mock = mock("").await;
    let house = House::with(settings(&mock)).await;
    let addr = crate::hang_ups::listen(&house.gate).await;
    let body = json!({"model": "one-m", "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hello"}]})
    .to_string();
    for outcome in ["miss", "hit"] {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             x-rapport-cache: on\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(&format!("x-rapport-cache: {outcome}")), "{answer}");
    }
    let calls = list(&house, "").await;
    assert_eq!((calls.len(), outcomes(&calls)), (1, vec!["ok"]), "{calls:?}");
    assert!(calls[0]["usage"]["output_tokens"].as_u64().is_some(), "{calls:?}");
}

#[tokio::test]
async fn an_upstream_that_dies_in_its_answer_leaves_one_record() {
    let slow = "default.fragments = [\"a\", \"b\"]\ndefault.pause_ms = 600000";
    let mock = mock(slow).await;
    let provider = provider("one", "anthropic", &mock);
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    let dies = async {
        mock.seen(1).await;
        // It lets its answers run for two seconds and cuts them off.
        mock.shutdown().await;
    };
    let (answer, ()) = tokio::join!(ask(&house, "one-m", true), dies);
    assert!(answer.broken, "a cut answer does not look like a whole one: {answer:?}");
    let calls = list(&house, "").await;
    assert_eq!((calls.len(), outcomes(&calls)[0] == "ok"), (1, false), "{calls:?}");
}

#[tokio::test]
async fn calls_are_listed_by_model_outcome_time_and_page() {
    let script = "[[rules]]\nwhen.model = \"bad\"\nreply = { status = 500 }\n[default]\n";
    let mock = mock(script).await;
    let house = House::with(settings(&mock)).await;
    ask(&house, "one/bad", false).await;
    for _ in 0..4 {
        ask(&house, "one-m", false).await;
    }
    ask(&house, "nothing-of-the-kind", false).await;
    assert_eq!(list(&house, "").await.len(), 6);
    assert_eq!(list(&house, "?model=one-m").await.len(), 4);
    assert_eq!(list(&house, "?model=one/one-m&status=ok&since=1h").await.len(), 4);
    let failed = list(&house, "?status=failed").await;
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[0]["outcome"], "model_not_found");
    assert_eq!(list(&house, "?status=model_not_found").await.len(), 1);
    assert_eq!(list(&house, "?since=2999-01-01T00:00:00Z").await.len(), 0);
    let first = house.call("GET", "/api/v1/requests?limit=4").await.json();
    let next = first["next"].as_i64().expect("there are more");
    let rest = house.call("GET", &format!("/api/v1/requests?limit=4&before={next}")).await.json();
    assert_eq!((rest["requests"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
    for (query, told) in [
        ("status=brilliant", "`brilliant`"),
        ("since=soon", "`soon`"),
        ("limit=0", "1 to 500"),
        ("limit=501", "1 to 500"),
        ("colour=red", "colour"),
    ] {
        let wrong = house.call("GET", &format!("/api/v1/requests?{query}")).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{query}: {wrong:?}");
        assert!(wrong.text.contains(told), "{query}: {wrong:?}");
    }
}

#[tokio::test]
async fn a_call_is_explained_after_a_restart() {
    let mock = mock("").await;
    let folder = tempfile::tempdir().unwrap();
    let house = House::at(settings(&mock), folder.path()).await;
    let answer = ask(&house, "one-m", false).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    house.post("/api/v1/contexts/c/turns", &json!({"message": "hi"})).await;
    let path = format!("/api/v1/requests/{}/explain", answer.header("x-request-id"));
    let before = house.call("GET", &path).await.json();
    house.gate.shutdown(Duration::from_secs(10)).await;
    house.database.close().await.unwrap();
    drop(house);
    let house = House::at(settings(&mock), folder.path()).await;
    assert_eq!(house.call("GET", &path).await.json(), before);
    let turn = house.call("GET", "/api/v1/requests/c.1/explain").await.json();
    assert_eq!((&turn["context"], &turn["outcome"]), (&json!("c"), &json!("ok")), "{turn}");
    assert_eq!(list(&house, "").await.len(), 2);
    house.database.close().await.unwrap();
}

#[tokio::test]
async fn without_a_log_the_last_calls_are_remembered() {
    let mock = mock("").await;
    let log = RequestLog { rows: 0, ..RequestLog::default() };
    let house = House::with(Settings { requests: log, ..settings(&mock) }).await;
    let answer = ask(&house, "one-m", false).await;
    assert_eq!(list(&house, "?model=one/one-m&status=ok&since=1h").await.len(), 1);
    assert_eq!(list(&house, "?status=failed").await.len(), 0);
    let path = format!("/api/v1/requests/{}/explain", answer.header("x-request-id"));
    assert_eq!(house.call("GET", &path).await.status, StatusCode::OK);
    let none = house.call("GET", "/api/v1/requests/nobody/explain").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.text.contains("x-request-id"), "{none:?}");
}

#[tokio::test]
async fn tokens_that_nobody_tells_are_estimated_and_the_record_says_so() {
    let mock = mock("default.text = \"a short answer of the model\"").await;
    let settings = Settings {
        providers: vec![provider("openai", "openai_chat", &mock)],
        ..Settings::default()
    };
    let house = House::with(settings).await;
    for (options, is_told) in [(json!(null), false), (json!({"include_usage": true}), true)] {
        let mut body = json!({"model": "openai/gpt-5.4-mini", "stream": true,
                              "messages": [{"role": "user", "content": "one two three"}]});
        if is_told {
            body["stream_options"] = options;
        }
        let sent = body.to_string();
        let answer = house.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.text.contains("\"usage\":{"), is_told, "{answer:?}");
        let got = String::from_utf8(mock.requests().pop().unwrap().body.to_vec()).unwrap();
        assert!(!got.contains("stream_options") || is_told, "{sent} became {got}");
        let id = answer.header("x-request-id").to_owned();
        let told = house.call("GET", &format!("/api/v1/requests/{id}/explain")).await.json();
        let usage = &told["usage"];
        assert_eq!(usage["estimated"] == true, !is_told, "{told}");
        for field in ["input_tokens", "output_tokens"] {
            let count = usage[field].as_u64().unwrap();
            assert!((1..40).contains(&count), "{field}: {told}");
        }
        assert!(told["cost_usd"].as_f64().unwrap() > 0.0, "{told}");
        let note = told["cost_note"].as_str().unwrap();
        assert_eq!(note.starts_with("estimated"), !is_told, "{note}");
    }
}
