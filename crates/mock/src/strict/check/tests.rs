//! Every refusal, in the words of the API, and what passes.

use super::*;
use serde_json::{Value, json};

#[track_caller]
fn said(body: &Value) -> Result<(), String> {
    check(&Spoken::read(body.to_string().as_bytes()))
}

#[track_caller]
fn refused(messages: &Value, part: &str) {
    let text = said(&json!({"model": "m", "messages": messages})).unwrap_err();
    assert!(text.contains(part), "{text}");
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn model(blocks: &Value) -> Value {
    json!({"role": "assistant", "content": blocks})
}

fn call(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "t", "input": {}})
}

fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "r"})
}

#[test]
fn calls_and_results_come_in_pairs_and_in_order() {
    let asks = model(&json!([call("a"), call("b")]));
    let whole = json!({"role": "user", "content": [result("a"), result("b")]});
    let good = json!([user("x"), asks, whole, model(&json!("y")), user("z")]);
    assert_eq!(said(&json!({"model": "m", "messages": good})), Ok(()));
    let half = json!({"role": "user", "content": [result("a")]});
    refused(&json!([user("x"), asks, half]), "without `tool_result` blocks immediately after: b");
    refused(&json!([{"role": "user", "content": [result("a")]}]), "unexpected `tool_use_id`");
    let late = json!({"role": "user", "content": [{"type": "text", "text": "t"}, result("a")]});
    refused(&json!([user("x"), model(&json!([call("a")])), late]), "must come before any other");
    // Two messages of one side are one.
    let split = json!([user("x"), asks, half, {"role": "user", "content": [result("b")]}]);
    assert_eq!(said(&json!({"model": "m", "messages": split})), Ok(()));
}

#[test]
fn a_conversation_begins_and_ends_with_the_user_and_nothing_is_empty() {
    refused(&json!([model(&json!("x")), user("y")]), "first message must use the \"user\" role");
    refused(&json!([user("y"), model(&json!("x"))]), "must end with a user message");
    refused(&json!([user(" ")]), "must be non-empty");
    refused(&json!([{"role": "user", "content": []}]), "non-empty content");
    refused(&json!([user("y"), {"role": "robot", "content": "x"}]), "messages.1.role");
}

#[test]
fn a_thought_is_bound_to_what_was_said_before_it() {
    let question = json!({"model": "m", "system": "s", "messages": [user("x")]});
    let signed = signature(&Spoken::read(question.to_string().as_bytes()), "hm");
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": signed});
    let reply = model(&json!([thought, {"type": "text", "text": "y"}]));
    let next = |system: &Value, model: &str, first: &Value| {
        said(&json!({"model": model, "system": system, "messages": [first, reply, user("z")]}))
    };
    assert_eq!(next(&json!("s"), "m", &user("x")), Ok(()));
    // The form does not count, marks do not count.
    let marked = json!([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]);
    assert_eq!(next(&marked, "m", &user("x")), Ok(()));
    for (system, first) in [("t", "x"), ("s", "w")] {
        let text = next(&json!(system), "m", &user(first)).unwrap_err();
        assert!(text.contains("messages.1.content.0: Invalid `signature`"), "{text}");
    }
    // Another model drops what it cannot read.
    assert_eq!(next(&json!("t"), "n", &user("w")), Ok(()));
}

#[test]
fn a_tool_loop_keeps_its_thoughts_while_thinking_is_enabled() {
    let results = json!({"role": "user", "content": [result("a")]});
    let mut body = json!({
        "model": "m", "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [user("x"), model(&json!([call("a")])), results],
    });
    let text = said(&body).unwrap_err();
    assert!(text.contains("Expected `thinking`"), "{text}");
    body["thinking"] = json!({"type": "adaptive"});
    assert_eq!(said(&body), Ok(()));
}

#[test]
fn five_marks_are_one_too_many() {
    let mark = json!({"type": "ephemeral"});
    let block = |text: &str| json!({"type": "text", "text": text, "cache_control": mark});
    let blocks: Vec<Value> = ["a", "b", "c", "d"].iter().map(|text| block(text)).collect();
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": blocks}]});
    assert_eq!(said(&body), Ok(()));
    body["system"] = json!([block("s")]);
    assert!(said(&body).unwrap_err().contains("Found 5"));
}
