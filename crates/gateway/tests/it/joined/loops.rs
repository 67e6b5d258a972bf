//! The tool loop with every dialect that has tools, whole and streamed: what is called, what the
//! model reads of it, and what all asks together used.

use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use mock::{Mock, Script};
use serde_json::{Value, json};

use super::house::{Joined, script, settings};

const DIALECTS: &[&str] = &[
    "anthropic",
    "openai_chat",
    "openai_responses",
    "gemini",
    "ollama_chat",
    "cohere_chat",
    "bedrock_converse",
];

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
    for dialect in DIALECTS {
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
