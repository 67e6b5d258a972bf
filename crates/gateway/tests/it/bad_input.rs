//! Bad input at every vendor's API: an error in the caller's shape that names the field, always.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use gateway::settings::{Limits, Settings};
use http::{Request, StatusCode};
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House, claude};

const MODEL: &str = "claude-3-opus-20240229";

/// A caller's API: its path, a good body, and where its errors say what is wrong.
struct Api {
    path: &'static str,
    body: fn() -> Value,
    error: fn(&Value) -> &Value,
}

const APIS: &[Api] = &[
    Api {
        path: "/v1/chat/completions",
        body: || {
            json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}],
            "temperature": 1, "max_tokens": 5, "stop": ["x"], "tools": [{"type": "function",
            "function": {"name": "look", "parameters": {"type": "object"}}}], "tool_choice": "auto",
            "stream": false, "user": "u", "seed": 1, "top_p": 0.5,
            "response_format": {"type": "text"}})
        },
        error: |body| &body["error"]["message"],
    },
    Api {
        path: "/v1/messages",
        body: || {
            json!({"model": MODEL, "max_tokens": 5, "system": "kind", "stream": false,
            "messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["x"],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto"}, "metadata": {"user_id": "u"}, "temperature": 1})
        },
        error: |body| &body["error"]["message"],
    },
    Api {
        path: "/v1/responses",
        body: || {
            json!({"model": MODEL, "input": [{"role": "user", "content": "hi"}],
            "instructions": "kind", "max_output_tokens": 5, "store": true, "stream": false,
            "background": false, "truncation": "auto", "include": [], "metadata": {"a": "b"},
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
            "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"}})
        },
        error: |body| &body["error"]["message"],
    },
    Api {
        path: "/v1/completions",
        body: || {
            json!({"model": MODEL, "prompt": "hi", "max_tokens": 5, "stream": false, "stop": "x",
            "temperature": 0, "suffix": "s", "echo": false})
        },
        error: |body| &body["error"]["message"],
    },
    Api {
        path: "/v1beta/models/claude-3-opus-20240229:generateContent",
        body: || {
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "kind"}]},
            "generationConfig": {"maxOutputTokens": 5, "temperature": 1},
            "tools": [{"functionDeclarations": [{"name": "look"}]}]})
        },
        error: |body| &body["error"]["message"],
    },
    Api {
        path: "/api/chat",
        body: || {
            json!({"model": MODEL, "stream": false, "messages": [{"role": "user", "content": "hi"}],
            "options": {"temperature": 1, "num_predict": 5}, "format": "json",
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]})
        },
        error: |body| &body["error"],
    },
    Api {
        path: "/api/generate",
        body: || {
            json!({"model": MODEL, "stream": false, "prompt": "hi", "system": "kind",
            "options": {"temperature": 1}})
        },
        error: |body| &body["error"],
    },
    Api {
        path: "/v2/chat",
        body: || {
            json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 5, "temperature": 1, "stream": false, "stop_sequences": ["x"]})
        },
        error: |body| &body["message"],
    },
];

async fn start(limits: Limits) -> (Mock, House) {
    let script = Script::parse("default.text = \"good\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let settings = Settings { providers: vec![claude(mock.addr())], limits, ..Settings::default() };
    (mock, House::with(settings).await)
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

/// The error's text, after checking that it is one in the API's own shape.
#[track_caller]
fn said(api: &Api, answer: &Answer) -> String {
    let body = answer.json();
    let text = (api.error)(&body).as_str().unwrap_or_default().to_owned();
    assert!(!text.is_empty(), "{}: not the API's own error: {answer:?}", api.path);
    text
}

#[tokio::test]
async fn every_value_of_a_wrong_type_is_refused_by_name_or_taken() {
    let (_mock, house) = start(Limits::default()).await;
    let wrong = [
        json!(true),
        json!(-1.5),
        json!("text"),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!([{"role": "pirate", "content": "x"}]),
        json!([{"role": "user"}]),
        json!([1]),
        json!({"type": "nothing"}),
        json!(null),
    ];
    let (mut refused, mut number) = (0, 0);
    for api in APIS {
        let good = (api.body)();
        let answer = house.post(api.path, &good).await;
        assert_eq!(answer.status, StatusCode::OK, "{}: {answer:?}", api.path);
        let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
        for field in fields.iter().filter(|field| *field != "model") {
            for value in &wrong {
                // A context of its own for each, so that none grows.
                number += 1;
                let id = format!("c{number}");
                let kept = (number % 3 == 0).then_some(Some(("x-rapport-context", id.as_str())));
                for context in std::iter::once(None).chain(kept) {
                    let mut body = good.clone();
                    body[field] = value.clone();
                    let headers: Vec<_> = context.into_iter().collect();
                    let answer = house.with_headers("POST", api.path, &headers, &body).await;
                    let case = format!("{} {field}={value} {context:?}", api.path);
                    match answer.status {
                        StatusCode::OK => {}
                        StatusCode::BAD_REQUEST => {
                            let text = said(api, &answer);
                            let names = text.contains(field.as_str());
                            let elsewhere = text.contains("message") || text.contains("content");
                            // The same API on both ends: the provider's own words.
                            let is_theirs = api.path == "/v1/messages"
                                && (context.is_none() || text.contains("the upstream refuses"));
                            assert!(
                                names || elsewhere || is_theirs,
                                "{case}: `{text}` names no field"
                            );
                            refused += 1;
                        }
                        _ => panic!("{case}: {answer:?}"),
                    }
                }
            }
        }
    }
    assert!(refused > 200, "only {refused} were refused");
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_the_callers_shape() {
    let (mock, house) = start(Limits::default()).await;
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for api in APIS {
        let good = (api.body)();
        let no_model = {
            let mut body = good.clone();
            body.as_object_mut().unwrap().retain(|name, _| {
                !["messages", "input", "prompt", "contents"].contains(&name.as_str())
            });
            body.to_string()
        };
        let mut nested = good.clone();
        nested["metadata"] = json!("DEEP");
        let nested = nested.to_string().replace("\"DEEP\"", &deep(100_000));
        for body in [
            "",
            "nonsense",
            "{\"model\":",
            "[]",
            "\"text\"",
            "null",
            "{\"a\":\"\\ud800\"}",
            no_model.as_str(),
            nested.as_str(),
        ] {
            let before = mock.requests().len();
            let answer = house.send(post(api.path, body.to_owned())).await;
            let shown: String = body.chars().take(60).collect();
            // Ollama loads a model where nothing is asked; what is passed on is not looked into.
            let is_prompt =
                api.path.starts_with("/api/") && (body == no_model || body.starts_with("{\"a\""));
            let is_passed = api.path == "/v1/messages" && body.ends_with('}');
            if !is_prompt && !is_passed {
                assert_eq!(
                    answer.status,
                    StatusCode::BAD_REQUEST,
                    "{} {shown}: {answer:?}",
                    api.path
                );
                said(api, &answer);
                assert_eq!(mock.requests().len(), before, "{} {shown}", api.path);
            }
        }
        let bytes = Bytes::from_static(b"{\"messages\":\"\xff\",\"prompt\":\"\xff\"}");
        let answer = house.send(post(api.path, bytes)).await;
        assert!(answer.status.is_client_error(), "{}: {answer:?}", api.path);
        let request = Request::post(api.path).header("content-type", "text/plain");
        let answer = house.send(request.body(Body::from(good.to_string())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}: {answer:?}", api.path);
        assert!(said(api, &answer).contains("text/plain"));
        // Of a key that stands twice the last counts, everywhere alike.
        let twice =
            good.to_string().replacen('{', "{\"temperature\":\"hot\",\"temperature\":1,", 1);
        let answer = house.send(post(api.path, twice)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}: {answer:?}", api.path);
    }
}

#[tokio::test]
async fn what_came_instead_is_named() {
    let (mock, house) = start(Limits::default()).await;
    for api in APIS {
        let good = (api.body)().to_string();
        let marked = format!("\u{feff}{good}");
        for (body, named) in [
            (Vec::new(), "is empty"),
            (marked.clone().into_bytes(), "byte order mark"),
            (marked.encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-8"),
            (b"[]".to_vec(), "got a"),
            (b"7".to_vec(), "got `7`"),
        ] {
            let answer = house.send(post(api.path, body)).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{} {named}: {answer:?}", api.path);
            let text = said(api, &answer);
            assert!(text.contains(named), "{}: `{text}` does not name `{named}`", api.path);
        }
        let request = Request::post(api.path)
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        let answer = house.send(request.body(Body::from("\x1f")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}: {answer:?}", api.path);
        assert!(said(api, &answer).contains("`gzip`"));
        let id = answer.headers.get("request-id");
        assert_eq!(id.is_some(), api.path == "/v1/messages", "{}: {answer:?}", api.path);
    }
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_too_slow_or_cut_off_is_refused() {
    let limits =
        Limits { body_bytes: 100_000, body_read: Duration::from_millis(200), ..Limits::default() };
    let (mock, house) = start(limits).await;
    for api in APIS {
        let large = json!({"model": MODEL, "padding": "x".repeat(200_000)}).to_string();
        let answer = house.send(post(api.path, large)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}: {answer:?}", api.path);
        let text = said(api, &answer);
        assert!(text.contains("100000") && text.contains("limits.body_bytes"), "{text}");
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let stuck = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let answer = house.send(post(api.path, Body::from_stream(stuck))).await;
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{}: {answer:?}", api.path);
        assert!(said(api, &answer).contains("limits.body_read"));
        let cut = futures_util::stream::iter([
            Ok(Bytes::from_static(b"{\"model\":")),
            Err(std::io::Error::other("reset by peer")),
        ]);
        let answer = house.send(post(api.path, Body::from_stream(cut))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}: {answer:?}", api.path);
        said(api, &answer);
    }
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn sixty_four_mebibytes_are_taken() {
    let (mock, house) = start(Limits::default()).await;
    let limit = Limits::default().body_bytes;
    let text = "x".repeat(limit - 200);
    let body =
        json!({"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": text}]});
    let answer = house.post("/v1/messages", &body).await;
    assert_eq!((answer.status, limit), (StatusCode::OK, 64 * 1024 * 1024), "{answer:?}");
    assert_eq!(mock.requests().pop().unwrap().body.len(), body.to_string().len());
}
