//! Every caller's API in front of every upstream's: text, streams, tools, errors.

use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};
use wire::frame::eventstream::{Decoder, Frame};

use crate::house::{Answer, House};

pub(crate) const UPSTREAMS: &[&str] = &[
    "anthropic",
    "openai_chat",
    "openai_responses",
    "gemini",
    "ollama_chat",
    "cohere_chat",
    "bedrock_converse",
];

/// A caller's API: how it asks, and where its answer stands.
struct Caller {
    name: &'static str,
    path: fn(bool) -> &'static str,
    body: fn(bool, bool) -> Value,
    text: fn(&Value) -> String,
    /// The piece of text in one event of a stream.
    piece: fn(&Value) -> String,
    /// Name and arguments of the first tool call.
    tool: fn(&Value) -> (String, Value),
}

fn said(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn talk() -> Value {
    let user = json!({"role": "user", "content": "weather?"});
    json!([{"role": "system", "content": "be kind"}, user])
}

fn with(mut body: Value, field: &str, wanted: bool, value: Value) -> Value {
    if wanted {
        body[field] = value;
    }
    body
}

const CALLERS: &[Caller] = &[
    Caller {
        name: "anthropic",
        path: |_| "/v1/messages",
        body: |stream, tools| {
            let body = json!({"model": "m", "max_tokens": 50, "stream": stream, "system": "be kind",
                              "messages": [{"role": "user", "content": "weather?"}]});
            let tool = json!([{"name": "look", "description": "d", "input_schema": schema()}]);
            with(body, "tools", tools, tool)
        },
        text: |body| said(&body["content"][0]["text"]),
        piece: |event| said(&event["delta"]["text"]),
        tool: |body| {
            let call = body["content"]
                .as_array()
                .and_then(|blocks| blocks.iter().find(|block| block["type"] == "tool_use"))
                .cloned()
                .unwrap_or_default();
            (said(&call["name"]), call["input"].clone())
        },
    },
    Caller {
        name: "openai_chat",
        path: |_| "/v1/chat/completions",
        body: |stream, tools| {
            let body = json!({"model": "m", "stream": stream, "messages": talk()});
            let function = json!({"name": "look", "description": "d", "parameters": schema()});
            with(body, "tools", tools, json!([{"type": "function", "function": function}]))
        },
        text: |body| said(&body["choices"][0]["message"]["content"]),
        piece: |event| said(&event["choices"][0]["delta"]["content"]),
        tool: |body| {
            let function = &body["choices"][0]["message"]["tool_calls"][0]["function"];
            let arguments = function["arguments"].as_str().unwrap_or("null");
            (said(&function["name"]), serde_json::from_str(arguments).unwrap())
        },
    },
    Caller {
        name: "gemini",
        path: |stream| {
            if stream {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                "/v1beta/models/m:generateContent"
            }
        },
        body: |_, tools| {
            let body = json!({"systemInstruction": {"parts": [{"text": "be kind"}]},
                              "contents": [{"role": "user", "parts": [{"text": "weather?"}]}]});
            let function = json!({"name": "look", "description": "d", "parameters": schema()});
            with(body, "tools", tools, json!([{"functionDeclarations": [function]}]))
        },
        text: |body| said(&body["candidates"][0]["content"]["parts"][0]["text"]),
        piece: |event| said(&event["candidates"][0]["content"]["parts"][0]["text"]),
        tool: |body| {
            let call = &body["candidates"][0]["content"]["parts"][0]["functionCall"];
            (said(&call["name"]), call["args"].clone())
        },
    },
    Caller {
        name: "ollama_chat",
        path: |_| "/api/chat",
        body: |stream, tools| {
            let body = json!({"model": "m", "stream": stream, "messages": talk()});
            let function = json!({"name": "look", "description": "d", "parameters": schema()});
            with(body, "tools", tools, json!([{"type": "function", "function": function}]))
        },
        text: |body| said(&body["message"]["content"]),
        piece: |event| said(&event["message"]["content"]),
        tool: |body| {
            let call = &body["message"]["tool_calls"][0]["function"];
            (said(&call["name"]), call["arguments"].clone())
        },
    },
    Caller {
        name: "cohere_chat",
        path: |_| "/v2/chat",
        body: |stream, tools| {
            let body = json!({"model": "m", "stream": stream, "messages": talk()});
            let function = json!({"name": "look", "description": "d", "parameters": schema()});
            with(body, "tools", tools, json!([{"type": "function", "function": function}]))
        },
        text: |body| said(&body["message"]["content"][0]["text"]),
        piece: |event| said(&event["delta"]["message"]["content"]["text"]),
        tool: |body| {
            let function = &body["message"]["tool_calls"][0]["function"];
            let arguments = function["arguments"].as_str().unwrap_or("null");
            (said(&function["name"]), serde_json::from_str(arguments).unwrap())
        },
    },
];

pub(crate) async fn town(dialect: &str, script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let mut provider = ProviderSettings::new("up", dialect, &format!("http://{}", mock.addr()));
    provider.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    provider.models = vec!["m".into()];
    provider.retries = 0;
    let house = House::with(Settings { providers: vec![provider], ..Settings::default() }).await;
    (mock, house)
}

/// The JSON of every event of a stream, whatever frames them.
fn events(answer: &Answer) -> Vec<Value> {
    let lines = answer.text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    lines.filter(|line| line.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn text_comes_through_whole_and_streamed() {
    for upstream in UPSTREAMS {
        let script = "default.fragments = [\"good \", \"day \", \"to you\"]\n\
                      default.usage = { input_tokens = 11, output_tokens = 7 }";
        let (mock, house) = town(upstream, script).await;
        for caller in CALLERS {
            let pair = format!("{} in front of {upstream}", caller.name);
            let whole = house.post((caller.path)(false), &(caller.body)(false, false)).await;
            assert_eq!(whole.status, StatusCode::OK, "{pair}: {whole:?}");
            assert_eq!((caller.text)(&whole.json()), "good day to you", "{pair}: {whole:?}");
            assert!(whole.text.contains("11") && whole.text.contains('7'), "{pair}: {whole:?}");
            let streamed = house.post((caller.path)(true), &(caller.body)(true, false)).await;
            assert_eq!(streamed.status, StatusCode::OK, "{pair}: {streamed:?}");
            let text: String =
                events(&streamed).iter().map(|event| (caller.piece)(event)).collect();
            assert_eq!(text, "good day to you", "{pair}: {streamed:?}");
            let sent = mock.requests().pop().unwrap();
            let sent = String::from_utf8_lossy(&sent.body).into_owned();
            assert!(sent.contains("be kind") && sent.contains("weather?"), "{pair}: {sent}");
        }
    }
}

#[tokio::test]
async fn tool_calls_come_through_whole_and_streamed() {
    for upstream in UPSTREAMS {
        let script = "[[default.tools]]\nid = \"call_1\"\nname = \"look\"\n\
                      input = { city = \"Rome\" }";
        let (mock, house) = town(upstream, script).await;
        for caller in CALLERS {
            let pair = format!("{} in front of {upstream}", caller.name);
            let whole = house.post((caller.path)(false), &(caller.body)(false, true)).await;
            assert_eq!(whole.status, StatusCode::OK, "{pair}: {whole:?}");
            let (name, arguments) = (caller.tool)(&whole.json());
            assert_eq!((name.as_str(), &arguments), ("look", &json!({"city": "Rome"})), "{pair}");
            let streamed = house.post((caller.path)(true), &(caller.body)(true, true)).await;
            assert_eq!(streamed.status, StatusCode::OK, "{pair}: {streamed:?}");
            assert!(streamed.text.contains("look"), "{pair}: {streamed:?}");
            assert!(streamed.text.contains("Rome"), "{pair}: {streamed:?}");
            let sent = mock.requests().pop().unwrap();
            let sent = String::from_utf8_lossy(&sent.body).into_owned();
            assert!(sent.contains("\"look\""), "the tool is declared, {pair}: {sent}");
        }
    }
}

#[tokio::test]
async fn errors_have_the_callers_shape_whoever_made_them() {
    for upstream in UPSTREAMS {
        let script = "default.status = 400\ndefault.error.message = \"not like this\"";
        let (_mock, house) = town(upstream, script).await;
        for caller in CALLERS {
            for stream in [false, true] {
                let pair = format!("{} in front of {upstream}, {stream}", caller.name);
                let answer = house.post((caller.path)(stream), &(caller.body)(stream, false)).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{pair}: {answer:?}");
                assert!(answer.text.contains("not like this"), "{pair}: {answer:?}");
                let body = answer.json();
                let shaped = match caller.name {
                    "anthropic" => body["type"] == "error" && body["error"]["type"].is_string(),
                    "openai_chat" => body["error"]["message"].is_string(),
                    "gemini" => body["error"]["code"] == 400,
                    "cohere_chat" => body["message"].is_string(),
                    _ => body["error"].is_string(),
                };
                assert!(shaped, "{pair}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn converse_is_answered_by_every_upstream_in_json_and_in_frames() {
    for upstream in UPSTREAMS {
        let script = "default.fragments = [\"good \", \"day \", \"to you\"]";
        let (_mock, house) = town(upstream, script).await;
        let asked = json!({"messages": [{"role": "user", "content": [{"text": "weather?"}]}]});
        let whole = house.post("/model/m/converse", &asked).await;
        assert_eq!(whole.status, StatusCode::OK, "{upstream}: {whole:?}");
        let body = whole.json();
        let text = &body["output"]["message"]["content"][0]["text"];
        assert_eq!((text, &body["stopReason"]), (&json!("good day to you"), &json!("end_turn")));
        let streamed = house.post("/model/m/converse-stream", &asked).await;
        assert_eq!(streamed.headers["content-type"], "application/vnd.amazon.eventstream");
        let (mut decoder, mut frames) = (Decoder::new(1 << 20), Vec::new());
        decoder.push(&streamed.bytes, &mut frames).unwrap();
        assert!(!decoder.is_midway(), "{upstream}");
        let names: Vec<&str> = frames.iter().filter_map(|f| f.header(":event-type")).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("messageStart", "metadata"), "{upstream}");
        let piece = |frame: &Frame| -> Value { serde_json::from_slice(&frame.payload).unwrap() };
        let pieces = frames.iter().map(|frame| said(&piece(frame)["delta"]["text"]));
        assert_eq!(pieces.collect::<String>(), "good day to you", "{upstream}");
    }
}

#[tokio::test]
async fn errors_of_converse_have_its_shape() {
    let house = House::with(Settings::default()).await;
    let wrong = house.post("/model/demo/converse", &json!({"messages": "no"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    assert_eq!(wrong.json()["__type"], "ValidationException", "{wrong:?}");
    let unknown = house
        .post(
            "/model/nobody.has-it%3A0/converse",
            &json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]}),
        )
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{unknown:?}");
    assert!(unknown.text.contains("nobody.has-it:0"), "{unknown:?}");
}
