//! The shapes of Cohere and Bedrock, whole and streamed.

use crate::client::{always, send};
use mock::{Block, Reply, ToolUse};
use serde_json::json;

fn reply(input: Block) -> Reply {
    Reply {
        fragments: vec!["Hi ".into(), "there".into()],
        tools: vec![ToolUse { id: Some("call_1".into()), name: "weather".into(), input }],
        ..Reply::default()
    }
}

#[tokio::test]
async fn cohere_is_spoken_whole_and_streamed() {
    let mock = always(reply(Block::parse(r#"{"city": "Paris"}"#).unwrap())).await;
    let ask = |stream: bool| {
        let messages = json!([{"role": "user", "content": "go"}]);
        json!({"model": "m", "messages": messages, "stream": stream}).to_string()
    };
    let whole = send(&mock, "POST /v2/chat", "", &ask(false)).await.unwrap().json();
    assert_eq!(whole["finish_reason"], "TOOL_CALL");
    assert_eq!(whole["message"]["content"], json!([{"type": "text", "text": "Hi there"}]));
    let function = &whole["message"]["tool_calls"][0]["function"];
    assert_eq!(function, &json!({"name": "weather", "arguments": "{\"city\": \"Paris\"}"}));
    let streamed = send(&mock, "POST /v2/chat", "", &ask(true)).await.unwrap();
    assert!(streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
    let events = streamed.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..4], ["message-start", "content-start", "content-delta", "content-delta"]);
    assert_eq!(names[names.len() - 3..], ["tool-call-end", "message-end", ""]);
}

#[tokio::test]
async fn converse_is_spoken_whole_and_in_frames() {
    let mock = always(reply(Block::parse(r#"{"city": "Paris"}"#).unwrap())).await;
    let ask = json!({"messages": [{"role": "user", "content": [{"text": "go"}]}]}).to_string();
    let start = |method: &str| format!("POST /model/a.b-v1%3A0/{method}");
    let whole = send(&mock, &start("converse"), "", &ask).await.unwrap().json();
    assert_eq!(whole["stopReason"], "tool_use");
    let call = json!({"toolUseId": "call_1", "name": "weather", "input": {"city": "Paris"}});
    assert_eq!(
        whole["output"]["message"]["content"],
        json!([{"text": "Hi there"}, {"toolUse": call}])
    );
    let streamed = send(&mock, &start("converse-stream"), "", &ask).await.unwrap();
    assert_eq!(streamed.header("content-type"), "application/vnd.amazon.eventstream");
    let (mut rest, mut count) = (streamed.body.as_slice(), 0);
    while let Some(length) = rest.first_chunk::<4>() {
        rest = &rest[usize::try_from(u32::from_be_bytes(*length)).unwrap()..];
        count += 1;
    }
    assert!(rest.is_empty() && count >= 8, "{count} frames");
    let refused = send(&mock, &start("converse"), "", "{}").await.unwrap();
    assert_eq!((refused.status, refused.header("x-amzn-errortype")), (400, "ValidationException"));
}
