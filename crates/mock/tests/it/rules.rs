//! Which rule answers.

use crate::client::{chat, messages, scripted, send};
use serde_json::json;

async fn text(mock: &mock::Mock, message: &str) -> String {
    messages(mock, message, false).await.json()["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_rule_that_holds_answers() {
    let mock = scripted(
        "[[rule]]\nname = 'weather'\nwhen = { message = 'WEATHER' }\nreply = { text = 'sunny' }\n\
         [[rule]]\nwhen = { model = 'gpt-*' }\nreply = { text = 'gpt' }\n\
         [[rule]]\nwhen = { message = 'weather' }\nreply = { text = 'never' }",
    )
    .await;
    assert_eq!(text(&mock, "how is the weather today").await, "sunny");
    assert_eq!(text(&mock, "x").await, "Hello, how can I help?");
    let body = chat(&mock, "x", false).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], "gpt");
    let names: Vec<Option<String>> = mock.requests().into_iter().map(|r| r.rule).collect();
    assert_eq!(names, [Some("weather".to_owned()), None, None]);
}

#[tokio::test]
async fn a_rule_can_answer_the_nth_or_the_first_few() {
    let mock = scripted(
        "[[rule]]\nwhen = { nth = 2 }\nreply = { text = 'second' }\n\
         [[rule]]\ntimes = 2\nreply = { text = 'early {n}' }\n[default]\ntext = 'late {n}'",
    )
    .await;
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(text(&mock, "x").await);
    }
    assert_eq!(texts, ["early 1", "second", "early 3", "late 4"]);
}

#[tokio::test]
async fn templates_are_filled_in_once() {
    let mock = scripted("[default]\ntext = '{model} {message} {n} {other}'").await;
    assert_eq!(text(&mock, "{n} {model}").await, "claude-sonnet-5-5 {n} {model} 1 {other}");
}

#[tokio::test]
async fn the_last_user_message_counts() {
    let mock = scripted("[default]\ntext = '{message}'").await;
    let body = json!({"model": "m", "max_tokens": 1, "messages": [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": "42"},
            {"type": "text", "text": "last"}]},
        {"role": "assistant", "content": "prefill"},
    ]});
    let seen = send(&mock, "POST /v1/messages", "", &body.to_string()).await.unwrap();
    assert_eq!(seen.json()["content"][0]["text"], "last");
}

#[tokio::test]
async fn a_session_is_found_in_header_or_body() {
    let mock = scripted("[[rule]]\nwhen = { session = 's1' }\nreply = { text = 'known' }").await;
    let body = |extra: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{extra}}}"#)
    };
    for (headers, extra, expected) in [
        ("x-rapport-context: s1\r\n", "", "known"),
        ("x-session-id: s1\r\n", r#","user":"s2""#, "known"),
        ("", r#","metadata":{"user_id":"s1"}"#, "known"),
        ("", r#","user":"s1""#, "known"),
        ("", r#","user":"s2""#, "Hello, how can I help?"),
    ] {
        let path = "POST /v1/chat/completions";
        let seen = send(&mock, path, headers, &body(extra)).await.unwrap().json();
        assert_eq!(seen["choices"][0]["message"]["content"], expected, "{headers}{extra}");
    }
}

#[tokio::test]
async fn only_a_rule_that_names_the_path_touches_the_other_doors() {
    let mock = scripted(
        "[[rule]]\nwhen = { path = '*/models', nth = 2 }\nreply = { status = 503 }\n\
         [[rule]]\nreply = { status = 500 }",
    )
    .await;
    let statuses = [
        send(&mock, "GET /v1/models", "", "").await.unwrap().status,
        send(&mock, "GET /v1/models", "", "").await.unwrap().status,
        messages(&mock, "x", false).await.status,
    ];
    assert_eq!(statuses, [200, 503, 500]);
}
