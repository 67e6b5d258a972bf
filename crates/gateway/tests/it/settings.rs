//! What callers set: slips are named, lifetimes have a limit, fields of the model's API arrive.

use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House};

#[track_caller]
fn refused(answer: &Answer, field: &str, says: &[&str]) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    let body = answer.json();
    let text = format!("{} {}", body["detail"], body["hint"]);
    for words in says {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(body["details"]["field"], field, "{body}");
}

async fn patch(house: &House, body: &Value) -> Answer {
    house.with_headers("PATCH", "/api/v1/contexts/c", &[], body).await
}

#[tokio::test]
async fn a_setting_that_nobody_knows_is_refused_with_the_one_that_was_meant() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let wrong = json!({"settings": {"redct": "write"}});
    let calls = [
        house.post("/api/v1/contexts", &wrong).await,
        patch(&house, &wrong).await,
        house.post("/api/v1/contexts/c/fork", &wrong).await,
    ];
    for answer in &calls {
        refused(answer, "settings.redct", &["`settings.redct` is not known", "`redact`"]);
    }
    let window = json!({"settings": {"window": {"stratgy": "full"}}});
    refused(&house.post("/api/v1/contexts", &window).await, "window.stratgy", &["strategy"]);
    let per_call = house
        .post("/api/v1/contexts/c/turns", &json!({"message": "x", "window": {"recal": 3}}))
        .await;
    refused(&per_call, "window.recal", &["recall"]);
    let turn = house.post("/api/v1/contexts/c/turns", &json!({"message": "x", "modle": "m"})).await;
    assert_eq!(turn.status, StatusCode::BAD_REQUEST);
    assert!(turn.text.contains("modle") && turn.text.contains("model"), "{turn:?}");
    // Nothing was made or changed by any of it.
    let list = house.call("GET", "/api/v1/contexts").await.json();
    assert_eq!(list["contexts"].as_array().unwrap().len(), 1, "{list}");
    // What is `null` is taken back, whatever it is called.
    let taken = json!({"settings": {"redct": null}});
    let answer = patch(&house, &taken).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn fields_of_the_models_api_arrive_known_or_set_apart() {
    let script = Script::parse("default.text = \"hello\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    let settings = json!({"top_k": 7, "parameters": {"brand_new": {"deep": [1]}}});
    let made = house.post("/api/v1/contexts", &json!({"id": "c", "settings": settings})).await;
    assert_eq!(made.json()["settings"], settings, "what was set is shown as it was set");
    let turn = house.post("/api/v1/contexts/c/turns", &json!({"message": "hi"})).await;
    assert_eq!(turn.status, StatusCode::OK, "{turn:?}");
    let sent: Value = serde_json::from_slice(&mock.requests().last().unwrap().body).unwrap();
    assert_eq!((&sent["top_k"], &sent["brand_new"]), (&json!(7), &json!({"deep": [1]})), "{sent}");
    assert!(sent.get("parameters").is_none(), "{sent}");
}

#[tokio::test]
async fn a_lifetime_beyond_the_calendar_is_refused_everywhere() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for seconds in [99_999_999_999_999_999_u64, u64::MAX, 3_155_760_001] {
        for field in ["expires_in_seconds", "idle_seconds"] {
            let body = json!({field: seconds});
            let says = [field, &seconds.to_string(), "3155760000", "for ever"];
            refused(&house.post("/api/v1/contexts", &body).await, field, &says);
            refused(&patch(&house, &body).await, field, &says);
            refused(&house.post("/api/v1/contexts/c/fork", &body).await, field, &says);
        }
        let field = "expires_in_seconds";
        let says = [field, "3155760000"];
        let note = json!({"value": "x", field: seconds});
        refused(&house.post("/api/v1/contexts/c/notes", &note).await, field, &says);
        let share = json!({ field: seconds });
        refused(&house.post("/api/v1/contexts/c/share", &share).await, field, &says);
        let key = json!({"name": "k", field: seconds});
        refused(&house.post("/api/v1/keys", &key).await, field, &says);
    }
    let most = json!({"id": "d", "expires_in_seconds": 3_155_760_000_u64});
    let made = house.post("/api/v1/contexts", &most).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let year: u32 = made.json()["expires_at"].as_str().unwrap()[..4].parse().unwrap();
    assert!(year > 2100, "{made:?}");
}
