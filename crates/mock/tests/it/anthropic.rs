//! The Messages shape, whole and streamed.

use crate::client::{always, messages, scripted, send};
use mock::{Block, Reply, Script, Thinking, ToolUse};
use serde_json::json;

#[tokio::test]
async fn without_a_script_everything_gets_the_greeting() {
    let mock = crate::client::start(Script::default()).await;
    let seen = messages(&mock, "What is new?", false).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["request-id"], "req_mock_000001");
    assert_eq!(
        seen.json(),
        json!({
            "id": "msg_mock_000001", "type": "message", "role": "assistant",
            "model": "claude-sonnet-5-5",
            "content": [{"type": "text", "text": "Hello, how can I help?"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 3, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": 6,
            },
        })
    );
}

#[tokio::test]
async fn a_stream_has_every_event_in_order() {
    let mock = always(Reply {
        thinking: Some(Thinking { text: "well now".into(), signature: "sig==".into() }),
        fragments: vec!["Hi ".into(), "there".into()],
        tools: vec![ToolUse {
            id: Some("toolu_1".into()),
            name: "weather".into(),
            input: Block::parse(r#"{"city": "Paris", "days": 3}"#).unwrap(),
        }],
        ..Reply::default()
    })
    .await;
    let seen = messages(&mock, "go", true).await;
    assert_eq!(seen.headers["content-type"], "text/event-stream");
    assert!(seen.is_complete);
    let (d, names) = ("content_block_delta", seen.events());
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let (start, stop) = ("content_block_start", "content_block_stop");
    assert_eq!(
        names,
        [
            "message_start",
            start,
            "ping",
            d,
            d,
            d,
            stop,
            start,
            d,
            d,
            stop,
            start,
            d,
            d,
            d,
            stop,
            "message_delta",
            "message_stop",
        ]
    );
    let data = seen.data();
    assert!(data.iter().zip(&names).all(|(data, name)| data["type"] == *name));
    assert_eq!(data[0]["message"]["content"], json!([]));
    assert_eq!(data[1]["content_block"], json!({"type":"thinking","thinking":"","signature":""}));
    assert_eq!(data[5]["delta"], json!({"type": "signature_delta", "signature": "sig=="}));
    assert_eq!(data[8]["delta"], json!({"type": "text_delta", "text": "Hi "}));
    assert_eq!(data[11]["content_block"]["input"], json!({}));
    let deltas = data.iter().filter_map(|event| event["delta"]["partial_json"].as_str());
    assert_eq!(deltas.collect::<String>(), r#"{"city": "Paris", "days": 3}"#);
    assert_eq!(data[16]["delta"]["stop_reason"], "tool_use");
    assert_eq!(data[16]["usage"]["input_tokens"], 1);
}

#[tokio::test]
async fn verbatim_blocks_keep_their_bytes_whole_and_streamed() {
    let odd = r#"{"type":"from_the_future","weight": 1.50,"é":"\u00e9"}"#;
    let text = r#"{"type":"text","text":"two words","citations":[]}"#;
    let tool = r#"{"type":"tool_use","id":"t","name":"n","input":{"x": 1.0}}"#;
    let blocks = [odd, text, tool].map(|text| Block::parse(text).unwrap()).to_vec();
    let mock = always(Reply { blocks, ..Reply::default() }).await;
    let whole = messages(&mock, "go", false).await.text();
    assert!(whole.contains(&format!("[{odd},{text},{tool}]")), "{whole}");
    let streamed = messages(&mock, "go", true).await;
    let opening = format!(r#""index":0,"content_block":{odd}}}"#);
    assert!(streamed.text().contains(&opening), "{}", streamed.text());
    let data = streamed.data();
    let of = |key: &str| data.iter().filter_map(|e| e["delta"][key].as_str()).collect::<String>();
    assert_eq!((of("text").as_str(), of("partial_json").as_str()), ("two words", r#"{"x": 1.0}"#));
    assert!(streamed.text().contains(r#"{"type":"text","text":"","citations":[]}"#));
}

#[tokio::test]
async fn counts_and_models_have_their_own_doors() {
    let mock = scripted("models = ['claude-x', 'claude-y']\n[default]\ntext = 'unused'").await;
    let body = r#"{"model":"claude-x","system":"12345678",
                   "messages":[{"role":"user","content":[{"type":"text","text":"1234"}]}]}"#;
    let count = send(&mock, "POST /v1/messages/count_tokens", "", body).await.unwrap();
    assert_eq!(count.json(), json!({"input_tokens": 3}));
    let version = "anthropic-version: 2023-06-01\r\n";
    let models = send(&mock, "GET /v1/models?limit=5", version, "").await.unwrap().json();
    assert_eq!(models["data"][1]["id"], "claude-y");
    assert_eq!(models["data"][0]["type"], "model");
    assert_eq!((&models["first_id"], &models["has_more"]), (&json!("claude-x"), &json!(false)));
}

#[tokio::test]
async fn scripted_counts_and_reason_are_reported() {
    let mock = scripted(
        "[default]\ntext = 'x'\nstop_reason = 'max_tokens'\n\
         usage = { input_tokens = 7, output_tokens = 9, cache_read_input_tokens = 100 }",
    )
    .await;
    let body = messages(&mock, "go", false).await.json();
    assert_eq!(body["stop_reason"], "max_tokens");
    assert_eq!(body["usage"]["cache_read_input_tokens"], 100);
    let data = messages(&mock, "go", true).await.data();
    assert_eq!(data[0]["message"]["usage"]["input_tokens"], 7);
    assert_eq!(data[data.len() - 2]["usage"]["output_tokens"], 9);
}

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused() {
    let mock = always(Reply::default()).await;
    for (body, part) in [
        ("{", "the body is not valid"),
        (r#"{"messages":[]}"#, "model: field required"),
        (r#"{"model":"m","messages":[]}"#, "messages: at least one"),
        (r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#, "max_tokens"),
    ] {
        let seen = send(&mock, "POST /v1/messages", "", body).await.unwrap();
        let error = seen.json();
        assert_eq!((seen.status, &error["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(error["error"]["message"].as_str().unwrap().contains(part), "{error}");
    }
    let seen = send(&mock, "GET /v1/messages", "", "").await.unwrap();
    assert_eq!(
        (seen.status, seen.json()["error"]["type"].clone()),
        (404, json!("not_found_error"))
    );
}

#[tokio::test]
async fn an_empty_answer_has_no_content() {
    let mock = always(Reply::text("")).await;
    assert_eq!(messages(&mock, "go", false).await.json()["content"], json!([]));
    let events = messages(&mock, "go", true).await.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["message_start", "message_delta", "message_stop"]);
}
