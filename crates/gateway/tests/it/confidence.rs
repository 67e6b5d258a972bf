//! How likely a model held its words, where it says so.

use bytes::Bytes;
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use serde_json::{Value, json};

use crate::house::House;
use crate::stub::Stub;

/// Asks a model that answers this, once by the native API; the turn, and what is kept of it.
async fn asked(dialect: &str, media: &'static str, body: impl Into<Bytes>) -> (House, Value) {
    let stub = Stub::start(200, media, body).await;
    let provider = ProviderSettings {
        keys: vec![KeySettings::new(Secret::new("sk-secret"), "a test")],
        models: vec!["m".into()],
        retries: 0,
        ..ProviderSettings::new("p", dialect, &format!("http://{}", stub.addr))
    };
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let ask = match dialect {
        "openai_chat" => json!({"message": "hi", "parameters": {"logprobs": true}}),
        _ => json!({"message": "hi"}),
    };
    let turn = house.post("/api/v1/contexts/c/turns", &ask).await;
    assert_eq!(turn.status, http::StatusCode::OK, "{}", turn.text);
    let wanted = dialect == "openai_chat";
    assert_eq!(stub.last().text().contains("\"logprobs\":true"), wanted);
    let kept = house.call("GET", "/api/v1/contexts/c/messages?order=desc&limit=1").await.json();
    let meta = kept["messages"][0]["meta"]["confidence"].clone();
    let turn = turn.json();
    assert_eq!(turn.get("confidence").cloned().unwrap_or_default(), meta, "{turn}");
    (house, turn)
}

fn chat(logprobs: &Value) -> String {
    json!({"id": "r", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
           "message": {"role": "assistant", "content": "ab"}, "logprobs": logprobs}],
           "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    .to_string()
}

#[tokio::test]
async fn a_reply_carries_the_confidence_that_its_model_supplied() {
    let given = json!({"content": [{"token": "a", "logprob": -1.0},
                                   {"token": "b", "logprob": -1.772_588_8}]});
    let (house, turn) = asked("openai_chat", "application/json", chat(&given)).await;
    assert_eq!(turn["confidence"], 0.25, "{turn}");
    // The other doors of a turn tell it too.
    let said = house.post("/mcp/context/c/message", &json!({"message": "again"})).await;
    assert_eq!(said.json()["confidence"], 0.25, "{}", said.text);
    let ask = json!({"input": "hi", "session_id": "c"});
    let said = house.post("/v1/predict", &ask).await;
    assert_eq!(said.json()["confidence"], 0.25, "{}", said.text);
}

#[tokio::test]
async fn a_reply_whose_model_supplies_none_has_none() {
    let (house, turn) = asked("openai_chat", "application/json", chat(&Value::Null)).await;
    assert!(turn.get("confidence").is_none(), "{turn}");
    let said = house.post("/mcp/context/c/message", &json!({"message": "again"})).await;
    assert!(said.json().get("confidence").is_none(), "{}", said.text);
}

#[tokio::test]
async fn pieces_of_a_stream_add_up() {
    let chunk = |text: &str, logprob: f64, end: Value| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": end,
                            "logprobs": {"content": [{"token": text, "logprob": logprob}]}});
        format!("data: {}\n\n", json!({"id": "r", "model": "m", "choices": [choice]}))
    };
    let body = chunk("a", -1.0, Value::Null) + &chunk("b", -1.772_588_8, json!("stop"));
    let stub = Stub::start(200, "text/event-stream", body + "data: [DONE]\n\n").await;
    let provider = ProviderSettings {
        keys: vec![KeySettings::new(Secret::new("sk-secret"), "a test")],
        models: vec!["m".into()],
        retries: 0,
        ..ProviderSettings::new("p", "openai_chat", &format!("http://{}", stub.addr))
    };
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let ask = json!({"message": "hi", "stream": true});
    let streamed = house.post("/api/v1/contexts/c/turns", &ask).await;
    assert!(streamed.text.contains("\"confidence\":0.25"), "{}", streamed.text);
}

#[tokio::test]
async fn gemini_and_ollama_say_it_in_their_own_words() {
    let gemini = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "ab"}]},
        "finishReason": "STOP", "avgLogprobs": -1.386_294_4}], "modelVersion": "m",
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}});
    let (_, turn) = asked("gemini", "application/json", gemini.to_string()).await;
    assert_eq!(turn["confidence"], 0.25, "{turn}");
    let ollama = json!({"model": "m", "message": {"role": "assistant", "content": "ab"},
        "done": true, "done_reason": "stop",
        "logprobs": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -1.772_588_8}]});
    let (_, turn) = asked("ollama_chat", "application/json", ollama.to_string()).await;
    assert_eq!(turn["confidence"], 0.25, "{turn}");
}
