//! The Chat Completions shape, whole and streamed.

use crate::client::{always, chat, scripted, send};
use mock::{Block, Reply, Thinking, ToolUse};
use serde_json::json;

fn tool() -> ToolUse {
    let input = Block::parse(r#"{"city": "Paris"}"#).unwrap();
    ToolUse { id: Some("call_1".into()), name: "weather".into(), input }
}

#[tokio::test]
async fn a_whole_reply_has_choice_and_usage() {
    let mock = always(Reply::text("Hi there")).await;
    let seen = chat(&mock, "12345678", false).await;
    assert_eq!(seen.headers["x-request-id"], "req_mock_000001");
    let body = seen.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(
        body["choices"],
        json!([{
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there", "refusal": null},
            "logprobs": null, "finish_reason": "stop",
        }])
    );
    let usage = &body["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(2), &json!(2)));
    assert_eq!(usage["total_tokens"], 4);
}

#[tokio::test]
async fn a_tool_call_has_text_arguments_and_no_content() {
    let mock = always(Reply { tools: vec![tool()], ..Reply::default() }).await;
    let choice = chat(&mock, "go", false).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], json!(null));
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name":"weather","arguments":"{\"city\": \"Paris\"}"}));
    assert_eq!((&call["id"], &call["type"]), (&json!("call_1"), &json!("function")));
}

#[tokio::test]
async fn a_stream_ends_with_usage_and_done() {
    let mock = always(Reply {
        thinking: Some(Thinking { text: "hm".into(), signature: "unused".into() }),
        fragments: vec!["Hi ".into(), "there".into()],
        tools: vec![tool()],
        ..Reply::default()
    })
    .await;
    let seen = chat(&mock, "go", true).await;
    assert!(seen.is_complete && seen.text().ends_with("data: [DONE]\n\n"));
    let data = seen.data();
    assert!(data.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(data.iter().all(|chunk| chunk["id"] == data[0]["id"]));
    assert_eq!(data[0]["choices"][0]["delta"]["role"], "assistant");
    let of = |key: &str| {
        let deltas = data.iter().filter_map(|c| c["choices"][0]["delta"][key].as_str());
        deltas.collect::<String>()
    };
    assert_eq!((of("content").as_str(), of("reasoning_content").as_str()), ("Hi there", "hm"));
    let call = |c: &serde_json::Value| c["choices"][0]["delta"]["tool_calls"][0].clone();
    let arguments =
        data.iter().filter_map(|c| call(c)["function"]["arguments"].as_str().map(str::to_owned));
    assert_eq!(arguments.collect::<String>(), r#"{"city": "Paris"}"#);
    let finish = &data[data.len() - 2];
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(finish["usage"], json!(null));
    let last = &data[data.len() - 1];
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 1);
}

#[tokio::test]
async fn usage_is_streamed_only_when_asked_for() {
    let mock = always(Reply::text("x")).await;
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let seen = send(&mock, "POST /v1/chat/completions", "", body).await.unwrap();
    assert!(!seen.text().contains("\"usage\""), "{}", seen.text());
}

#[tokio::test]
async fn anthropic_words_are_translated() {
    let mock = scripted(
        "[default]\nstop_reason = 'max_tokens'\nblocks = ['{\"type\":\"text\",\"text\":\"from a \
         block\"}', '{\"type\":\"unknown\"}']\nusage = { input_tokens = 5, \
         cache_read_input_tokens = 10 }",
    )
    .await;
    let body = chat(&mock, "go", false).await.json();
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["choices"][0]["message"]["content"], "from a block");
    assert_eq!(body["usage"]["prompt_tokens"], 15);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 10);
}

#[tokio::test]
async fn the_model_list_and_errors_have_the_openai_shape() {
    let mock = scripted("[[rule]]\nwhen = { message = 'no key' }\nreply = { status = 401 }").await;
    let models = send(&mock, "GET /v1/models", "authorization: Bearer k\r\n", "").await.unwrap();
    assert_eq!(models.json()["object"], "list");
    assert_eq!(models.json()["data"][0]["object"], "model");
    let seen = chat(&mock, "no key", false).await;
    assert_eq!(seen.status, 401);
    assert_eq!(seen.json()["error"]["code"], "invalid_api_key");
}
