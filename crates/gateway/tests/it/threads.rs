//! Anthropic's message threads: only new messages are sent, whatever model answers.

use gateway::settings::{ProviderSettings, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House, claude};

const MODEL: &str = "claude-3-opus-20240229";
const BETA: (&str, &str) = ("anthropic-beta", "message-threads-2026-08-12");

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let other = ProviderSettings {
        models: vec!["gpt-x".into()],
        retries: 0,
        ..ProviderSettings::new("other", "openai_chat", &format!("http://{}/v1", mock.addr()))
    };
    let settings = Settings { providers: vec![claude(mock.addr()), other], ..Settings::default() };
    (mock, House::with(settings).await)
}

fn body(text: &str, thread: &Value) -> Value {
    json!({"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": text}],
           "thread": thread})
}

fn after(id: &str) -> Value {
    json!({"type": "continue", "previous_message_id": id})
}

async fn send(house: &House, body: &Value) -> Answer {
    house
        .with_headers("POST", "/v1/messages", &[BETA, ("anthropic-version", "2026-10-21")], body)
        .await
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thread_keeps_what_was_said_with_its_instructions_and_tools() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let mut create = body("one", &json!({"type": "create"}));
    // What only the caller's own headers would make valid is not sent, and named.
    create["context_management"] = json!({"edits": []});
    create["system"] = json!("be kind");
    create["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    let created = send(&house, &create).await;
    assert_eq!(created.header("x-rapport-dropped"), "context_management", "{created:?}");
    assert!(mock.requests().pop().unwrap().json().get("context_management").is_none());
    let first = id(&created);
    assert!(first.starts_with("msg_"), "{first}");
    let second = id(&send(&house, &body("two", &after(&first))).await);
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    assert!(sent["system"].to_string().contains("be kind"), "{sent}");
    assert_eq!((&sent["tools"][0]["name"], sent.get("thread")), (&json!("look"), None), "{sent}");
    // Another provider goes on with it, streamed.
    let mut third = body("three", &after(&second));
    third["model"] = json!("gpt-x");
    third["stream"] = json!(true);
    let streamed = send(&house, &third).await;
    assert!(
        streamed.text.contains(r#""text":"3""#) && streamed.text.contains("message_stop"),
        "{streamed:?}"
    );
    let sent = mock.requests().pop().unwrap();
    assert!(sent.path.contains("chat/completions"), "{}", sent.path);
    assert_eq!(sent.json()["messages"].as_array().unwrap().len(), 6, "{}", sent.json());
    // It is a context: read, and deleted, by the other doors.
    let seen = house.call("GET", &format!("/api/v1/contexts/{second}")).await.json();
    assert_eq!((&seen["size"]["messages"], &seen["parent"]), (&json!(4), &json!(first)), "{seen}");
    assert!(seen["expires_at"].is_string(), "{seen}");
    house.call("DELETE", &format!("/api/v1/contexts/{first}")).await;
    id(&send(&house, &body("still there", &after(&second))).await);
}

#[tokio::test]
async fn what_a_thread_cannot_do_is_said_by_the_codes_its_clients_know() {
    let (_mock, house) = start("default.text = \"answer\"").await;
    let first = id(&send(&house, &body("one", &json!({"type": "create"}))).await);
    let code = |answer: &Answer| answer.json()["error"]["details"]["error_code"].clone();
    for lost in ["msg_nobody", "conv_1", ""] {
        let answer = send(&house, &body("x", &after(lost))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
        assert_eq!(code(&answer), "thread_not_found", "{answer:?}");
    }
    let mut again = body("x", &after(&first));
    again["system"] = json!("other");
    let answer = send(&house, &again).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("`system`"));
    for wrong in [json!({"type": "fork"}), json!("create"), json!({"type": "continue"})] {
        let answer = send(&house, &body("x", &wrong)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("`thread`"));
    }
    // A context that is no thread is not one by its name.
    house.post("/api/v1/contexts", &json!({"id": "msg_mine"})).await;
    let answer = send(&house, &body("x", &after("msg_mine"))).await;
    assert_eq!(code(&answer), "thread_not_found", "{answer:?}");
    // Without the field the header changes nothing.
    let mut plain = body("x", &Value::Null);
    plain.as_object_mut().unwrap().shift_remove("thread");
    let answer = send(&house, &plain).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.header("x-rapport-context").is_empty(), "{answer:?}");
}
