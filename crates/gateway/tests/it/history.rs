//! Clients that send their whole history: only what is new is kept, and a changed one is a fork.

use gateway::settings::{ProviderSettings, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House, claude};

const MODEL: &str = "claude-3-opus-20240229";

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

fn message(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

/// `u:` and `a:` lines as messages.
fn talk(lines: &[&str]) -> Vec<Value> {
    let message = |line: &&str| match line.split_once(':').unwrap() {
        ("a", text) => message("assistant", text),
        ("s", text) => message("system", text),
        (_, text) => message("user", text),
    };
    lines.iter().map(message).collect()
}

async fn chat(house: &House, headers: &[(&str, &str)], lines: &[&str]) -> Answer {
    let body = json!({"model": MODEL, "messages": talk(lines)});
    let answer = house.with_headers("POST", "/v1/chat/completions", headers, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer
}

/// What is kept of a context, as lines.
async fn kept(house: &House, id: &str) -> Vec<String> {
    let list = house.call("GET", &format!("/api/v1/contexts/{id}/messages?limit=500")).await.json();
    let messages = list["messages"].as_array().unwrap_or_else(|| panic!("{list}"));
    let line = |m: &Value| {
        let role = m["role"].as_str().unwrap();
        format!("{}:{}", role.chars().next().unwrap(), m["content"].as_str().unwrap_or("?"))
    };
    messages.iter().map(line).collect()
}

async fn contexts(house: &House) -> usize {
    house.call("GET", "/api/v1/contexts").await.json()["contexts"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_history_that_is_sent_again_is_kept_once() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let own = [("x-rapport-context", "c")];
    let mut lines = vec!["s:be kind".to_owned()];
    for turn in 1..=5 {
        lines.push(format!("u:question {turn}"));
        let sent: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = chat(&house, &own, &sent).await;
        assert_eq!(answer.header("x-rapport-context"), "c");
        lines.push(format!("a:answer {turn}"));
    }
    assert_eq!(kept(&house, "c").await, lines[1..], "each message once, instructions not at all");
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 9, "{sent}");
    assert!(sent["system"].to_string().contains("be kind"), "{sent}");
    // The same client, tired of sending all of it.
    chat(&house, &own, &["u:question 6"]).await;
    assert_eq!(kept(&house, "c").await.len(), 12);
    // Another one that leaves out what is old.
    chat(&house, &own, &["u:question 6", "a:answer 6", "u:question 7"]).await;
    assert_eq!(kept(&house, "c").await.len(), 14);
    assert_eq!(contexts(&house).await, 1);
}

#[tokio::test]
async fn a_history_from_elsewhere_is_taken_over_whole() {
    let (mock, house) = start("default.text = \"answer\"").await;
    let own = [("x-rapport-context", "c")];
    chat(&house, &own, &["u:one", "a:two", "u:three"]).await;
    assert_eq!(kept(&house, "c").await, ["u:one", "a:two", "u:three", "a:answer"]);
    assert_eq!(mock.requests().pop().unwrap().json()["messages"].as_array().unwrap().len(), 3);
    // Several messages, none of them the model's, are all new.
    chat(&house, &own, &["u:four", "u:five"]).await;
    assert_eq!(kept(&house, "c").await[4..], ["u:four", "u:five", "a:answer"]);
}

#[tokio::test]
async fn a_changed_history_goes_on_in_a_fork_that_is_found_again() {
    let (_mock, house) = start("default.text = \"answer {n}\"").await;
    let own = [("x-rapport-context", "c")];
    chat(&house, &own, &["u:one"]).await;
    chat(&house, &own, &["u:one", "a:answer 1", "u:two"]).await;
    let before = kept(&house, "c").await;
    // The user edits the second question.
    let edited = ["u:one", "a:answer 1", "u:other two"];
    let fork = chat(&house, &own, &edited).await.header("x-rapport-context").to_owned();
    assert!(fork.starts_with("c~"), "{fork}");
    assert_eq!(kept(&house, "c").await, before, "the old one is as it was");
    let lines = ["u:one", "a:answer 1", "u:other two", "a:answer 3"];
    assert_eq!(kept(&house, &fork).await, lines);
    let seen = house.call("GET", &format!("/api/v1/contexts/{fork}")).await.json();
    assert_eq!((&seen["parent"], &seen["fork_seq"]), (&json!("c"), &json!(2)), "{seen}");
    // The client knows nothing of the fork and goes on in it all the same.
    let more = [&lines[..], &["u:three"]].concat();
    let again = chat(&house, &own, &more).await;
    assert_eq!(again.header("x-rapport-context"), fork);
    assert_eq!(kept(&house, &fork).await.len(), 6);
    // And the first one is still gone on with by its own history.
    let first = [&["u:one", "a:answer 1", "u:two", "a:answer 2"][..], &["u:x"]].concat();
    assert_eq!(chat(&house, &own, &first).await.header("x-rapport-context"), "c");
    assert_eq!(contexts(&house).await, 2, "one fork, not one for each call");
}

#[tokio::test]
async fn an_answer_that_is_wanted_anew_is_a_fork_and_a_repeated_call_is_not() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let own = [("x-rapport-context", "c"), ("idempotency-key", "k1")];
    let lines = ["u:one", "a:yes", "u:two"];
    let first = chat(&house, &own, &lines).await;
    let again = chat(&house, &own, &lines).await;
    assert_eq!(first.json()["choices"], again.json()["choices"]);
    assert_eq!((mock.requests().len(), contexts(&house).await), (1, 1), "asked once");
    let other = [("x-rapport-context", "c"), ("idempotency-key", "k2")];
    let anew = chat(&house, &other, &lines).await;
    assert!(anew.header("x-rapport-context").starts_with("c~"), "{anew:?}");
    assert_eq!(kept(&house, "c").await[3], "a:answer 1");
}

#[tokio::test]
async fn calls_at_once_never_mix_their_histories() {
    let (_mock, house) = start("default.text = \"answer\"").await;
    let own = [("x-rapport-context", "c")];
    chat(&house, &own, &["u:one"]).await;
    let sent: Vec<[String; 3]> =
        (0..8).map(|n| ["u:one".into(), "a:answer".into(), format!("u:branch {n}")]).collect();
    let calls = sent.iter().map(|lines| async {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        chat(&house, &own, &lines).await.header("x-rapport-context").to_owned()
    });
    let ids = futures_util::future::join_all(calls).await;
    for (n, id) in ids.iter().enumerate() {
        let want = ["u:one", "a:answer", &format!("u:branch {n}"), "a:answer"];
        assert_eq!(kept(&house, id).await, want, "{ids:?}");
    }
    assert_eq!(contexts(&house).await, 8);
}

#[tokio::test]
async fn a_tools_session_names_its_own_context() {
    let (_mock, house) = start("default.text = \"answer\"").await;
    let session = |id: &'static str| [("x-rapport-context", "auto"), ("x-session-id", id)];
    let one = chat(&house, &session("s1"), &["u:one"]).await;
    let id = one.header("x-rapport-context").to_owned();
    assert!(id.starts_with("auto-"), "{id}");
    let two = chat(&house, &session("s1"), &["u:one", "a:answer", "u:two"]).await;
    assert_eq!(two.header("x-rapport-context"), id);
    let other = chat(&house, &session("s2"), &["u:one"]).await;
    assert_ne!(other.header("x-rapport-context"), id);
    // Without a session the beginning of the conversation names it.
    let bare = [("x-rapport-context", "auto")];
    let first = chat(&house, &bare, &["s:kind", "u:hello"]).await;
    let next = chat(&house, &bare, &["s:kind", "u:hello", "a:answer", "u:more"]).await;
    assert_eq!(first.header("x-rapport-context"), next.header("x-rapport-context"));
    assert_eq!(kept(&house, first.header("x-rapport-context")).await.len(), 4);
}

#[tokio::test]
async fn two_clients_of_different_apis_share_one_history() {
    let script = "[[rules]]\ntimes = 1\nreply = { tools = [{ name = \"look\", id = \"call_1\", \
                  input = { city = \"Rome\", at = \"noon\" } }] }\n[default]\ntext = \"sunny\"";
    let (mock, house) = start(script).await;
    let own = [("x-rapport-context", "c")];
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let body = json!({"model": MODEL, "max_tokens": 9,
                      "tools": [{"name": "look", "input_schema": schema}],
                      "messages": [message("user", "weather?")]});
    house.with_headers("POST", "/v1/messages", &own, &body).await;
    let call = json!({"id": "call_9", "type": "function",
        "function": {"name": "look", "arguments": "{\"at\":\"noon\", \"city\": \"Rome\"}"}});
    let body = json!({"model": MODEL, "tools": [{"type": "function",
                        "function": {"name": "look", "parameters": schema}}],
        "messages": [message("user", "weather?"),
                     {"role": "assistant", "content": null, "tool_calls": [call]},
                     {"role": "tool", "tool_call_id": "call_1", "content": "28"}]});
    let answer = house.with_headers("POST", "/v1/chat/completions", &own, &body).await;
    assert_eq!(answer.header("x-rapport-context"), "c", "{answer:?}");
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    assert_eq!(kept(&house, "c").await.len(), 4);
}

#[tokio::test]
async fn every_api_takes_a_context() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let user = json!([message("user", "next")]);
    let doors: &[(&str, Value)] = &[
        ("/v1/chat/completions", json!({"model": MODEL, "messages": user})),
        ("/v1/messages", json!({"model": MODEL, "max_tokens": 9, "messages": user})),
        ("/v1/responses", json!({"model": MODEL, "input": "next"})),
        ("/v1/completions", json!({"model": MODEL, "prompt": "next"})),
        (
            "/v1beta/models/claude-3-opus-20240229:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "next"}]}]}),
        ),
        ("/api/chat", json!({"model": MODEL, "stream": false, "messages": user})),
        ("/api/generate", json!({"model": MODEL, "stream": false, "prompt": "next"})),
        ("/v2/chat", json!({"model": MODEL, "messages": user})),
    ];
    let own = [("x-rapport-context", "c")];
    for (turn, (path, body)) in doors.iter().enumerate() {
        let answer = house.with_headers("POST", path, &own, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert!(answer.text.contains(&format!("answer {}", turn + 1)), "{path}: {answer:?}");
        let headers = ["x-rapport-context", "x-rapport-provider", "x-rapport-model"];
        assert_eq!(headers.map(|name| answer.header(name)), ["c", "anthropic", MODEL], "{path}");
        let sent = mock.requests().pop().unwrap().json();
        assert_eq!(sent["messages"].as_array().unwrap().len(), 2 * turn + 1, "{path}: {sent}");
    }
    // Streamed too, and whoever answers is named there as well.
    for (path, mut body) in doors.iter().cloned() {
        body["stream"] = json!(true);
        let path = path.replace(":generateContent", ":streamGenerateContent?alt=sse");
        if path.starts_with("/v1beta") {
            body.as_object_mut().unwrap().shift_remove("stream");
        }
        let answer = house.with_headers("POST", &path, &own, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        let headers = ["x-rapport-context", "x-rapport-provider", "x-rapport-model"];
        assert_eq!(headers.map(|name| answer.header(name)), ["c", "anthropic", MODEL], "{path}");
    }
    assert_eq!(kept(&house, "c").await.len(), 4 * doors.len());
}

#[tokio::test]
async fn a_conversation_may_move_between_providers_and_come_back() {
    let script = "[default]\nthinking = { text = \"let me see\", signature = \"sig-of-claude\" }\n\
                  text = \"answer {n}\"";
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::parse(script).unwrap());
    let mock = mock.await.unwrap();
    let other = ProviderSettings {
        models: vec!["gpt-x".into()],
        retries: 0,
        ..ProviderSettings::new("other", "openai_chat", &format!("http://{}/v1", mock.addr()))
    };
    let settings = Settings { providers: vec![claude(mock.addr()), other], ..Settings::default() };
    let house = House::with(settings).await;
    let own = [("x-rapport-context", "c")];
    let ask = async |model: &str, text: &str| {
        let body = json!({"model": model, "max_tokens": 2000, "messages": [message("user", text)],
                          "thinking": {"type": "enabled", "budget_tokens": 1024}});
        let answer = house.with_headers("POST", "/v1/messages", &own, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        mock.requests().pop().unwrap()
    };
    ask(MODEL, "one").await;
    let there = ask("gpt-x", "two").await;
    assert!(there.path.contains("chat/completions"), "{}", there.path);
    let text = there.json().to_string();
    assert!(text.contains("answer 1"), "{text}");
    assert!(!text.contains("sig-of-claude") && !text.contains("let me see"), "{text}");
    let back = ask(MODEL, "three").await.json();
    let first = &back["messages"][1]["content"][0];
    assert_eq!(
        (&first["type"], &first["signature"]),
        (&json!("thinking"), &json!("sig-of-claude"))
    );
    assert!(back["messages"][3].to_string().contains("answer 2"), "{back}");
    assert_eq!(back["messages"][3].to_string().matches("sig-of").count(), 0, "{back}");
}
