//! Turns of real models, against a model server: what is sent, what is kept, what failure means.

use gateway::flow;
use http::StatusCode;
use mock::{Block, Mock, Reply, Script, Thinking};
use serde_json::{Value, json};

use crate::house::{House, claude};
use crate::native::events;

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

async fn context(house: &House, extra: Value) -> String {
    let made = house.post("/api/v1/contexts", &extra).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn say(house: &House, id: &str, text: &str) -> Value {
    let path = format!("/mcp/context/{id}/message");
    house.post(&path, &json!({"message": text})).await.json()
}

#[tokio::test]
async fn the_upstream_sees_the_whole_history_and_the_reply_is_kept() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let made = house.call("POST", "/mcp/context").await.json();
    let id = made["context_id"].as_str().unwrap();
    assert_eq!(say(&house, id, "one").await["ai_response"], "answer 1");
    say(&house, id, "two").await;
    let sent = mock.requests();
    let second = sent.last().unwrap();
    assert_eq!((second.method.as_str(), second.path.as_str()), ("POST", "/v1/messages"));
    assert_eq!(second.header("x-api-key"), Some("sk-ant-secret"));
    assert_eq!(second.header("anthropic-version"), Some("2023-06-01"));
    let body = second.json();
    assert_eq!(
        body,
        json!({"model": "claude-3-opus-20240229", "max_tokens": 1024, "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "answer 1"},
            {"role": "user", "content": "two"},
        ], "cache_control": {"type": "ephemeral"}})
    );
}

#[tokio::test]
async fn settings_lose_to_the_request_and_the_state_is_told_once() {
    let (mock, house) = start("default.text = \"ok\"").await;
    let settings = json!({"system": "be kind", "settings": {"temperature": 0.5, "max_tokens": 7}});
    let id = context(&house, settings).await;
    let path = format!("/api/v1/contexts/{id}/turns");
    house.post(&path, &json!({"message": "a", "max_tokens": 9, "state": {"city": "Rome"}})).await;
    house.post(&path, &json!({"message": "b"})).await;
    let sent: Vec<Value> = mock.requests().iter().map(|r| r.json()).collect();
    let mark = json!({"type": "ephemeral"});
    let block = json!({"type": "text", "text": "be kind", "cache_control": mark});
    assert_eq!(sent[0]["system"], json!([block]));
    assert_eq!((&sent[0]["max_tokens"], &sent[1]["max_tokens"]), (&json!(9), &json!(7)));
    assert_eq!(sent[0]["temperature"], 0.5);
    let told = "a\n\n<context_state>\n{\"city\":\"Rome\"}\n</context_state>";
    assert_eq!(sent[0]["messages"][0]["content"], told);
    // The second request begins with the bytes of the first, and the state is no news any more.
    assert_eq!(sent[1]["messages"][0]["content"], told);
    assert_eq!(sent[1]["messages"][2]["content"], "b");
    let shown = house.call("GET", &format!("/api/v1/contexts/{id}/messages")).await.json();
    assert_eq!(shown["messages"][0]["content"], "a");
    let window = house.call("GET", &format!("/api/v1/contexts/{id}/window")).await;
    assert!(!window.text.contains("sk-ant-secret"), "{window:?}");
    assert_eq!(window.json()["body"]["messages"][0]["content"], told);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_503_with_the_apology_and_the_turn_can_be_retried() {
    let (mock, house) = start("default.text = \"late\"").await;
    mock.set_script(Script::always(Reply::status(529)));
    let id = context(&house, json!({})).await;
    let path = format!("/mcp/context/{id}/message");
    let answer = house.post(&path, &json!({"message": "hello?"})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.json();
    assert_eq!(body["code"], "upstream_unavailable");
    assert_eq!(
        body["ai_response"],
        "I'm sorry, I'm having trouble connecting to the AI at the moment."
    );
    let kept = house.call("GET", &format!("/api/v1/contexts/{id}/messages")).await.json();
    let kept = kept["messages"].as_array().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0]["content"], &kept[0]["status"]), (&json!("hello?"), &json!("failed")));
    mock.set_script(Script::always(Reply::text("here")));
    let retry = house.call("POST", &format!("/api/v1/contexts/{id}/turns/retry")).await;
    assert_eq!(retry.json()["text"], "here", "{retry:?}");
    let sent = mock.requests().last().unwrap().json();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "hello?"}]));
    let none = house.call("POST", &format!("/api/v1/contexts/{id}/turns/retry")).await;
    assert_eq!(none.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_failed_question_is_not_sent_again_with_the_next_one() {
    let (mock, house) = start("default.text = \"fine\"").await;
    mock.set_script(Script::always(Reply::status(500)));
    let id = context(&house, json!({})).await;
    say(&house, &id, "lost").await;
    mock.set_script(Script::always(Reply::text("fine")));
    say(&house, &id, "next").await;
    let sent = mock.requests().last().unwrap().json();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "next"}]));
}

#[tokio::test]
async fn thinking_and_unknown_blocks_go_back_byte_for_byte() {
    let odd = r#"{"type":"odd_block","b":1,"a":[1.50,"\u00e9"]}"#;
    let reply = Reply {
        thinking: Some(Thinking { text: "hm".into(), signature: "c2ln".into() }),
        blocks: vec![Block::parse(odd).unwrap()],
        ..Reply::text("done")
    };
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::always(reply)).await.unwrap();
    let house = House::before(mock.addr()).await;
    let id = context(&house, json!({})).await;
    say(&house, &id, "one").await;
    say(&house, &id, "two").await;
    let sent = mock.requests();
    let body = String::from_utf8(sent.last().unwrap().body.to_vec()).unwrap();
    assert!(body.contains(odd), "{body}");
    assert!(body.contains(r#""signature":"c2ln""#), "{body}");
}

#[tokio::test]
async fn a_cut_stream_is_an_error_event_and_what_came_is_kept() {
    let (_mock, house) =
        start("default.fragments = [\"one \", \"two \", \"three\"]\ndefault.cut_at = 700").await;
    let id = context(&house, json!({})).await;
    let path = format!("/api/v1/contexts/{id}/turns");
    let answer = house.post(&path, &json!({"message": "count", "stream": true})).await;
    assert_eq!(answer.status, StatusCode::OK);
    let events = events(&answer.text);
    let (name, error) = events.last().unwrap();
    assert_eq!(name, "error", "{}", answer.text);
    assert_eq!((&error["blame"], error["request_id"].is_string()), (&json!("upstream"), true));
    let kept = house.call("GET", &format!("/api/v1/contexts/{id}/messages")).await.json();
    let said: String = events
        .iter()
        .filter(|e| e.0 == "delta")
        .map(|e| e.1["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(!said.is_empty(), "the cut came too early: {}", answer.text);
    assert_eq!(kept["messages"][0]["status"], "failed");
    assert_eq!(kept["messages"][1]["status"], "partial");
    assert_eq!(kept["messages"][1]["content"], said);
}

#[tokio::test]
async fn a_caller_who_hangs_up_loses_nothing() {
    let (mock, house) =
        start("default.fragments = [\"slow \", \"answer\"]\ndefault.pause_ms = 20").await;
    let id = context(&house, json!({})).await;
    let path = format!("/api/v1/contexts/{id}/turns");
    {
        let ask = json!({"message": "wait"});
        let send = house.post(&path, &ask);
        tokio::select! {
            answer = send => panic!("the answer was faster than the hang-up: {answer:?}"),
            () = mock.seen(1) => {}
        }
    }
    house.gate.shutdown(std::time::Duration::from_secs(10)).await;
    let kept = house.call("GET", &format!("/api/v1/contexts/{id}/messages")).await.json();
    assert_eq!(kept["messages"][1]["content"], "slow answer");
    assert_eq!(kept["messages"][1]["status"], "complete");
}

#[tokio::test]
async fn a_cancelled_turn_ends_at_once_and_a_reject_policy_refuses_a_second() {
    let (mock, house) = start("default.fault = \"hang\"").await;
    let settings = json!({"id": "c", "settings": {"when_busy": "reject"}});
    context(&house, settings).await;
    let body = json!({"message": "wait"});
    let ask = house.post("/api/v1/contexts/c/turns", &body);
    let meanwhile = async {
        mock.seen(1).await;
        let second = house.post("/api/v1/contexts/c/turns", &json!({"message": "me"})).await;
        assert_eq!(second.status, StatusCode::CONFLICT, "{second:?}");
        let local = json!({"session_id": "c", "message": "me", "model": "echo"});
        let local = house.post("/api/mcp/interact", &local).await;
        assert_eq!(local.status, StatusCode::CONFLICT, "{local:?}");
        house.call("POST", "/api/v1/contexts/c/turns/cancel").await
    };
    let (asked, cancelled) = tokio::join!(ask, meanwhile);
    assert_eq!(cancelled.json()["cancelled"], true);
    assert_eq!(
        (asked.status, asked.json()["code"].as_str()),
        (StatusCode::CONFLICT, Some("cancelled"))
    );
    let again = house.call("POST", "/api/v1/contexts/c/turns/cancel").await;
    assert_eq!(again.json()["cancelled"], false);
}

#[tokio::test]
async fn what_a_cancelled_model_had_said_is_kept() {
    let (_mock, house) =
        start("default.fragments = [\"half \", \"done\"]\ndefault.stall_at = 700").await;
    context(&house, json!({"id": "c"})).await;
    let (steps, mut came) = tokio::sync::mpsc::channel(8);
    let ask = flow::Ask {
        key: context::Key::new(context::Tenant(0), "c").unwrap(),
        create: false,
        before: Vec::new(),
        content: context::Content::Text("count".into()),
        state: None,
        remember_last: false,
        door: gateway::model::Door::Context,
        overrides: flow::Overrides::default(),
        idem: None,
        expect: None,
        envelope: flow::Envelope::default(),
        meta: context::Map::new(),
    };
    let meanwhile = async {
        while let Some(step) = came.recv().await {
            if matches!(step, flow::Step::Event(wire::event::Event::Text { .. })) {
                return house.call("POST", "/api/v1/contexts/c/turns/cancel").await;
            }
        }
        panic!("no text came");
    };
    let (turn, cancelled) =
        tokio::join!(flow::turn(&house.gate, ask, Some(steps)), Box::pin(meanwhile));
    assert_eq!(cancelled.json()["cancelled"], true);
    assert_eq!(turn.unwrap_err().code(), wire::Code::Cancelled);
    let kept = house.call("GET", "/api/v1/contexts/c/messages").await.json();
    assert_eq!(kept["messages"][1]["status"], "partial", "{kept}");
    assert_eq!(kept["messages"][1]["content"], "half ", "{kept}");
}

#[tokio::test]
async fn a_stage_that_takes_too_long_is_named() {
    let script = Script::parse("default.fault = \"hang\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let mut provider = claude(mock.addr());
    provider.deadlines.first_byte = std::time::Duration::from_millis(50);
    let settings = gateway::settings::Settings { providers: vec![provider], ..Default::default() };
    let house = House::with(settings).await;
    let id = context(&house, json!({})).await;
    let path = format!("/api/v1/contexts/{id}/turns");
    let answer = house.post(&path, &json!({"message": "wait"})).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    let body = answer.json();
    assert_eq!(
        (&body["details"]["stage"], &body["blame"]),
        (&json!("first_byte"), &json!("upstream"))
    );
}

#[tokio::test]
async fn a_long_conversation_is_cut_at_a_turn_and_the_reply_says_so() {
    let (mock, house) = start("default.text = \"ok\"").await;
    let id = context(&house, json!({"settings": {"window_tokens": 300}})).await;
    let path = format!("/api/v1/contexts/{id}/turns");
    let long = "many words that fill the window of the model ".repeat(8);
    let mut cut = Value::Null;
    for _ in 0..12 {
        let answer = house.post(&path, &json!({"message": long})).await.json();
        if !answer["window"]["cut"].is_null() {
            cut = answer["window"]["cut"].clone();
        }
    }
    assert!(cut["dropped_messages"].as_u64().unwrap() > 0, "{cut}");
    let sent = mock.requests().last().unwrap().json();
    let sent = sent["messages"].as_array().unwrap();
    assert!(sent.len() < 12 && sent[0]["role"] == "user", "{}", sent.len());
    let size = &house.call("GET", &format!("/api/v1/contexts/{id}")).await.json()["size"];
    assert_eq!(size["messages"], 24);
}

#[tokio::test]
async fn the_context_chooses_the_model_on_every_door() {
    let (mock, house) = start("default.text = \"from the model\"").await;
    context(&house, json!({"id": "off", "settings": {"model": "demo"}})).await;
    assert_eq!(
        say(&house, "off", "hello").await["ai_response"],
        "Hello there! How can I help you today?"
    );
    assert!(mock.requests().is_empty());
    let named = json!({"sessionId": "new", "message": "m", "model": "echo"});
    let reply = house.post("/api/mcp/interact", &named).await.json();
    assert!(reply["response"].as_str().unwrap().starts_with("Echo from MCP server"));
    let default =
        house.post("/api/mcp/interact", &json!({"sessionId": "n2", "message": "m"})).await;
    assert_eq!(default.json()["response"], "from the model");
}

#[tokio::test]
async fn profile_facts_and_environment_are_told_until_they_no_longer_hold() {
    let (mock, house) = start("default.text = \"ok\"").await;
    let patch = json!({"language": "Italian", "gone": null});
    let made = house.with_headers("PATCH", "/api/v1/profiles/ada", &[], &patch).await;
    assert_eq!(made.json()["profile"], json!({"language": "Italian"}));
    let id = context(&house, json!({"user": "ada"})).await;
    let notes = format!("/api/v1/contexts/{id}/notes");
    house.post(&notes, &json!({"value": "the shop is closed"})).await;
    house.post(&notes, &json!({"value": "over", "expires_in_seconds": 0})).await;
    let room = json!({"kind": "environment", "name": "temperature", "value": 19});
    house.post(&notes, &room).await;
    let room = json!({"kind": "environment", "name": "temperature", "value": 21});
    let number = house.post(&notes, &room).await.json()["number"].as_u64().unwrap();
    say(&house, &id, "hello").await;
    let told = |mock: &Mock| {
        let sent = mock.requests().last().unwrap().json();
        let last = sent["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        last.as_str().unwrap().to_owned()
    };
    let text = told(&mock);
    let block = text.split("<context_state>\n").nth(1).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(block.split('\n').next().unwrap()).unwrap(),
        json!({"profile": {"language": "Italian"}, "facts": ["the shop is closed"],
               "environment": {"temperature": 21}})
    );
    say(&house, &id, "and now?").await;
    assert_eq!(told(&mock), "and now?", "no news is told twice");
    house.call("DELETE", &format!("{notes}/{number}")).await;
    say(&house, &id, "again").await;
    assert!(!told(&mock).contains("temperature"));
    assert!(told(&mock).contains("the shop is closed"));
    // Another context of the same user is told the profile; a session may name its user.
    let session = json!({"sessionId": "s", "message": "m", "context": {"user_id": "ada"}});
    house.post("/api/mcp/interact", &session).await;
    assert!(told(&mock).contains("Italian"));
    let nameless = house.post(&notes, &json!({"kind": "environment", "value": 1})).await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
    assert_eq!(house.call("DELETE", "/api/v1/profiles/ada").await.status, StatusCode::OK);
    assert_eq!(house.call("GET", "/api/v1/profiles/ada").await.status, StatusCode::NOT_FOUND);
}
