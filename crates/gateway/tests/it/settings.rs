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
    let year: u32 = made.json()["expires_at"].as_str().unwrap().get(..4).unwrap().parse().unwrap();
    assert!(year > 2100, "{made:?}");
}

#[tokio::test]
async fn a_state_is_read_as_it_was_and_brought_back() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c", "state": {"n": 0}})).await;
    for n in 1..=3 {
        let turn = json!({"message": "go on", "model": "echo", "state": {"n": n}});
        assert_eq!(house.post("/api/v1/contexts/c/turns", &turn).await.status, StatusCode::OK);
    }
    let get =
        async |rest: &str| house.call("GET", &format!("/api/v1/contexts/c/state{rest}")).await;
    assert_eq!(get("?at=3").await.json(), json!({"n": 2}));
    assert_eq!(get("?change=1").await.json(), json!({"n": 0}));
    let history = get("/history?limit=2").await.json();
    let newest = &history["changes"][0];
    assert_eq!((&newest["cause"], &newest["set"]), (&json!("turn"), &json!({"/n": 3})));
    assert_eq!((&newest["seq"], &history["next"]), (&json!(5), &json!("3")));
    assert_eq!(get("/history?before=3").await.json()["changes"].as_array().unwrap().len(), 2);
    let restore = "/api/v1/contexts/c/state/restore";
    let old = [("if-match", "\"1\"")];
    let answer = house.with_headers("POST", restore, &old, &json!({"at": 1})).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{answer:?}");
    assert_eq!(house.post(restore, &json!({"at": 1})).await.json(), json!({"n": 1}));
    for (body, says) in [(json!({}), "either"), (json!({"at": 1, "change": 1}), "either")] {
        let answer = house.post(restore, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.text.contains(says), "{answer:?}");
    }
    assert_eq!(get("?at=99").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get("?change=99").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/history?limit=0").await.status, StatusCode::BAD_REQUEST);
    let back = json!({"to": 2, "state": true});
    let rolled = house.post("/api/v1/contexts/c/rollback", &back).await.json();
    assert_eq!((&rolled["state"], &rolled["size"]["messages"]), (&json!({"n": 1}), &json!(2)));
    let wrong =
        house.post("/api/v1/contexts/c/rollback", &json!({"undo": true, "state": true})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{wrong:?}");
}
