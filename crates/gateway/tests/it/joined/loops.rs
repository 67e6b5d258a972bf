//! The tool loop with every dialect that has tools, whole and streamed: what is called, what the
//! model reads of it, and what all asks together used.

use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use mock::{Mock, Script};
use serde_json::{Value, json};

use super::house::{Joined, script, settings};
use crate::matrix::UPSTREAMS;

const MODEL: &str = r#"
[[rules]]
times = 1
reply = { text = "let me see", usage = { input_tokens = 100, output_tokens = 10 }, tools = [
  { name = "one__echo", id = "call_a", input = { say = "north" } },
  { name = "one__env", id = "call_b", input = {} } ] }
[[rules]]
times = 1
reply = { usage = { input_tokens = 200, output_tokens = 20 }, tools = [
  { name = "one__echo", id = "call_c", input = { say = "by west" } } ] }
[default]
text = "it is north"
usage = { input_tokens = 400, output_tokens = 40 }
"#;

async fn with(dialect: &str, model: &str) -> (Mock, Joined) {
    let script_of_model = Script::parse(model).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script_of_model).await.unwrap();
    let mut provider = ProviderSettings::new("up", dialect, &format!("http://{}", mock.addr()));
    provider.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    provider.models = vec!["m".into()];
    provider.retries = 0;
    let mut server = script("one", &["echo", "env"]);
    server.approve = vec!["env".to_owned()];
    let settings = Settings { providers: vec![provider], ..settings(vec![server]) };
    let house = Joined::of(settings).await;
    house.until("one", "ready").await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    (mock, house)
}

fn sent(mock: &Mock) -> Vec<String> {
    mock.requests().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect()
}

#[tokio::test]
async fn every_dialect_with_tools_is_asked_until_it_answers() {
    for dialect in UPSTREAMS {
        for stream in [false, true] {
            let name = format!("{dialect}, stream {stream}");
            let (mock, house) = with(dialect, MODEL).await;
            let body = json!({"message": "where?", "tools": "joined", "model": "up/m",
                              "stream": stream});
            let answer = house.house().post("/api/v1/contexts/c/turns", &body).await;
            let turn = if stream {
                let last = answer.text.lines().rfind(|line| line.starts_with("data: {"));
                let last = last.unwrap_or_else(|| panic!("{name}: {answer:?}"));
                serde_json::from_str(last.trim_start_matches("data: ")).unwrap()
            } else {
                answer.json()
            };
            assert_eq!(turn["text"], "it is north", "{name}: {turn}");
            let outcomes: Vec<(&Value, &Value)> = turn["tool_calls"]
                .as_array()
                .unwrap_or_else(|| panic!("{name}: {turn}"))
                .iter()
                .map(|call| (&call["name"], &call["outcome"]))
                .collect();
            let (echo, env) = (json!("one__echo"), json!("one__env"));
            let (good, bad) = (json!("ok"), json!("error"));
            assert_eq!(outcomes, [(&echo, &good), (&env, &bad), (&echo, &good)], "{name}");
            // The answer tells what all asks together used.
            let usage = &turn["usage"];
            assert_eq!(
                (&usage["input_tokens"], &usage["output_tokens"]),
                (&json!(700), &json!(70)),
                "{name}: {turn}"
            );
            let sent = sent(&mock);
            assert_eq!(sent.len(), 3, "{name}");
            assert!(sent[0].contains("one__echo") && sent[0].contains("does echo"), "{name}");
            assert!(sent[1].contains("north"), "{name}: {}", sent[1]);
            assert!(sent[1].contains("approval_required"), "what failed is read: {}", sent[1]);
            assert!(sent[2].contains("by west"), "{name}: {}", sent[2]);
            rounds_are_written_down(&house, &name).await;
        }
    }
}

/// Each ask is a row of the log with its own usage, and so is each call.
async fn rounds_are_written_down(house: &Joined, name: &str) {
    let looking = async {
        loop {
            let rows = house.get("/api/v1/requests?limit=50").await["requests"].clone();
            let rows = rows.as_array().unwrap().clone();
            let of = |mcp: bool| {
                let rows = rows.iter().filter(move |row| (row["dialect"] == "mcp") == mcp);
                rows.cloned().collect::<Vec<Value>>()
            };
            let (asks, calls) = (of(false), of(true));
            // What was not approved was not called.
            if asks.len() == 3 && calls.len() == 2 {
                return asks;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let asks = tokio::time::timeout(super::house::WITHIN, looking).await;
    let asks = asks.unwrap_or_else(|_| panic!("{name}: the log is not whole"));
    let text = json!(asks).to_string();
    for tokens in ["100", "200", "400"] {
        assert!(text.contains(&format!("\"input_tokens\":{tokens}")), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_repeated_request_tells_the_same_usage() {
    let (mock, house) = with("anthropic", MODEL).await;
    let headers = [("idempotency-key", "k1")];
    let body = json!({"message": "where?", "tools": "joined"});
    let path = "/api/v1/contexts/c/turns";
    let first = house.house().with_headers("POST", path, &headers, &body).await.json();
    let again = house.house().with_headers("POST", path, &headers, &body).await.json();
    assert_eq!(first["usage"]["input_tokens"], 700, "{first}");
    assert_eq!(again["usage"], first["usage"], "{again}");
    assert_eq!(mock.requests().len(), 3);
    // What each round used stands beside its own entry.
    let kept = house.get("/api/v1/contexts/c/messages").await;
    let used: Vec<u64> = kept["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry.pointer("/meta/usage/input_tokens")?.as_u64())
        .collect();
    assert_eq!(used, [100, 200, 400], "{kept}");
}

#[tokio::test]
async fn a_loop_ends_at_its_limits_of_time_and_cost() {
    let model = r#"
[[rules]]
times = 1
reply = { usage = { input_tokens = 1000000, output_tokens = 10 }, tools = [
  { name = "one__slow", id = "a", input = {} } ] }
[default]
text = "enough"
"#;
    let mut server = script("one", &["slow", "hangs"]);
    server.silence = std::time::Duration::from_mins(5);
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::parse(model).unwrap());
    let mock = mock.await.unwrap();
    let mut claude = crate::house::claude(mock.addr());
    claude.models = vec!["claude-opus-4-6".into(), "claude-of-unknown-price".into()];
    let house = Joined::of(Settings { providers: vec![claude], ..settings(vec![server]) }).await;
    house.until("one", "ready").await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for name in ["claude-opus-4-6", "claude-of-unknown-price"] {
        mock.set_script(Script::parse(model).unwrap());
        let tools = json!({"names": ["*"], "cost_usd": 0.01});
        let body = json!({"message": "go", "model": name, "tools": tools});
        let turn = house.post("/api/v1/contexts/c/turns", &body).await;
        assert_eq!(turn["text"], "enough", "{turn}");
        let last = mock.requests().pop().unwrap().json();
        assert_eq!(last["tool_choice"]["type"], "none", "it was dear enough: {last}");
    }
    // A call that takes longer than the turn may is left, and the model is told so.
    let hangs = model.replace("one__slow", "one__hangs");
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::parse(&hangs).unwrap());
    let mock = mock.await.unwrap();
    let mut server = script("one", &["slow", "hangs"]);
    server.silence = std::time::Duration::from_mins(5);
    let providers = vec![crate::house::claude(mock.addr())];
    let house = Joined::of(Settings { providers, ..settings(vec![server]) }).await;
    house.until("one", "ready").await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let body = json!({"message": "go", "tools": {"names": ["*"], "seconds": 1}});
    let turn = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(turn["text"], "enough", "{turn}");
    let last = mock.requests().pop().unwrap().json();
    assert!(last.to_string().contains("time is over"), "{last}");
    assert_eq!(last["tool_choice"]["type"], "none", "{last}");
}

const MIXED: &str = r#"
[[rules]]
times = 1
reply = { text = "let me see", tools = [
  { name = "one__echo", id = "call_a", input = { say = "north" } },
  { name = "look", id = "call_b", input = { at = "sky" } },
  { name = "made__up", id = "call_c", input = {} } ] }
[default]
text = "it is blue"
"#;

/// A door of a vendor's API, with a tool of the caller's.
enum Door {
    Chat,
    Messages,
}

impl Door {
    fn path(&self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    fn body(&self, messages: &[Value]) -> Value {
        let schema = json!({"type": "object"});
        let tools = match self {
            Self::Chat => json!([{"type": "function",
                                  "function": {"name": "look", "parameters": schema}}]),
            Self::Messages => json!([{"name": "look", "input_schema": schema}]),
        };
        json!({"model": "up/m", "max_tokens": 99, "messages": messages, "tools": tools})
    }

    /// The reply as a message of a history, the names of what it calls, and the result of that.
    fn reply(&self, answer: &Value) -> (Value, Vec<Value>, Value) {
        match self {
            Self::Chat => {
                assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls", "{answer}");
                let message = answer["choices"][0]["message"].clone();
                let calls = message["tool_calls"].as_array().unwrap().clone();
                let names = calls.iter().map(|call| call["function"]["name"].clone()).collect();
                let id = &calls[0]["id"];
                let result = json!({"role": "tool", "tool_call_id": id, "content": "all blue"});
                (message, names, result)
            }
            Self::Messages => {
                assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
                let content = answer["content"].clone();
                let parts = content.as_array().unwrap();
                let calls = parts.iter().filter(|part| part["type"] == "tool_use");
                let calls: Vec<Value> = calls.cloned().collect();
                let names = calls.iter().map(|call| call["name"].clone()).collect();
                let result = json!({"type": "tool_result", "tool_use_id": calls[0]["id"],
                                    "content": "all blue"});
                (
                    json!({"role": "assistant", "content": content}),
                    names,
                    json!({"role": "user", "content": [result]}),
                )
            }
        }
    }
}

#[tokio::test]
async fn what_is_ours_is_run_and_what_is_the_callers_is_left_to_it() {
    let headers = [("x-rapport-context", "c"), ("x-rapport-tools", "joined")];
    for dialect in UPSTREAMS {
        for door in [Door::Chat, Door::Messages] {
            let name = format!("{dialect} by {}", door.path());
            let (mock, house) = with(dialect, MIXED).await;
            let mut history = vec![json!({"role": "user", "content": "which colour?"})];
            let ask = async |history: &[Value]| {
                let body = door.body(history);
                let house = house.house();
                house.with_headers("POST", door.path(), &headers, &body).await.json()
            };
            let (message, names, result) = door.reply(&ask(&history).await);
            assert_eq!(names, ["look"], "{name}: a caller sees its own call alone");
            // What was called here is in the log before the caller says another word.
            let kept = house.get("/api/v1/contexts/c/messages").await;
            let last = kept["messages"].as_array().unwrap().last().unwrap().to_string();
            assert!(last.contains("north") && last.contains("unknown_tool"), "{name}: {last}");
            history.extend([message, result]);
            let answer = ask(&history).await.to_string();
            assert!(answer.contains("it is blue"), "{name}: {answer}");
            let sent = sent(&mock);
            assert_eq!(sent.len(), 2, "{name}: {sent:?}");
            for word in ["north", "unknown_tool", "made__up", "all blue"] {
                assert!(sent[1].contains(word), "{name}: no `{word}` in {}", sent[1]);
            }
            assert!(!sent[1].contains("interrupted"), "{name}: nothing dangles: {}", sent[1]);
            // It went on where it was, not in a fork.
            let found = house.get("/api/v1/contexts").await;
            assert_eq!(found["contexts"].as_array().unwrap().len(), 1, "{name}: {found}");
        }
    }
}

#[tokio::test]
async fn a_stream_tells_the_callers_own_call_alone() {
    let headers = [("x-rapport-context", "c"), ("x-rapport-tools", "joined")];
    for door in [Door::Chat, Door::Messages] {
        let (_mock, house) = with("anthropic", MIXED).await;
        let mut body = door.body(&[json!({"role": "user", "content": "which colour?"})]);
        body["stream"] = json!(true);
        let told = house.house().with_headers("POST", door.path(), &headers, &body).await.text;
        assert!(told.contains("look") && told.contains("see"), "{told}");
        assert!(!told.contains("one__echo") && !told.contains("made__up"), "{told}");
        assert!(told.contains("tool_calls") || told.contains("tool_use"), "{told}");
    }
}

#[tokio::test]
async fn a_model_that_calls_what_nobody_has_is_told_so() {
    let model =
        MIXED.replace("{ name = \"look\", id = \"call_b\", input = { at = \"sky\" } },", "");
    let (mock, house) = with("anthropic", &model).await;
    let body = json!({"message": "which colour?", "tools": "joined"});
    let turn = house.post("/api/v1/contexts/c/turns", &body).await;
    assert_eq!(turn["text"], "it is blue", "{turn}");
    assert_eq!(turn["tool_calls"][1]["outcome"], "error", "{turn}");
    assert!(sent(&mock)[1].contains("no tool `made__up` here"), "{}", sent(&mock)[1]);
}

#[tokio::test]
async fn a_history_that_is_sent_again_goes_on_after_a_loop_of_ours() {
    let headers = [("x-rapport-context", "c"), ("x-rapport-tools", "joined")];
    let body = |history: &Value| json!({"model": "up/m", "messages": history});
    let first = json!({"role": "user", "content": "where?"});
    // A whole answer has the last words, a stream those of every round.
    for said in ["it is north", "let me seeit is north"] {
        let (mock, house) = with("anthropic", MODEL).await;
        let path = "/v1/chat/completions";
        let ask = async |history: &Value| {
            house.house().with_headers("POST", path, &headers, &body(history)).await.json()
        };
        ask(&json!([first])).await;
        assert_eq!(mock.requests().len(), 3);
        let reply = json!({"role": "assistant", "content": said});
        ask(&json!([first, reply, {"role": "user", "content": "sure?"}])).await;
        let found = house.get("/api/v1/contexts").await;
        assert_eq!(found["contexts"].as_array().unwrap().len(), 1, "`{said}`: {found}");
        let last = sent(&mock).pop().unwrap();
        assert!(last.contains("by west") && last.contains("sure?"), "{last}");
    }
}
