//! Turns whose caller's connection broke: looked up, and their stream picked up again.

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;
use crate::matrix;
use crate::native::events;

/// A house whose model speaks slowly, in five pieces.
async fn slow() -> (House, Mock) {
    let script = "default.fragments = [\"a\", \"b\", \"c\", \"d\", \"e\"]\ndefault.pause_ms = 150";
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    (house, mock)
}

/// Starts a turn and hangs up as soon as `until` has been heard.
async fn hang_up_after(house: &House, until: &str) -> String {
    let body = json!({"message": "spell", "stream": true}).to_string();
    let request = Request::post("/api/v1/contexts/c/turns")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let mut stream = house.stream(request).await;
    let mut out = String::new();
    while !out.contains(until) {
        out.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    out
}

async fn again(house: &House, turn: &str, last: &str) -> (StatusCode, String) {
    let path = format!("/api/v1/contexts/c/turns/{turn}/stream");
    let answer = house.with_headers("GET", &path, &[("last-event-id", last)], &Value::Null).await;
    (answer.status, answer.text)
}

fn said(text: &str) -> String {
    let deltas = events(text).into_iter().filter(|(name, _)| name == "delta");
    deltas.map(|(_, data)| data["text"].as_str().unwrap().to_owned()).collect()
}

fn ids(text: &str) -> Vec<u64> {
    text.lines().filter_map(|l| l.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_behind_the_last_event_that_was_heard() {
    let (house, _mock) = slow().await;
    let heard = hang_up_after(&house, "\"b\"").await;
    let last = ids(&heard).pop().unwrap();
    let running = house.call("GET", "/api/v1/contexts/c/turns/1").await.json();
    assert_eq!(running["status"], "running");
    let (status, rest) = again(&house, "1", &last.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(said(&heard) + &said(&rest), "abcde");
    let numbers = [ids(&heard), ids(&rest)].concat();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let (name, done) = events(&rest).pop().unwrap();
    assert_eq!((name.as_str(), &done["text"]), ("done", &json!("abcde")));
    // Who heard everything is told so, which ends a browser's attempts.
    let (status, _) = again(&house, "last", &numbers.len().to_string()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let over = house.call("GET", "/api/v1/contexts/c/turns/last").await.json();
    assert_eq!((&over["status"], &over["text"]), (&json!("complete"), &json!("abcde")));
    assert_eq!(over["question"]["content"], "spell");
}

#[tokio::test]
async fn a_turn_that_only_the_log_remembers_is_told_whole() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    house.post("/api/v1/contexts/c/turns", &json!({"message": "one", "model": "echo"})).await;
    house.post("/api/v1/contexts/c/turns", &json!({"message": "two", "model": "echo"})).await;
    let (status, told) = again(&house, "1", "4").await;
    assert_eq!(status, StatusCode::OK);
    let told = events(&told);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0.as_str(), &told[0].1["question"]["content"]), ("done", &json!("one")));
    for (turn, last, status) in [("3", "0", 404), ("0", "0", 404), ("x", "0", 400), ("1", "x", 400)]
    {
        assert_eq!(again(&house, turn, last).await.0.as_u16(), status, "{turn} after {last}");
    }
}

#[tokio::test]
async fn a_background_turn_is_polled_listened_to_and_cancelled() {
    let (house, _mock) = slow().await;
    let body = json!({"message": "spell", "background": true});
    let begun = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    let begun = begun.json();
    let poll = begun["poll"].as_str().unwrap();
    assert_eq!(house.call("GET", poll).await.json()["status"], "running");
    let stream = house.call("GET", begun["stream"].as_str().unwrap()).await;
    assert_eq!(said(&stream.text), "abcde");
    assert_eq!(house.call("GET", poll).await.json()["text"], "abcde");

    let second = house.post("/api/v1/contexts/c/turns", &body).await.json();
    let cancelled = house.call("POST", second["cancel"].as_str().unwrap()).await.json();
    assert_eq!(cancelled["cancelled"], true);
    let (_, told) = again(&house, "2", "0").await;
    assert!(told.contains("event: error") && told.contains("\"cancelled\""), "{told}");
    let failed = house.call("GET", second["poll"].as_str().unwrap()).await.json();
    assert_eq!((&failed["status"], &failed["code"]), (&json!("failed"), &json!("cancelled")));
}

#[tokio::test]
async fn json_lines_wait_for_a_turn_that_was_begun_before() {
    let (house, _mock) = slow().await;
    drop(hang_up_after(&house, "\"a\"").await);
    let answer = house.raw(b"{\"sessionId\":\"c\",\"resume\":true}\n").await;
    let answer: Value = serde_json::from_str(answer.trim()).unwrap();
    assert_eq!(answer["response"], "abcde");
    let answer = house.raw(b"{\"sessionId\":\"c\",\"resume\":{\"turn\":9}}\n").await;
    assert!(answer.contains("there is no turn 9"), "{answer}");
    let answer = house.raw(b"{\"sessionId\":\"c\",\"resume\":7}\n").await;
    assert!(answer.contains("`resume`"), "{answer}");
}

const SLOW: &str =
    "default.fragments = [\"a\", \"b\", \"c\", \"d\", \"e\"]\ndefault.pause_ms = 100";

#[tokio::test]
async fn a_stream_goes_on_whatever_the_upstream_speaks() {
    for upstream in matrix::UPSTREAMS {
        let (_mock, house) = matrix::town(upstream, SLOW).await;
        house.post("/api/v1/contexts", &json!({"id": "c", "settings": {"model": "m"}})).await;
        let heard = hang_up_after(&house, "\"b\"").await;
        let last = ids(&heard).pop().unwrap();
        let (status, rest) = again(&house, "last", &last.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{upstream}: {rest}");
        assert_eq!(said(&heard) + &said(&rest), "abcde", "{upstream}: {heard}\n{rest}");
        let numbers = [ids(&heard), ids(&rest)].concat();
        let expected = (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers, expected, "{upstream}");
        // Whoever follows the context instead hears both messages, and only once.
        let path = "/api/v1/contexts/c/messages";
        let stored = house.call("GET", path).await.json()["messages"].clone();
        assert_eq!(stored.as_array().unwrap().len(), 2, "{upstream}: {stored}");
    }
}

#[tokio::test]
async fn a_background_turn_of_a_server_that_died_is_told_as_failed_and_can_be_retried() {
    let (mock, folder) = (slow().await.1, tempfile::tempdir().unwrap());
    let settings = || gateway::settings::Settings {
        providers: vec![crate::house::claude(mock.addr())],
        ..gateway::settings::Settings::default()
    };
    let house = House::at(settings(), folder.path()).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let asked = json!({"message": "spell", "background": true});
    let answer = house.post("/api/v1/contexts/c/turns", &asked).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    // From here on nothing reaches the store, as if the process were gone.
    house.database.close().await.unwrap();
    drop(house);
    let house = House::at(settings(), folder.path()).await;
    let told = house.call("GET", "/api/v1/contexts/c/turns/1").await.json();
    assert_eq!(
        (&told["status"], &told["question"]["content"]),
        (&json!("failed"), &json!("spell"))
    );
    let again = house.post("/api/v1/contexts/c/turns/retry", &json!({})).await;
    assert_eq!(
        (again.status, &again.json()["text"]),
        (StatusCode::OK, &json!("abcde")),
        "{again:?}"
    );
}
