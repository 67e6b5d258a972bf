//! The same API at both ends: no byte of a request or of an answer is another, but for the
//! model's name and the key.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::{Request, StatusCode};
use mock::{Mock, Script};

use crate::house::{Answer, House};

/// Numbers that no `f64` holds, a field twice, odd escapes and blanks, half a character.
const ODD: &str = r#""odd" : {"n":9007199254740993, "x":1e400,"\u0061":"\/\ud83d","n":1.00}"#;

/// Dialect, path, path of a stream, and what is asked.
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("anthropic", "/v1/messages", "/v1/messages", r#""max_tokens":9,"messages": "#),
    ("openai_chat", "/v1/chat/completions", "/v1/chat/completions", r#""messages": "#),
    ("openai_responses", "/v1/responses", "/v1/responses", r#""store":false,"input": "#),
    ("openai_completions", "/v1/completions", "/v1/completions", r#""prompt":"x","z": "#),
    (
        "gemini",
        "/v1beta/models/NAME:generateContent",
        "/v1beta/models/NAME:streamGenerateContent?alt=sse",
        r#""contents":[{"parts":[{"text":"x"}]}],"z": "#,
    ),
    ("ollama_chat", "/api/chat", "/api/chat", r#""messages": "#),
    ("ollama_generate", "/api/generate", "/api/generate", r#""prompt":"x","z": "#),
    ("cohere_chat", "/v2/chat", "/v2/chat", r#""messages": "#),
    (
        "bedrock_converse",
        "/model/NAME/converse",
        "/model/NAME/converse-stream",
        r#""messages":[{"role":"user","content":[{"text":"x"}]}],"z": "#,
    ),
];

/// Answers that no writer of ours would write: odd bytes, unknown events, no end.
const ANSWER: &str = "event: new\\r\\n\
                      data: {\\\"n\\\":9007199254740993, \\\"x\\\":1e400}\\r\\n\\r\\n\
                      : c\\n\\n{\\\"a\\\": \\\"\\\\ud83d\\\"}\\nrest";

fn sha(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn town(dialect: &str) -> (Mock, House) {
    let script = Script::parse(&format!(
        "[[rules]]\nwhen = {{ path = \"*\" }}\nreply = {{ body = \"{ANSWER}\" }}"
    ))
    .unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let mut provider = ProviderSettings::new("up", dialect, &format!("http://{}", mock.addr()));
    provider.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    provider.models = vec!["inner".into()];
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    (mock, house)
}

async fn post(house: &House, path: &str, body: &str) -> Answer {
    let request = Request::post(path).header("content-type", "application/json");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn requests_and_answers_of_the_same_api_have_the_same_digest() {
    for (dialect, whole, streamed, asks) in CALLS {
        let (mock, house) = town(dialect).await;
        for stream in [false, true] {
            let place = format!("{dialect}, streamed: {stream}");
            let is_named = !whole.contains("NAME");
            let body = |name: &str| {
                let model =
                    if is_named { format!("\"model\" :\"{name}\",") } else { String::new() };
                let said = r#"[ {"role":"user","content":"grün \u00fc"} ]"#;
                format!("{{ {model}\"stream\": {stream},{asks}{said} , {ODD} }}")
            };
            let path = if stream { streamed } else { whole }.replace("NAME", "up%2Finner");
            let answer = post(&house, &path, &body("up/inner")).await;
            assert_eq!(answer.status, StatusCode::OK, "{place}: {answer:?}");
            let sent = mock.requests().pop().expect(&place);
            assert_eq!(sha(&sent.body), sha(body("inner").as_bytes()), "{place}: {sent:?}");
            let given: String = ANSWER
                .replace("\\\\", "\u{1}")
                .replace("\\r", "\r")
                .replace("\\n", "\n")
                .replace("\\\"", "\"")
                .replace('\u{1}', "\\");
            assert_eq!(sha(&answer.bytes), sha(given.as_bytes()), "{place}: {answer:?}");
        }
    }
}
