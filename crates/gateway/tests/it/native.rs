//! The native API: revisions, idempotency, streams, filters, and what a hostile page gets.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn a_revision_that_moved_on_refuses_the_write() {
    let house = House::new().await;
    let made = house.post("/api/v1/contexts", &json!({"id": "c", "state": {"b": 1, "a": 2}})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.header("location"), "/api/v1/contexts/c");
    let tag = made.header("etag").to_owned();
    let patch = json!({"b": null, "c": {"d": 3}});
    let path = "/api/v1/contexts/c/state";
    let changed = house.with_headers("PATCH", path, &[("if-match", &tag)], &patch).await;
    assert_eq!(changed.text, r#"{"a":2,"c":{"d":3}}"#);
    let stale = house.with_headers("PATCH", path, &[("if-match", &tag)], &patch).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let turn = house
        .with_headers(
            "POST",
            "/api/v1/contexts/c/turns",
            &[("if-match", &tag)],
            &json!({"message": "a"}),
        )
        .await;
    assert_eq!(turn.status, StatusCode::PRECONDITION_FAILED);
    let again = house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn no_write_of_any_kind_ignores_the_revision_it_expects() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c", "state": {"a": 1}})).await;
    house.post("/api/v1/contexts/c/turns", &json!({"message": "a"})).await;
    let share = house.post("/api/v1/contexts/c/share", &json!({})).await.json()["share"].clone();
    house.post("/api/v1/contexts/c/checkpoints", &json!({"name": "p"})).await;
    house.post("/api/v1/contexts/c/notes", &json!({"value": 1})).await;
    let before = house.call("GET", "/api/v1/contexts/c").await;
    let stale = [("if-match", "\"1\"")];
    let end_share = format!("share/{share}");
    for (method, path, body) in [
        ("PATCH", "", json!({"title": "t"})),
        ("DELETE", "", json!(null)),
        ("POST", "close", json!({})),
        ("POST", "messages", json!({"role": "user", "content": "b"})),
        ("POST", "turns/retry", json!({})),
        ("PUT", "state", json!({})),
        ("POST", "state/restore", json!({"change": 1})),
        ("POST", "checkpoints", json!({"name": "q"})),
        ("DELETE", "checkpoints/p", json!(null)),
        ("POST", "rollback", json!({"to": 0})),
        ("POST", "notes", json!({"value": 2})),
        ("DELETE", "notes/1", json!(null)),
        ("PUT", "pins/1", json!(null)),
        ("DELETE", "pins/1", json!(null)),
        ("POST", "redact", json!({"all": true})),
        ("POST", "share", json!({})),
        ("DELETE", end_share.as_str(), json!(null)),
    ] {
        let path = format!("/api/v1/contexts/c/{path}");
        let answer = house.with_headers(method, path.trim_end_matches('/'), &stale, &body).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{method} {path}");
    }
    for path in ["/mcp/context/c", "/api/context/c"] {
        let answer = house.with_headers("DELETE", path, &stale, &json!(null)).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{path}");
    }
    let after = house.call("GET", "/api/v1/contexts/c").await;
    assert_eq!(after.text, before.text);
    let tag = after.header("etag").to_owned();
    let gone = house
        .with_headers("DELETE", "/api/v1/contexts/c", &[("if-match", &tag)], &json!(null))
        .await;
    assert_eq!(gone.status, StatusCode::OK);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let path = "/api/v1/contexts/c/turns";
    let key = [("idempotency-key", "k1")];
    let body = json!({"message": "hello"});
    let first = house.with_headers("POST", path, &key, &body).await.json();
    let second = house.with_headers("POST", path, &key, &body).await.json();
    assert_eq!((&first["text"], &first["turn"]), (&second["text"], &second["turn"]));
    assert_eq!((&first["replayed"], &second["replayed"]), (&json!(false), &json!(true)));
    let other = house.with_headers("POST", path, &key, &json!({"message": "bye"})).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    let streamed = [("idempotency-key", "k1"), ("accept", "text/event-stream")];
    let replay = house.with_headers("POST", path, &streamed, &body).await;
    assert_eq!(events(&replay.text).last().unwrap().1["text"], first["text"]);
    let size = &house.call("GET", "/api/v1/contexts/c").await.json()["size"];
    assert_eq!((&size["turns"], &size["messages"]), (&json!(1), &json!(2)));
    let made = house
        .with_headers("POST", "/api/v1/contexts", &[("idempotency-key", "k2")], &json!({}))
        .await;
    let same = house
        .with_headers("POST", "/api/v1/contexts", &[("idempotency-key", "k2")], &json!({}))
        .await;
    assert_eq!(made.json()["id"], same.json()["id"]);
}

#[tokio::test]
async fn a_stream_begins_flows_and_ends_with_the_whole_turn() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let body = json!({"message": "hello", "stream": true});
    let answer = house.post("/api/v1/contexts/c/turns", &body).await;
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let events = events(&answer.text);
    assert_eq!(events.first().unwrap().0, "start");
    let text: String = events
        .iter()
        .filter(|e| e.0 == "delta")
        .map(|e| e.1["text"].as_str().unwrap().to_owned())
        .collect();
    let (name, done) = events.last().unwrap();
    assert_eq!((name.as_str(), done["text"].as_str()), ("done", Some(text.as_str())));
    let missing = house.post("/api/v1/contexts/none/turns", &body).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let old = house
        .post("/api/mcp/interact", &json!({"sessionId": "i", "message": "m", "stream": true}))
        .await;
    let last = self::events(&old.text).pop().unwrap();
    assert_eq!(last.1["updatedContext"]["last_message"], "m");
}

#[tokio::test]
async fn wrong_bodies_name_the_field_and_store_nothing() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for (body, field) in [
        (json!({"message": 5}), "message"),
        (json!({"message": "a", "temperature": 9}), "temperature"),
        (json!({"message": "a", "max_tokens": "x"}), "max_tokens"),
        (json!({"message": "a", "colour": 1}), ""),
        (json!({}), "message"),
    ] {
        let answer = house.post("/api/v1/contexts/c/turns", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let named = answer.json()["details"]["field"].as_str().unwrap_or("").to_owned();
        assert!(field.is_empty() || named == field, "{body}: {answer:?}");
    }
    let settings = json!({"settings": {"temperature": "hot"}});
    let answer = house.post("/api/v1/contexts", &settings).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let size = &house.call("GET", "/api/v1/contexts/c").await.json()["size"];
    assert_eq!(size["messages"], 0);
    let dry = house.post("/api/v1/validate?for=turn", &json!({"message": 5})).await.json();
    assert_eq!(
        (&dry["valid"], &dry["problems"][0]["code"]),
        (&json!(false), &json!("invalid_input"))
    );
}

#[tokio::test]
async fn a_closed_context_is_read_only() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let closed = house.call("POST", "/api/v1/contexts/c/close").await.json();
    assert_eq!(closed["status"], "closed");
    let turn = house.post("/api/v1/contexts/c/turns", &json!({"message": "a"})).await;
    assert_eq!(
        (turn.status, turn.json()["code"].as_str()),
        (StatusCode::CONFLICT, Some("context_closed"))
    );
    assert_eq!(house.call("GET", "/api/v1/contexts/c").await.status, StatusCode::OK);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let house = House::new().await;
    for n in 0..5 {
        let user = if n % 2 == 0 { "even" } else { "odd" };
        house
            .post(
                "/api/v1/contexts",
                &json!({"id": format!("c{n}"), "user": user, "title": format!("T{n}")}),
            )
            .await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/contexts?limit=2&sort=created&order=asc{cursor}");
        let page = house.call("GET", &path).await.json();
        seen.extend(
            page["contexts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
    let odd = house.call("GET", "/api/v1/contexts?user=odd").await.json();
    assert_eq!(odd["contexts"].as_array().unwrap().len(), 2);
    assert_eq!(
        house.call("GET", "/api/v1/contexts?sort=colour").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        house.call("GET", "/api/v1/contexts?nonsense=1").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn hostile_pages_are_refused() {
    let house = House::new().await;
    for (name, value) in
        [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")]
    {
        let request =
            Request::post("/mcp/context").header(name, value).body(Body::empty()).unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(answer.json()["hint"].is_string());
    }
    let own = Request::post("/mcp/context")
        .header("host", "localhost:61900")
        .header("origin", "http://localhost:61900")
        .body(Body::empty())
        .unwrap();
    assert_eq!(house.send(own).await.status, StatusCode::CREATED);
}

/// The events of a stream: name and data.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|b| b.contains("data:"));
    blocks
        .map(|block| {
            let field = |name: &str| {
                let lines = block.lines().filter_map(|l| l.strip_prefix(name));
                lines.map(str::trim).collect::<Vec<_>>().join("\n")
            };
            (field("event:"), serde_json::from_str(&field("data:")).unwrap())
        })
        .collect()
}
