//! Following a context by events, and turns that nobody waits for.

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;
use crate::native::events;

/// Reads a stream of events until one of this name has come.
async fn follow(house: &House, path: &str, last_id: Option<&str>, until: &str) -> String {
    let mut request = Request::get(path).header("host", "localhost");
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let mut body = house.stream(request.body(Body::empty()).unwrap()).await;
    let mut out = String::new();
    while let Some(part) = body.next().await {
        out.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
        if out.contains(&format!("event: {until}")) {
            return out;
        }
    }
    panic!("the stream ended without `{until}`: {out}");
}

fn messages(text: &str) -> Vec<(u64, String)> {
    events(text)
        .into_iter()
        .filter(|(name, _)| name == "message")
        .map(|(_, data)| {
            (data["seq"].as_u64().unwrap(), data["content"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_context_is_followed_from_any_number() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let path = "/api/v1/contexts/c/messages";
    for message in ["one", "two"] {
        house.post(path, &json!({"role": "user", "content": message})).await;
    }
    let told = follow(&house, "/api/v1/contexts/c/events", None, "context").await;
    assert_eq!(messages(&told), [(1, "one".to_owned()), (2, "two".to_owned())]);
    assert!(told.contains("id: 2"), "{told}");
    let rest = follow(&house, "/api/v1/contexts/c/events", Some("1"), "context").await;
    assert_eq!(messages(&rest), [(2, "two".to_owned())]);
    // What is written while somebody follows reaches them.
    let third = json!({"role": "user", "content": "three"});
    let (told, _) = tokio::join!(
        follow(&house, "/api/v1/contexts/c/events?after=2", None, "message"),
        house.post(path, &third),
    );
    assert_eq!(messages(&told), [(3, "three".to_owned())]);
    let (told, _) = tokio::join!(
        follow(&house, "/api/v1/contexts/c/events", None, "end"),
        house.call("POST", "/api/v1/contexts/c/close"),
    );
    assert!(told.contains("\"closed\""), "{told}");
    let wrong = house.call("GET", "/api/v1/contexts/c/events?after=soon").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let missing = house.call("GET", "/api/v1/contexts/none/events").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_background_turn_is_accepted_at_once_and_answered_in_the_context() {
    let script = Script::parse("default.text = \"at last\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let path = "/api/v1/contexts/c/turns";
    let answer = house.post(path, &json!({"message": "hello", "background": true})).await;
    assert!([StatusCode::ACCEPTED, StatusCode::OK].contains(&answer.status), "{answer:?}");
    house.gate.shutdown(std::time::Duration::from_secs(30)).await;
    let found = house.call("GET", "/api/v1/contexts/c/messages").await.json();
    assert_eq!(found["messages"][1]["content"], "at last");
    let context = house.call("GET", "/api/v1/contexts/c").await.json();
    assert_eq!(context["open_turn"], Value::Null);
    let body = json!({"message": "x", "background": true});
    let missing = house.post("/api/v1/contexts/none/turns", &body).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
