//! What a caller can know of the window: the header on every surface, and the preview that is what
//! goes out, to the byte.

use gateway::settings::{ProviderSettings, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{House, claude};

const MODEL: &str = "claude-3-opus-20240229";

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

#[tokio::test]
async fn a_preview_with_a_message_is_what_that_turn_sends_to_the_byte() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let window = json!({"strategy": "budget", "tokens": 900});
    let body = json!({"id": "c", "system": "be kind", "state": {"mood": "ä\u{1F600}"},
                      "settings": {"window": window}});
    house.post("/api/v1/contexts", &body).await;
    let mut cuts = 0;
    for n in 0..30 {
        let message = format!("question {n} {}", "about rain ".repeat(9));
        let path = format!("/api/v1/contexts/c/window?message={}", message.replace(' ', "%20"));
        let seen = house.call("GET", &path).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        // A preview leaves nothing behind.
        let size = house.call("GET", "/api/v1/contexts/c").await.json()["size"]["messages"].clone();
        assert_eq!(size, json!(2 * n));
        let turn = json!({"message": message});
        let answer = house.post("/api/v1/contexts/c/turns", &turn).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let sent = mock.requests().last().unwrap().body.clone();
        let facts = seen.json();
        assert_eq!(facts["sha256"], sha256(&sent), "turn {n}");
        // The body stands in the answer as it is, not as it was read.
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        assert!(seen.text.contains(&format!("\"body\":{sent}")), "turn {n}");
        let (foretold, told) = (&facts["why"], &answer.json()["window"]);
        assert_eq!(foretold, told);
        cuts += u32::from(!told["cut"].is_null());
    }
    assert!(cuts >= 1);
    let missing = house.call("GET", "/api/v1/contexts/none/window?message=x").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_surface_tells_what_the_window_was() {
    let (_mock, house) = start("default.text = \"answer\"").await;
    let made = house.call("POST", "/mcp/context").await.json();
    let first = format!("/mcp/context/{}/message", made["context_id"].as_str().unwrap());
    let ask = json!([{"role": "user", "content": "hello"}]);
    let parts = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    let gemini = format!("/v1beta/models/{MODEL}:generateContent");
    let stream = format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse");
    let calls: Vec<(&str, Value)> = vec![
        (&first, json!({"message": "hello"})),
        ("/api/mcp/interact", json!({"sessionId": "s", "message": "hello", "model": MODEL})),
        ("/v1/messages", json!({"model": MODEL, "max_tokens": 9, "messages": ask})),
        ("/v1/messages", json!({"model": MODEL, "max_tokens": 9, "messages": ask, "stream": true})),
        ("/v1/chat/completions", json!({"model": MODEL, "messages": ask})),
        ("/v1/chat/completions", json!({"model": MODEL, "messages": ask, "stream": true})),
        ("/v1/responses", json!({"model": MODEL, "input": "hello"})),
        ("/v1/responses", json!({"model": MODEL, "input": "hello", "stream": true})),
        ("/api/chat", json!({"model": MODEL, "messages": ask, "stream": false})),
        (&gemini, json!({"contents": parts})),
        (&stream, json!({"contents": parts})),
    ];
    for (number, (path, body)) in calls.iter().enumerate() {
        let id = format!("c{number}");
        let headers = [("x-rapport-context", id.as_str())];
        let answer = house.with_headers("POST", path, &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        let line = answer.header("x-rapport-window");
        for part in ["messages=1", "tokens=", "cut=no", "epoch=1", "new-epoch=first"] {
            assert!(line.contains(part), "{path} ({body}): {line}");
        }
    }
    // A call without a context has no window.
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": ask});
    assert_eq!(house.post("/v1/messages", &body).await.header("x-rapport-window"), "");
}

#[tokio::test]
async fn tokens_of_openai_models_are_counted_exactly_and_the_estimate_is_measured() {
    let script =
        Script::parse("[default]\ntext = \"fine\"\nusage = { input_tokens = 50 }").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let url = format!("http://{}", mock.addr());
    let openai = ProviderSettings {
        models: vec!["gpt-4o".into()],
        retries: 0,
        ..ProviderSettings::new("house", "openai_chat", &url)
    };
    let providers = vec![openai, claude(mock.addr())];
    let house = House::with(Settings { providers, ..Settings::default() }).await;
    let ask = |model: &str| {
        json!({"model": model, "max_tokens": 9,
               "messages": [{"role": "user", "content": "hello world"}]})
    };
    let counted = house.post("/v1/messages/count_tokens", &ask("house/gpt-4o")).await.json();
    assert_eq!(counted, json!({"input_tokens": 9}));
    let settings = json!({"model": "house/gpt-4o"});
    house.post("/api/v1/contexts", &json!({"id": "c", "settings": settings})).await;
    let seen = house.call("GET", "/api/v1/contexts/c/window?message=hello%20world").await.json();
    assert_eq!(seen["tokens_exact"], 9, "{seen}");
    house.post("/api/v1/contexts/c/turns", &json!({"message": "hello world"})).await;
    let metrics = house.call("GET", "/metrics").await.text;
    let name = "rapport_token_estimate_error_ratio_count{provider=\"house\"} 1";
    assert!(metrics.contains(name), "{metrics}");
    let claude = house.call("GET", "/api/v1/contexts/c/window?model=anthropic/x").await.json();
    assert_eq!(claude["tokens_exact"], Value::Null);
}

#[tokio::test]
async fn a_window_stays_below_the_price_cliff_of_its_model() {
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::default()).await.unwrap();
    let mut provider = claude(mock.addr());
    provider.models = vec!["claude-haiku-5-5".into(), "claude-opus-5-5".into()];
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for (model, most) in [("claude-haiku-5-5", 92_000), ("claude-opus-5-5", 798_976)] {
        let path = format!("/api/v1/contexts/c/window?model={model}");
        let seen = house.call("GET", &path).await.json();
        assert_eq!(seen["budget_tokens"], most, "{seen}");
    }
}

#[tokio::test]
async fn what_was_mended_and_what_nobody_expects_of_a_reply_is_told() {
    let script = r#"
default.text = "an answer"
[[rule]]
when = { message = "say nothing" }
reply = { text = "" }
[[rule]]
when = { message = "say no" }
reply = { text = "no", stop_reason = "refusal" }
[[rule]]
when = { message = "say half" }
reply = { text = "half of", stop_reason = "max_tokens" }
"#;
    let (_mock, house) = start(script).await;
    let messages = json!([{"role": "assistant", "content": "I begin"},
                          {"role": "user", "content": "go on"},
                          {"role": "assistant", "content": " \n"}]);
    house.post("/api/v1/contexts", &json!({"id": "c", "messages": messages})).await;
    let mut told = Vec::new();
    for message in ["say nothing", "say no", "say half", "say it"] {
        let answer = house.post("/api/v1/contexts/c/turns", &json!({"message": message})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let turn = answer.json();
        let warning = turn["warning"].as_str().unwrap_or("none").to_owned();
        told.push((warning, turn["window"]["empty_left_out"].clone()));
        assert_eq!(turn["window"]["opening_added"], 1);
        assert!(answer.header("x-rapport-window").contains("; opening-added=1; empty-left-out="));
        let past = house.call("GET", "/api/v1/contexts/c/turns/last").await.json();
        assert_eq!(past["warning"], turn["warning"]);
    }
    let expected = [
        ("the model answered without saying anything; ask again, or another model", 1),
        ("the model refused to answer", 2),
        ("the answer was cut off: it reached `max_tokens`", 2),
        ("none", 2),
    ];
    assert_eq!(told, expected.map(|(warning, count)| (warning.to_owned(), json!(count))));
}
