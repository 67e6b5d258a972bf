//! Large things arrive whole: events of megabytes in every dialect, bodies up to their limit.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::house::House;
use crate::routes::{mock, provider};
use crate::stub::Stub;

/// Bytes of one event's text.
const EVENT: usize = 5 << 20;

/// Each door with what it is asked, and where its events have a text.
fn doors() -> Vec<(&'static str, Value, &'static str)> {
    let said = json!([{"role": "user", "content": "hi"}]);
    let chat = json!({"model": "up/m", "stream": true, "max_tokens": 9, "messages": said});
    let parts = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    vec![
        ("/v1/messages", chat.clone(), "/delta/text"),
        ("/v1/chat/completions", chat.clone(), "/choices/0/delta/content"),
        ("/v1/responses", json!({"model": "up/m", "stream": true, "input": "hi"}), "/delta"),
        (
            "/v1beta/models/up/m:streamGenerateContent?alt=sse",
            parts,
            "/candidates/0/content/parts/0/text",
        ),
        ("/api/chat", chat, "/message/content"),
    ]
}

/// The texts of all events together.
fn heard(stream: &str, place: &str) -> usize {
    let lines = stream.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A closing event of the Responses API repeats the text elsewhere.
    events.filter_map(|event| event.pointer(place)?.as_str().map(str::len)).sum()
}

#[tokio::test]
async fn an_event_of_five_megabytes_arrives_whole_in_every_pair_of_dialects() {
    let script = format!("default.fragments = [\"{}\"]", "x".repeat(EVENT));
    for dialect in ["anthropic", "openai_chat", "gemini", "ollama_chat", "cohere_chat"] {
        let mock = mock(&script).await;
        let house = House::with(gateway::settings::Settings {
            providers: vec![provider("up", dialect, &mock)],
            ..gateway::settings::Settings::default()
        })
        .await;
        for (path, body, place) in doors() {
            let answer = house.post(path, &body).await;
            let shown: String = answer.text.chars().take(300).collect();
            assert_eq!(answer.status, StatusCode::OK, "{path} before {dialect}: {shown}");
            assert!(!answer.broken, "{path} before {dialect}");
            assert_eq!(heard(&answer.text, place), EVENT, "{path} before {dialect}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_body_up_to_its_limit_goes_on_to_the_byte_and_one_beyond_is_refused() {
    let reply = r#"{"type":"message","role":"assistant","content":[],"model":"m","usage":{}}"#;
    let stub = Stub::start(200, "application/json", reply).await;
    let house = crate::surfaces::before("anthropic", &stub, &["claude-x"]).await;
    let limit = gateway::settings::Limits::default().body_bytes;
    assert_eq!(limit, 64 << 20);
    let head = r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":""#;
    let tail = "\"}]}";
    let body = format!("{head}{}{tail}", "y".repeat(limit - head.len() - tail.len()));
    let send = async |body: String| {
        let request = Request::post("/v1/messages").header("content-type", "application/json");
        house.send(request.body(Body::from(body)).unwrap()).await
    };
    let answer = send(body.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(stub.last().body == body.as_bytes(), "every byte as it came");
    let count = stub.count();
    let refused = send(format!("{body} ")).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text.contains("67108864"), "{}", refused.text);
    assert_eq!(stub.count(), count, "nobody was asked");
}
