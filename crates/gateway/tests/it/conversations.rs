//! OpenAI's conversations, item by item: every kind of item is listed, found and taken out.

use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;

const MODEL: &str = "claude-3-opus-20240229";

async fn start() -> (Mock, House) {
    let script = Script::parse("default.text = \"answer {n}\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

async fn made(house: &House, items: Value) -> String {
    let made = house.post("/v1/conversations", &json!({"items": items})).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn listed(house: &House, id: &str) -> Vec<Value> {
    let path = format!("/v1/conversations/{id}/items?order=asc&limit=100");
    let list = house.call("GET", &path).await.json();
    list["data"].as_array().unwrap_or_else(|| panic!("{list}")).clone()
}

#[tokio::test]
async fn every_kind_of_item_is_listed_and_found_by_its_id() {
    let (_mock, house) = start().await;
    let picture = json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA"});
    let id = made(
        &house,
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "what is this?"}, picture]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "feel", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
            {"type": "function_call_output", "call_id": "c2", "output": "soft"},
            {"type": "message", "role": "assistant", "id": "msg_of_theirs", "status": "completed",
             "content": [{"type": "output_text", "text": "A cat.", "annotations": []}]},
        ]),
    )
    .await;
    let items = listed(&house, &id).await;
    let kinds: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    let want = [
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ];
    assert_eq!(kinds, want, "{items:?}");
    assert_eq!(items[0]["content"][1]["type"], "input_image");
    let mut ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    for (item, one) in items.iter().zip(&ids) {
        let found = house.call("GET", &format!("/v1/conversations/{id}/items/{one}")).await;
        assert_eq!(&found.json(), item, "{one}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "every id once");
    for one in ["msg_99_0", "nobody", "msg_1_7"] {
        let missing = house.call("GET", &format!("/v1/conversations/{id}/items/{one}")).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
        assert!(missing.json()["error"]["message"].as_str().unwrap().contains(one));
    }
}

#[tokio::test]
async fn an_item_that_was_taken_out_is_not_told_any_more() {
    let (mock, house) = start().await;
    let say = |role: &str, text: &str| json!({"type": "message", "role": role, "content": text});
    let id = made(
        &house,
        json!([
            say("user", "one"),
            say("assistant", "two"),
            say("user", "three"),
            say("assistant", "four")
        ]),
    )
    .await;
    let items = listed(&house, &id).await;
    let gone = items[1]["id"].as_str().unwrap();
    let path = format!("/v1/conversations/{id}/items/{gone}");
    let after = house.call("DELETE", &path).await;
    assert_eq!((after.status, &after.json()["id"]), (StatusCode::OK, &json!(id)), "{after:?}");
    let texts = |items: &[Value]| -> Vec<String> {
        items.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&listed(&house, &id).await), ["one", "three", "four"]);
    let body = json!({"model": MODEL, "input": "five", "conversation": id});
    house.post("/v1/responses", &body).await;
    let sent = mock.requests().pop().unwrap().json().to_string();
    assert!(!sent.contains("two") && sent.contains("three"), "{sent}");
    assert_eq!(listed(&house, &id).await.len(), 5);
    // It is on a branch that was left, as the native API says.
    let branches = house.call("GET", &format!("/api/v1/contexts/{id}/branches")).await.json();
    assert!(branches.to_string().contains(gone), "{branches}");
    // One of several items of a message.
    let calls = json!([say("user", "go"),
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "feel", "arguments": "{}"}]);
    let id = made(&house, calls).await;
    let items = listed(&house, &id).await;
    let second = items[2]["id"].as_str().unwrap();
    house.call("DELETE", &format!("/v1/conversations/{id}/items/{second}")).await;
    let left = listed(&house, &id).await;
    assert_eq!((left.len(), &left[1]["name"]), (2, &json!("look")), "{left:?}");
}

#[tokio::test]
async fn a_conversation_is_refused_what_it_cannot_take() {
    let (_mock, house) = start().await;
    let id = made(&house, json!([])).await;
    let path = format!("/v1/conversations/{id}/items");
    let many: Vec<Value> = (0..21)
        .map(|n| json!({"type": "message", "role": "user", "content": format!("{n}")}))
        .collect();
    for (items, param) in [
        (json!([]), "items"),
        (json!(many), "items"),
        (json!([{"type": "message", "role": "pirate", "content": "x"}]), "items.0.role"),
        (json!([{"type": "message", "role": "user"}]), "items.0"),
        (json!(["text"]), "items.0"),
    ] {
        let refused = house.post(&path, &json!({"items": items})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(refused.json()["error"]["param"], param, "{refused:?}");
    }
    let refused = house.post("/v1/conversations", &json!({"metadata": [1]})).await;
    assert_eq!(refused.json()["error"]["param"], "metadata", "{refused:?}");
    for (method, path) in [
        ("GET", "/v1/conversations/conv_x"),
        ("DELETE", "/v1/conversations/conv_x"),
        ("GET", "/v1/conversations/conv_x/items"),
        ("DELETE", "/v1/conversations/conv_x/items/msg_1_0"),
    ] {
        let missing = house.call(method, path).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{method} {path}: {missing:?}");
        assert!(missing.json()["error"]["message"].as_str().unwrap().contains("conv_x"));
    }
    // New metadata stands for the old.
    let path = format!("/v1/conversations/{id}");
    house.post(&path, &json!({"metadata": {"a": "1", "b": "2"}})).await;
    let changed = house.post(&path, &json!({"metadata": {"b": "3"}})).await.json();
    assert_eq!(changed["metadata"], json!({"b": "3"}));
}
