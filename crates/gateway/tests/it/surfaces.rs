//! Applications of Gemini, Ollama and OpenAI's first API, and the lists of models of all of them.

use catalog::{NewKey, Scopes};
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;
use crate::stub::Stub;

async fn claude(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

/// A gateway before an upstream of this dialect, with a key.
pub(crate) async fn before(dialect: &str, stub: &Stub, models: &[&str]) -> House {
    let base = format!("http://{}", stub.addr);
    let provider = ProviderSettings {
        keys: vec![KeySettings::new(Secret::new("sk-upstream-secret"), "a test")],
        models: models.iter().map(|&name| name.to_owned()).collect(),
        retries: 0,
        ..ProviderSettings::new("there", dialect, &base)
    };
    House::with(Settings { providers: vec![provider], ..Settings::default() }).await
}

fn gemini_body(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}],
           "systemInstruction": {"parts": [{"text": "be kind"}]}})
}

const CLAUDE: &str = "claude-3-opus-20240229";

#[tokio::test]
async fn a_gemini_caller_is_answered_by_a_claude() {
    let (mock, house) = claude("default.fragments = [\"good \", \"day\"]").await;
    for base in ["/v1beta", "/v1"] {
        let path = format!("{base}/models/{CLAUDE}:generateContent");
        let whole = house.post(&path, &gemini_body("hi")).await;
        assert_eq!(whole.status, StatusCode::OK, "{whole:?}");
        let body = whole.json();
        assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "good day");
        assert_eq!(body["modelVersion"], CLAUDE);
        assert!(body["usageMetadata"]["totalTokenCount"].as_u64().unwrap() > 0, "{body}");
    }
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["system"], "be kind");
    assert_eq!(sent["model"], CLAUDE);
}

fn said(chunks: &[Value]) -> String {
    let text = |c: &Value| c["candidates"][0]["content"]["parts"][0]["text"].clone();
    chunks.iter().map(text).filter_map(|t| t.as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_gemini_stream_is_events_or_one_list() {
    let (mock, house) = claude("default.fragments = [\"good \", \"day\"]").await;
    let path = format!("/v1beta/models/anthropic/{CLAUDE}:streamGenerateContent");
    let events = house.post(&format!("{path}?alt=sse"), &gemini_body("hi")).await;
    assert!(events.header("content-type").starts_with("text/event-stream"), "{events:?}");
    let chunks: Vec<Value> = events
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(said(&chunks), "good day");
    assert_eq!(chunks.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    let list = house.post(&path, &gemini_body("hi")).await;
    assert_eq!(list.header("content-type"), "application/json");
    assert_eq!(said(list.json().as_array().unwrap()), "good day");
    drop(mock);
}

#[tokio::test]
async fn gemini_to_gemini_passes_byte_for_byte_with_our_key_replaced() {
    let reply = r#"{ "candidates":[], "odd": 9007199254740993 }"#;
    let stub = Stub::start(200, "application/json", reply).await;
    let house = before("gemini", &stub, &["gemini-x"]).await;
    let body = r#"{ "contents":[{"parts":[{"text":"\u0068i"}]}], "odd":1.50, "model":"kept" }"#;
    let ask = |path: &str| {
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .header("x-goog-api-key", "rap_ours");
        house.send(request.body(axum::body::Body::from(body)).unwrap())
    };
    let whole = ask("/v1beta/models/there/gemini-x:generateContent?key=rap_ours").await;
    assert_eq!((whole.status, whole.text.as_str()), (StatusCode::OK, reply));
    let sent = stub.last();
    assert_eq!(
        (sent.path.as_str(), sent.text()),
        ("/v1beta/models/gemini-x:generateContent", body)
    );
    assert_eq!(sent.header("x-goog-api-key"), "sk-upstream-secret");
    ask("/v1beta/models/gemini-x:streamGenerateContent?alt=sse").await;
    assert_eq!(stub.last().path, "/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
    ask("/v1beta/models/gemini-x:streamGenerateContent").await;
    assert_eq!(stub.last().path, "/v1beta/models/gemini-x:streamGenerateContent");
    ask("/v1beta/models/gemini-x:countTokens").await;
    assert_eq!(stub.last().path, "/v1beta/models/gemini-x:countTokens");
    assert_eq!(stub.last().text(), body);
}

#[tokio::test]
async fn gemini_counts_and_errors_have_their_shape() {
    let house = House::new().await;
    let count = house.post("/v1beta/models/demo:countTokens", &gemini_body("hello there")).await;
    let plain = count.json()["totalTokens"].as_u64().unwrap();
    assert!(plain > 2, "{count:?}");
    let inner = json!({"generateContentRequest": gemini_body("hello there")});
    let count = house.post("/v1beta/models/demo:countTokens", &inner).await;
    assert_eq!(count.json()["totalTokens"], plain, "{count:?}");
    let none = house.post("/v1beta/models/none-such:generateContent", &gemini_body("x")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(none.json()["error"]["status"], "NOT_FOUND", "{none:?}");
    let odd = house.post("/v1beta/models/demo:dance", &gemini_body("x")).await;
    assert_eq!(odd.status, StatusCode::NOT_FOUND);
    assert!(odd.json()["error"]["message"].as_str().unwrap().contains("generateContent"));
}

#[tokio::test]
async fn a_key_may_come_in_geminis_places_and_only_there() {
    let house = House::new().await;
    let scopes = Scopes::parse("read,write").unwrap();
    let new = NewKey {
        name: "test".into(),
        scopes,
        expires_in: None,
        models: catalog::ModelLimit::default(),
    };
    let key = house.keys.create(new).await.unwrap().secret.expose().to_owned();
    let path = "/v1beta/models/mock:generateContent";
    let body = gemini_body("hi");
    assert_eq!(house.post(path, &body).await.status, StatusCode::UNAUTHORIZED);
    let refused = house.post(&format!("{path}?key=wrong"), &body).await;
    assert_eq!(refused.json()["error"]["code"], 401, "{refused:?}");
    assert_eq!(house.post(&format!("{path}?key={key}"), &body).await.status, StatusCode::OK);
    let header = [("x-goog-api-key", key.as_str())];
    let answer = house.with_headers("POST", path, &header, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let elsewhere = house.call("GET", &format!("/api/v1/contexts?key={key}")).await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED, "a key in a query is logged by others");
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_ollama_caller_is_answered_by_a_claude() {
    let (mock, house) = claude("default.fragments = [\"good \", \"day\"]").await;
    let chat = json!({"model": CLAUDE, "messages": [{"role": "user", "content": "hi"}]});
    let streamed = house.post("/api/chat", &chat).await;
    assert_eq!(streamed.header("content-type"), "application/x-ndjson", "{streamed:?}");
    let lines = rows(&streamed.text);
    let text: String =
        lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!(text, "good day");
    assert_eq!(lines.last().unwrap()["done"], true);
    assert_eq!(lines.last().unwrap()["done_reason"], "stop");
    let mut whole = chat.clone();
    whole["stream"] = json!(false);
    let whole = house.post("/api/chat", &whole).await;
    assert_eq!(whole.json()["message"]["content"], "good day", "{whole:?}");
    let generate = json!({"model": CLAUDE, "prompt": "hi", "system": "be kind", "stream": false});
    let answer = house.post("/api/generate", &generate).await;
    assert_eq!(answer.json()["response"], "good day", "{answer:?}");
    assert_eq!(mock.requests().pop().unwrap().json()["system"], "be kind");
}

#[tokio::test]
async fn ollama_to_ollama_passes_byte_for_byte_streams_included() {
    let reply = "{\"model\":\"m\",\"done\":true}\n";
    let stub = Stub::start(200, "application/x-ndjson", reply).await;
    let house = before("ollama_chat", &stub, &["m:7b"]).await;
    let body = r#"{ "model":"m:7b","messages":[{"role":"user","content":"hi"}],"odd":1.50 }"#;
    let request = http::Request::post("/api/chat").header("content-type", "application/json");
    let answer = house.send(request.body(axum::body::Body::from(body)).unwrap()).await;
    assert_eq!((answer.text.as_str(), stub.last().text()), (reply, body));
    assert_eq!(stub.last().path, "/api/chat");
}

#[tokio::test]
async fn what_tools_ask_ollama_before_they_begin() {
    let (mock, house) = claude("").await;
    assert!(!house.call("GET", "/api/version").await.json()["version"].is_null());
    let tags = house.call("GET", "/api/tags").await.json();
    let names: Vec<&str> =
        tags["models"].as_array().unwrap().iter().filter_map(|m| m["model"].as_str()).collect();
    assert!(names.contains(&"demo") && names.contains(&CLAUDE), "{names:?}");
    assert_eq!(house.call("GET", "/api/ps").await.json()["models"], json!([]));
    let show = house.post("/api/show", &json!({"model": CLAUDE})).await.json();
    assert_eq!(show["model_info"]["anthropic.context_length"], 200_000, "{show}");
    assert!(show["capabilities"].as_array().unwrap().contains(&json!("completion")));
    let none = house.post("/api/show", &json!({"model": "none-such"})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.json()["error"].as_str().unwrap().contains("none-such"), "{none:?}");
    let load = house.post("/api/generate", &json!({"model": CLAUDE})).await.json();
    assert_eq!((&load["done"], &load["done_reason"]), (&json!(true), &json!("load")), "{load}");
    assert!(mock.requests().is_empty(), "nobody was asked");
    for (method, path) in
        [("POST", "/api/pull"), ("POST", "/api/create"), ("DELETE", "/api/delete")]
    {
        let refused = house.with_headers(method, path, &[], &json!({"model": "m"})).await;
        assert_eq!(refused.status, StatusCode::NOT_IMPLEMENTED, "{path}");
        assert!(refused.json()["error"].as_str().unwrap().contains("OLLAMA_HOST"), "{refused:?}");
    }
}

#[tokio::test]
async fn legacy_completions_are_answered_by_a_claude() {
    let (mock, house) = claude("default.fragments = [\"good \", \"day\"]").await;
    let mut body = json!({"model": CLAUDE, "prompt": "hi", "max_tokens": 9});
    let whole = house.post("/v1/completions", &body).await;
    assert_eq!(whole.json()["choices"][0]["text"], "good day", "{whole:?}");
    assert_eq!(whole.json()["object"], "text_completion");
    body["stream"] = json!(true);
    let streamed = house.post("/v1/completions", &body).await;
    assert!(streamed.text.trim_end().ends_with("data: [DONE]"), "{streamed:?}");
    drop(mock);
}

#[tokio::test]
async fn a_context_is_one_for_callers_of_all_apis() {
    let (mock, house) = claude("default.text = \"answer {n}\"").await;
    let headers = [("x-rapport-context", "kept")];
    let path = format!("/v1beta/models/{CLAUDE}:generateContent");
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "one"}]}]});
    let first = house.with_headers("POST", &path, &headers, &body).await;
    assert_eq!(first.header("x-rapport-context"), "kept", "{first:?}");
    let body = json!({"model": CLAUDE, "messages": [{"role": "user", "content": "two"}]});
    let second = house.with_headers("POST", "/api/chat", &headers, &body).await;
    assert!(rows(&second.text).len() > 1, "{second:?}");
    let body = json!({"model": CLAUDE, "prompt": "three"});
    house.with_headers("POST", "/v1/completions", &headers, &body).await;
    let sent = mock.requests().pop().unwrap().json();
    let count = sent["messages"].as_array().unwrap().len();
    assert_eq!(count, 5, "{sent}");
}

#[tokio::test]
async fn offline_models_answer_in_the_other_dialects_too() {
    let house = House::new().await;
    let says = "Hello, how can I help?";
    let gemini = house.post("/v1beta/models/mock:generateContent", &gemini_body("hi")).await;
    assert_eq!(gemini.json()["candidates"][0]["content"]["parts"][0]["text"], says, "{gemini:?}");
    let list = house.post("/v1beta/models/mock:streamGenerateContent", &gemini_body("hi")).await;
    assert_eq!(said(list.json().as_array().unwrap()), says);
    let body =
        json!({"model": "mock", "prompt": "hi", "messages": [{"role": "user", "content": "hi"}]});
    let text: String = rows(&house.post("/api/chat", &body).await.text)
        .iter()
        .filter_map(|line| line["message"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, says);
    assert_eq!(house.post("/v1/completions", &body).await.json()["choices"][0]["text"], says);
}

#[tokio::test]
async fn lists_of_models_are_paged_and_shaped_as_their_callers_know_them() {
    let (mock, house) = claude("").await;
    let openai = house.call("GET", &format!("/v1/models/{CLAUDE}")).await.json();
    assert_eq!(openai["created"], 1_709_164_800, "the name says 2024-02-29: {openai}");
    assert_eq!((&openai["id"], &openai["owned_by"]), (&json!(CLAUDE), &json!("anthropic")));
    let unlisted = house.call("GET", "/v1/models/anthropic/claude-other").await;
    assert_eq!(unlisted.json()["id"], "anthropic/claude-other", "{unlisted:?}");
    let none = house.call("GET", "/v1/models/none-such").await;
    assert_eq!(none.json()["error"]["code"], "model_not_found", "{none:?}");
    let version = [("anthropic-version", "2023-06-01")];
    let get = |path: String| async {
        let path = path;
        house.with_headers("GET", &path, &version, &json!(null)).await.json()
    };
    let first = get("/v1/models?limit=2".into()).await;
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &json!(true)));
    let last = first["last_id"].as_str().unwrap().to_owned();
    let rest = get(format!("/v1/models?after_id={last}")).await;
    assert_eq!(rest["has_more"], false);
    let ids: Vec<&str> =
        rest["data"].as_array().unwrap().iter().filter_map(|m| m["id"].as_str()).collect();
    assert!(ids.contains(&CLAUDE) && !ids.contains(&last.as_str()), "{ids:?}");
    let before = get(format!("/v1/models?before_id={CLAUDE}&limit=1")).await;
    assert_eq!(before["data"].as_array().unwrap().len(), 1);
    let gemini = house.call("GET", "/v1beta/models?pageSize=1").await.json();
    let token = gemini["nextPageToken"].as_str().unwrap();
    let next = house.call("GET", &format!("/v1beta/models?pageSize=99&pageToken={token}")).await;
    assert!(next.json()["nextPageToken"].is_null());
    let one = house.call("GET", &format!("/v1beta/models/{CLAUDE}")).await.json();
    assert_eq!(
        (&one["name"], &one["inputTokenLimit"]),
        (&json!(format!("models/{CLAUDE}")), &json!(200_000))
    );
    drop(mock);
}
