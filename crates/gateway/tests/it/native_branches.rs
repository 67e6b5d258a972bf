//! The native API of branches: fork, checkpoint, roll back, compare, merge, share.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::house::House;

async fn talk(house: &House, id: &str, messages: &[&str]) {
    for message in messages {
        let path = format!("/api/v1/contexts/{id}/messages");
        house.post(&path, &json!({"role": "user", "content": message})).await;
    }
}

async fn log(house: &House, id: &str) -> Vec<String> {
    let found = house.call("GET", &format!("/api/v1/contexts/{id}/messages")).await.json();
    let messages = found["messages"].as_array().unwrap();
    messages.iter().map(|m| m["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_fork_goes_its_own_way_and_names_its_parent() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "p", "state": {"a": 1}})).await;
    talk(&house, "p", &["one", "two", "three"]).await;
    let made = house.post("/api/v1/contexts/p/fork", &json!({"at": 2, "id": "f"})).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::CREATED, "/api/v1/contexts/f"));
    let made = made.json();
    assert_eq!((&made["parent"], &made["fork_seq"]), (&json!("p"), &json!(2)));
    assert_eq!(made["state"], json!({"a": 1}));
    talk(&house, "f", &["other"]).await;
    assert_eq!(log(&house, "f").await, ["one", "two", "other"]);
    let forks = house.call("GET", "/api/v1/contexts/p/branches").await.json();
    assert_eq!(forks["forks"][0]["id"], "f");
    let compared = house.call("GET", "/api/v1/contexts/p/compare?with=f").await.json();
    assert_eq!((&compared["shared"], &compared["right"]["own"]), (&json!(2), &json!(1)));

    let bare = house.call("POST", "/api/v1/contexts/p/fork").await;
    assert_eq!(bare.json()["fork_seq"], 3);
    let far = house.post("/api/v1/contexts/p/fork", &json!({"at": 9})).await;
    assert_eq!((far.status, &far.json()["details"]["head"]), (StatusCode::BAD_REQUEST, &json!(3)));
    let key = [("idempotency-key", "k")];
    let path = "/api/v1/contexts/p/fork";
    let first = house.with_headers("POST", path, &key, &json!({"at": 1})).await.json();
    let again = house.with_headers("POST", path, &key, &json!({"at": 1})).await.json();
    assert_eq!(first["id"], again["id"]);
}

#[tokio::test]
async fn a_rollback_can_be_undone_and_checkpoints_keep_the_state() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c", "state": {"step": 1}})).await;
    talk(&house, "c", &["one", "two"]).await;
    let path = "/api/v1/contexts/c/checkpoints";
    let point = house.post(path, &json!({"name": "safe", "note": "works"})).await;
    assert_eq!((point.status, &point.json()["seq"]), (StatusCode::CREATED, &json!(2)));
    assert_eq!(house.post(path, &json!({"name": "safe"})).await.status, StatusCode::CONFLICT);
    let patch = json!({"step": 2});
    house.with_headers("PATCH", "/api/v1/contexts/c/state", &[], &patch).await;
    talk(&house, "c", &["three"]).await;
    let forked = house.post("/api/v1/contexts/c/fork", &json!({"checkpoint": "safe"})).await;
    assert_eq!(forked.json()["fork_seq"], 2);

    let path = "/api/v1/contexts/c/rollback";
    let back = house.post(path, &json!({"checkpoint": "safe"})).await;
    assert_eq!(back.json()["state"], json!({"step": 1}));
    assert!(!back.header("etag").is_empty());
    talk(&house, "c", &["instead"]).await;
    assert_eq!(log(&house, "c").await, ["one", "two", "instead"]);
    let left = house.call("GET", "/api/v1/contexts/c/branches").await.json();
    assert_eq!((&left["left"][0]["messages"], &left["left"][0]["shared"]), (&json!(3), &json!(2)));
    let undone = house.post(path, &json!({"undo": true})).await.json();
    assert_eq!(undone["state"], json!({"step": 2}));
    assert_eq!(log(&house, "c").await, ["one", "two", "three"]);
    house.post(path, &json!({"to": 1})).await;
    assert_eq!(log(&house, "c").await, ["one"]);

    for wrong in [json!({}), json!({"to": 1, "undo": true}), json!({"colour": 1})] {
        assert_eq!(house.post(path, &wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let stale = house.with_headers("POST", path, &[("if-match", "\"1\"")], &json!({"to": 0})).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let gone = house.call("DELETE", "/api/v1/contexts/c/checkpoints/safe").await;
    assert_eq!(gone.status, StatusCode::OK);
    let missing = house.post(path, &json!({"checkpoint": "safe"})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_merge_lists_what_both_sides_changed() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "p", "state": {"city": "Rome"}})).await;
    talk(&house, "p", &["one"]).await;
    house.post("/api/v1/contexts/p/fork", &json!({"id": "f"})).await;
    talk(&house, "f", &["what about Oslo?"]).await;
    for (id, patch) in [("f", json!({"city": "Oslo", "days": 2})), ("p", json!({"city": "Bern"}))] {
        let path = format!("/api/v1/contexts/{id}/state");
        house.with_headers("PATCH", &path, &[], &patch).await;
    }
    let path = "/api/v1/contexts/p/merge";
    let refused = house.post(path, &json!({"from": "f", "on_conflict": "refuse"})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let conflict = &refused.json()["details"]["conflicts"][0];
    assert_eq!((&conflict["ours"], &conflict["theirs"]), (&json!("Bern"), &json!("Oslo")));
    let merged = house.post(path, &json!({"from": "f"})).await.json();
    assert_eq!(merged["context"]["state"], json!({"city": "Bern", "days": 2}));
    assert_eq!(merged["conflicts"][0]["path"], "/city");
    assert!(merged["message"]["content"].as_str().unwrap().contains("what about Oslo?"));
    assert_eq!(merged["message"]["meta"]["merge"]["context"], "f");
    let wrong = house.post(path, &json!({"from": "f", "on_conflict": "mine"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_share_opens_one_context_and_nothing_else() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c", "metadata": {"private": 1}})).await;
    talk(&house, "c", &["one", "two"]).await;
    let made = house.post("/api/v1/contexts/c/share", &json!({"upto": 1, "name": "Ada"})).await;
    assert_eq!((made.status, made.header("cache-control")), (StatusCode::CREATED, "no-store"));
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let listed = house.call("GET", "/api/v1/contexts/c/share").await;
    assert_eq!(listed.json()["shares"][0]["name"], "Ada");
    assert!(!listed.text.contains(&token));
    // From here on the port is closed to callers without a key.
    let scopes = catalog::Scopes::ALL;
    let new = catalog::NewKey {
        name: "test".into(),
        scopes,
        expires_in: None,
        models: catalog::ModelLimit::default(),
    };
    house.keys.create(new).await.unwrap();
    let get = async |path: &str, token: Option<&str>| {
        let mut request = Request::get(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let context = get("/api/v1/shared/context", Some(&token)).await.json();
    assert_eq!((&context["id"], &context["metadata"]), (&json!("c"), &Value::Null));
    let messages = get("/api/v1/shared/messages", Some(&token)).await.json();
    assert_eq!(messages["messages"].as_array().unwrap().len(), 1);
    let more = get("/api/v1/shared/messages?after=1", Some(&token)).await.json();
    assert_eq!(more["messages"], json!([]));
    for token in [None, Some("rap_share_x")] {
        let answer = get("/api/v1/shared/context", token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let inside = get("/api/v1/contexts/c", Some(&token)).await;
    assert_eq!(inside.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_context_goes_out_and_comes_in_again() {
    let house = House::new().await;
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let messages = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": call, "dialect": "openai_chat"},
    ]);
    let made = house.post("/api/v1/contexts", &json!({"id": "c", "messages": messages})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let chat = house.call("GET", "/api/v1/contexts/c/export?format=openai_chat").await.json();
    assert_eq!(chat["messages"][1], call);
    for format in ["rapport", "jsonl"] {
        let path = format!("/api/v1/contexts/c/export?format={format}");
        let document = house.call("GET", &path).await.text;
        house.call("DELETE", "/api/v1/contexts/c").await;
        let request = Request::post("/api/v1/import")
            .header("host", "localhost")
            .header(
                "content-type",
                if format == "jsonl" { "application/x-ndjson" } else { "application/json" },
            )
            .body(Body::from(document))
            .unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        assert_eq!(answer.json()["contexts"][0]["id"], "c");
        assert_eq!(
            house.call("GET", "/api/v1/contexts/c/export?format=openai_chat").await.json(),
            chat
        );
    }
    let system = json!({"role": "system", "content": "be kind"});
    let chat = json!({"messages": [system, {"role": "user", "content": "a"}]});
    let made = house.post("/api/v1/import", &chat).await.json();
    assert_eq!(made["contexts"][0]["messages"], 1);
    let wrong = house.post("/api/v1/import?format=csv", &chat).await;
    assert_eq!(wrong.json()["details"]["field"], "format");
    let unknown = house.post("/api/v1/import", &json!({"colour": 1})).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}
