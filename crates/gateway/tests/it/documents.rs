//! Conversations in and out over HTTP: documents of any size, whole or absent.

use axum::body::{Body, Bytes};
use gateway::settings::{Limits, Settings};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::house::{Answer, House};

const HEAD: &str = "{\"format\":\"rapport.context/1\",\"context\":{\"id\":\"d\"}}\n";

/// A body of so many lines of ten kilobytes, made while it is sent; `end` comes last.
fn lines(count: usize, end: Result<&'static str, &'static str>) -> Body {
    let line = json!({"role": "user", "content": "x".repeat(10_000)}).to_string() + "\n";
    let head = std::iter::once(Ok(Bytes::from_static(HEAD.as_bytes())));
    let lines = (0..count).map(move |_| Ok(Bytes::from(line.clone())));
    let end = std::iter::once(end.map(Bytes::from).map_err(std::io::Error::other));
    Body::from_stream(futures_util::stream::iter(head.chain(lines).chain(end)))
}

fn import(query: &str, accept: &str, body: Body) -> Request<Body> {
    Request::post(format!("/api/v1/import{query}"))
        .header("content-type", "application/x-ndjson")
        .header("accept", accept)
        .body(body)
        .unwrap()
}

async fn house(limits: Limits) -> House {
    House::with(Settings { limits, ..Settings::default() }).await
}

async fn exists(house: &House) -> bool {
    house.call("GET", "/api/v1/contexts/d").await.status == StatusCode::OK
}

/// The last event of a stream.
fn last(answer: &Answer) -> (String, Value) {
    let event = answer.text.trim_end().rsplit("\n\n").next().unwrap();
    let line = |name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    (line("event: "), serde_json::from_str(&line("data: ")).unwrap())
}

#[tokio::test]
async fn a_document_larger_than_any_body_comes_in_and_its_progress_is_told() {
    let house = house(Limits { body_bytes: 100_000, ..Limits::default() }).await;
    let answer = house.send(import("", "text/event-stream", lines(400, Ok("")))).await;
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let (event, done) = last(&answer);
    assert_eq!((event.as_str(), &done["messages"]), ("done", &json!(400)), "{done}");
    assert_eq!(done["contexts"][0]["id"], "d");
    let export = house.stream(
        Request::get("/api/v1/contexts/d/export?format=jsonl").body(Body::empty()).unwrap(),
    );
    let mut export = Body::from_stream(export.await);
    let mut bytes = 0;
    while let Some(part) = export.frame().await {
        let part = part.unwrap().into_data().unwrap();
        assert!(part.len() < 6_000_000, "{} bytes at once", part.len());
        bytes += part.len();
    }
    assert!(bytes > 4_000_000);
}

#[tokio::test]
async fn a_caller_that_hangs_up_in_the_middle_leaves_nothing() {
    let house = house(Limits::default()).await;
    for accept in ["application/json", "text/event-stream"] {
        let answer = house.send(import("", accept, lines(600, Err("gone")))).await;
        let fault = match accept {
            "application/json" => answer.json(),
            _ => last(&answer).1,
        };
        assert_eq!(fault["code"], "invalid_input", "{answer:?}");
        assert!(fault["error"].as_str().unwrap().contains("ended early"), "{fault}");
        assert!(!exists(&house).await);
    }
    let found = house.call("GET", "/api/v1/contexts?status=importing").await.json();
    assert_eq!(found["contexts"], json!([]), "{found}");
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_refused_and_leaves_nothing() {
    let house = house(Limits { import_bytes: 1_000_000, ..Limits::default() }).await;
    let answer = house.send(import("", "application/json", lines(400, Ok("")))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:?}");
    assert_eq!(answer.json()["details"]["limit_bytes"], 1_000_000);
    assert!(answer.json()["hint"].as_str().unwrap().contains("limits.import_bytes"));
    assert!(!exists(&house).await);
    let answer = house.send(import("", "application/json", lines(40, Ok("")))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}

#[tokio::test]
async fn a_silent_caller_is_not_waited_for() {
    let body_read = std::time::Duration::from_millis(50);
    let house = house(Limits { body_read, ..Limits::default() }).await;
    let head = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(HEAD))]);
    let silence = futures_util::stream::pending();
    let body = Body::from_stream(futures_util::StreamExt::chain(head, silence));
    let answer = house.send(import("", "application/json", body)).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (StatusCode::REQUEST_TIMEOUT, &json!("timeout"))
    );
    assert!(!exists(&house).await);
}

#[tokio::test]
async fn a_dry_run_and_broken_lines_are_told() {
    let house = house(Limits::default()).await;
    let answer = house.send(import("", "application/json", lines(2, Ok("{\"role\":")))).await;
    assert_eq!(answer.json()["details"]["place"], "line 4", "{answer:?}");
    let query = "?on_error=skip&dry_run=true";
    let answer = house.send(import(query, "application/json", lines(2, Ok("{\"role\":")))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let told = answer.json();
    assert_eq!((&told["messages"], &told["skipped"]), (&json!(2), &json!(1)));
    assert_eq!(told["broken"][0]["place"], "line 4");
    assert!(!exists(&house).await);
    for (query, field) in [("?on_error=maybe", "on_error"), ("?id=a&new_ids=true", "new_ids")] {
        let answer = house.send(import(query, "application/json", lines(1, Ok("")))).await;
        assert_eq!(answer.json()["details"]["field"], field, "{answer:?}");
    }
    let wrong = import("?id=a%20%2F%00", "application/json", lines(1, Ok("")));
    assert_eq!(house.send(wrong).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_export_names_what_it_leaves_out() {
    let house = house(Limits::default()).await;
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "dialect": "anthropic",
         "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                     {"type": "text", "text": "b"}]}]);
    let new = json!({"id": "d", "state": {"a": 1}, "messages": messages});
    assert_eq!(house.post("/api/v1/contexts", &new).await.status, StatusCode::CREATED);
    house.post("/api/v1/contexts/d/notes", &json!({"value": "rain"})).await;
    let chat = house.call("GET", "/api/v1/contexts/d/export?format=openai_chat").await;
    assert_eq!(chat.header("x-rapport-left-out"), "notes=1, state=1", "{chat:?}");
    assert_eq!(chat.header("x-rapport-dropped"), "thinking");
    let ours = house.call("GET", "/api/v1/contexts/d/export").await;
    assert_eq!((ours.header("x-rapport-left-out"), ours.header("x-rapport-dropped")), ("", ""));
    let path = "/api/v1/contexts/d/export?format=openai_chat&dry_run=true";
    let told = house.call("GET", path).await.json();
    assert_eq!(told["left_out"], json!({"notes": 1, "state": 1}));
    assert_eq!(told["dropped"], json!(["thinking"]));
}
