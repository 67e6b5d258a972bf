//! The tool loop: a model asks for joined tools, is given their results, and answers.

use gateway::settings::Settings;
use mock::{Mock, Script};
use serde_json::{Value, json};

use super::house::{Joined, script, settings};
use crate::house::claude;

/// A house with a scripted model and a joined server.
async fn with(model: &str, tools: &[&str]) -> (Mock, Joined) {
    let mut server = script("one", tools);
    server.approve = vec!["env".to_owned()];
    server.silence = std::time::Duration::from_secs(2);
    let script = Script::parse(model).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let settings = Settings { providers: vec![claude(mock.addr())], ..settings(vec![server]) };
    let house = Joined::of(settings).await;
    house.until("one", "ready").await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    (mock, house)
}

const TWICE: &str = r#"
[[rules]]
times = 1
reply = { text = "let me see", tools = [
  { name = "one__echo", id = "a", input = { say = "north" } },
  { name = "one__slow", id = "b" },
  { name = "one__none", id = "x" } ] }
[[rules]]
times = 1
reply = { tools = [{ name = "one__slow", id = "c" }] }
[default]
text = "it is north"
"#;

/// The data of a stream's events.
fn events(text: &str) -> impl Iterator<Item = Value> + '_ {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|line| serde_json::from_str(line).ok())
}

/// The text at this place of all events but the last, joined.
fn pieces(text: &str, place: &str) -> String {
    let deltas = events(text).filter(|event: &Value| event.get("turn").is_none());
    deltas.filter_map(|event| Some(event.pointer(place)?.as_str()?.to_owned())).collect()
}

fn results(sent: &Value) -> Vec<Value> {
    let messages = sent["messages"].as_array().unwrap();
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    blocks.filter(|block| block["type"] == "tool_result").cloned().collect()
}

#[tokio::test]
async fn a_model_is_given_what_it_asks_for_until_it_answers() {
    let model = TWICE.replace(",\n  { name = \"one__none\", id = \"x\" }", "");
    let (mock, house) = with(&model, &["echo", "slow"]).await;
    let body = json!({"message": "where?", "tools": "joined"});
    let turn = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(turn["text"], "it is north", "{turn}");
    let names: Vec<&Value> =
        turn["tool_calls"].as_array().unwrap().iter().map(|call| &call["name"]).collect();
    assert_eq!(names, ["one__echo", "one__slow", "one__slow"], "{turn}");
    let sent: Vec<Value> = mock.requests().iter().map(mock::Recorded::json).collect();
    assert_eq!(sent.len(), 3);
    let tools = sent[0]["tools"].as_array().unwrap();
    assert_eq!(tools[0]["name"], "one__echo");
    assert!(tools[0]["input_schema"]["$defs"].is_object(), "schemas are passed on");
    let second = results(&sent[1]);
    assert_eq!((&second[0]["tool_use_id"], &second[0]["content"]), (&json!("a"), &json!("north")));
    assert_eq!(second[1]["content"], "slow");
    // Every ask begins with the one before: the provider's cache pays.
    let messages = |at: usize| sent[at]["messages"].as_array().unwrap().clone();
    assert_eq!(messages(2)[..messages(1).len() - 1], messages(1)[..messages(1).len() - 1]);
    let kept = house.get("/api/v1/contexts/c/messages").await;
    let roles: Vec<&Value> =
        kept["messages"].as_array().unwrap().iter().map(|entry| &entry["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user", "assistant"], "{kept}");
    assert!(kept.to_string().contains("tool_result"), "results are entries of their own");
}

#[tokio::test]
async fn the_settings_of_a_context_or_a_header_let_any_door_use_tools() {
    let model = "[[rules]]\nreply = { tools = [{ name = \"one__echo\", id = \"a\", input = { say = \
                 \"hi\" } }] }\nwhen = { nth = 1 }\n[[rules]]\nreply = { tools = [{ name = \
                 \"one__echo\", id = \"b\", input = { say = \"ho\" } }] }\nwhen = { nth = 2 }\n\
                 [default]\ntext = \"done\"";
    let (mock, house) = with(model, &["echo"]).await;
    let patch = json!({"settings": {"tools": ["one__*"]}});
    let patched = house.house().with_headers("PATCH", "/api/v1/contexts/c", &[], &patch).await;
    assert_eq!(patched.status, http::StatusCode::OK, "{patched:?}");
    let lines = house.house().raw(b"{\"sessionId\": \"c\", \"message\": \"go\"}\n").await;
    assert!(lines.contains("\"done\""), "{lines}");
    assert_eq!(mock.requests().len(), 2, "{lines}");
    let headers = [("x-rapport-context", "d"), ("x-rapport-tools", "joined")];
    let body = json!({"model": "claude-3-opus-20240229",
                      "messages": [{"role": "user", "content": "go"}]});
    let answer = house.house().with_headers("POST", "/v1/chat/completions", &headers, &body).await;
    let answer = answer.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "done", "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(mock.requests().len(), 4);
}

#[tokio::test]
async fn a_stream_is_one_reply_whatever_was_called_within_it() {
    let model = TWICE.replace(",\n  { name = \"one__none\", id = \"x\" }", "");
    let (_mock, house) = with(&model, &["echo", "slow"]).await;
    let body = json!({"message": "where?", "tools": "joined", "stream": true});
    let native = house.house().post("/api/v1/contexts/c/turns", &body).await;
    let count = |word: &str| native.text.matches(word).count();
    assert_eq!((count("event: start"), count("event: done")), (1, 1), "{}", native.text);
    let said = pieces(&native.text, "/text");
    assert_eq!(said, "let me seeit is north", "{}", native.text);
    let (_mock, house) = with(&model, &["echo", "slow"]).await;
    let headers = [("x-rapport-context", "d"), ("x-rapport-tools", "joined")];
    let body = json!({"model": "claude-3-opus-20240229", "max_tokens": 99, "stream": true,
                      "messages": [{"role": "user", "content": "where?"}]});
    let vendor = house.house().with_headers("POST", "/v1/messages", &headers, &body).await;
    assert!(!vendor.text.contains("one__echo"), "a caller sees no tools it does not know");
    let said = pieces(&vendor.text, "/delta/text");
    assert_eq!(said, "let me seeit is north", "{}", vendor.text);
    let indexes = events(&vendor.text).filter(|event| event["type"] == "content_block_start");
    let indexes: Vec<Value> = indexes.map(|event| event["index"].clone()).collect();
    assert_eq!(indexes, [0, 1], "blocks of one reply are numbered on: {}", vendor.text);
    assert_eq!(vendor.text.matches("event: message_start").count(), 1, "{}", vendor.text);
}

#[tokio::test]
async fn what_fails_is_a_result_that_the_model_reads() {
    let model = r#"
[[rules]]
times = 1
reply = { tools = [
  { name = "one__hangs", id = "a" },
  { name = "one__env", id = "b" },
  { name = "one__dies", id = "c" } ] }
[default]
text = "sorry"
"#;
    let (mock, house) = with(model, &["hangs", "env", "dies"]).await;
    let body = json!({"message": "go", "tools": "joined"});
    let turn = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(turn["text"], "sorry", "{turn}");
    let failed = results(&mock.requests()[1].json());
    assert!(failed.iter().all(|result| result["is_error"] == true), "{failed:?}");
    let text = failed[1]["content"].as_str().unwrap();
    assert!(text.starts_with("approval_required"), "{text}");
    let (mock, house) = with(model, &["hangs", "env", "dies"]).await;
    let body = json!({"message": "go", "tools": {"names": ["one__*"], "approved": ["one__env"]}});
    house.post("/api/v1/contexts/c/turns", &body).await;
    let sent = mock.requests()[1].json();
    let allowed =
        sent["messages"].as_array().unwrap().iter().filter_map(|m| m["content"].as_array());
    let env = allowed.flatten().find(|block| block["tool_use_id"] == "b").unwrap();
    assert_eq!(env["is_error"], false, "{env}");
}

#[tokio::test]
async fn a_loop_ends_at_its_limit_with_an_answer() {
    let model = r#"
[[rules]]
times = 2
reply = { tools = [{ name = "one__echo", input = { say = "x" } }] }
[default]
text = "enough"
"#;
    let (mock, house) = with(model, &["echo"]).await;
    let body = json!({"message": "go", "tools": {"rounds": 2}});
    let turn = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(turn["text"], "enough", "{turn}");
    let last = mock.requests().pop().unwrap().json();
    assert_eq!(last["tool_choice"]["type"], "none", "the last ask lets it call nothing: {last}");
    let foreign = json!({"message": "go", "tools": {"rounds": 0}});
    let refused = house.house().post("/api/v1/contexts/c/turns", &foreign).await;
    assert_eq!(refused.status, http::StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_request_that_is_repeated_gets_the_same_answer_and_calls_nothing_again() {
    let model = r#"
[[rules]]
times = 1
reply = { tools = [{ name = "one__echo", id = "a", input = { say = "x" } }] }
[default]
text = "done"
"#;
    let (mock, house) = with(model, &["echo"]).await;
    let headers = [("idempotency-key", "k1")];
    let body = json!({"message": "go", "tools": "joined"});
    let path = "/api/v1/contexts/c/turns";
    let first = house.house().with_headers("POST", path, &headers, &body).await.json();
    let again = house.house().with_headers("POST", path, &headers, &body).await.json();
    assert_eq!((&first["text"], &again["text"]), (&json!("done"), &json!("done")), "{again}");
    assert_eq!(first["turn"], again["turn"]);
    assert_eq!(mock.requests().len(), 2);
}
