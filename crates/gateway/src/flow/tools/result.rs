//! A tool's result as a model reads it, in the form that every dialect can translate.

use std::sync::Arc;

use context::Content;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::prompt::Raw;

/// Limit: characters of one result; a longer one is cut, and says so.
const RESULT_CHARS_MAX: usize = 100_000;
/// The dialect in which results are kept.
const DIALECT: &str = "anthropic";

/// A result that says what went wrong.
pub(super) fn failed(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

pub(super) fn is_error(result: &Value) -> bool {
    result.get("isError") == Some(&Value::Bool(true))
}

/// One result as a block.
pub(super) fn block(id: &str, result: &Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": parts(result),
           "is_error": is_error(result)})
}

/// Results as one message.
pub(super) fn content(blocks: Vec<Value>) -> Content {
    let text = Value::Array(blocks).to_string();
    match RawValue::from_string(text) {
        Ok(json) => Content::Raw(Raw { dialect: Arc::from(DIALECT), json }),
        // JSON that was just written is JSON.
        Err(_) => Content::Text(String::new()),
    }
}

fn parts(result: &Value) -> Value {
    let blocks = result.get("content").and_then(Value::as_array);
    let mut parts: Vec<Value> = blocks.into_iter().flatten().map(part).collect();
    if parts.is_empty() {
        let structured = result.get("structuredContent").map(ToString::to_string);
        parts.push(text(&structured.unwrap_or_else(|| "done, without a word".to_owned())));
    }
    // One text stands for itself: every dialect knows that.
    match parts.as_slice() {
        [one] if one.get("type") == Some(&Value::from("text")) => {
            one.get("text").cloned().unwrap_or_default()
        }
        _ => Value::Array(parts),
    }
}

fn part(block: &Value) -> Value {
    let field = |name: &str| block.get(name).and_then(Value::as_str);
    match field("type") {
        Some("text") => text(field("text").unwrap_or_default()),
        Some("image") => match (field("data"), field("mimeType")) {
            (Some(data), Some(kind)) => json!({"type": "image", "source":
                {"type": "base64", "media_type": kind, "data": data}}),
            _ => text("[a picture without data]"),
        },
        Some("resource_link") => text(&format!(
            "[{}]({})",
            field("name").unwrap_or("resource"),
            field("uri").unwrap_or("")
        )),
        Some("resource") => {
            let inner = block.get("resource");
            let inner = |name: &str| inner.and_then(|inner| inner.get(name)?.as_str());
            match (inner("text"), inner("uri")) {
                (Some(words), _) => text(words),
                (None, uri) => text(&format!("[the resource {}]", uri.unwrap_or("without a name"))),
            }
        }
        Some("audio") => text("[a sound that cannot be read here]"),
        _ => text(&block.to_string()),
    }
}

fn text(words: &str) -> Value {
    let mut words = words.to_owned();
    let count = words.chars().count();
    if count > RESULT_CHARS_MAX {
        words = words.chars().take(RESULT_CHARS_MAX).collect();
        words.push_str(&format!("\n[cut: {} more characters]", count - RESULT_CHARS_MAX));
    }
    json!({"type": "text", "text": words})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_every_kind_are_read_by_models() {
        let one = block("c1", &json!({"content": [{"type": "text", "text": "hi"}]}));
        assert_eq!(one["content"], "hi");
        assert_eq!((&one["tool_use_id"], &one["is_error"]), (&json!("c1"), &json!(false)));
        let many = block(
            "c2",
            &json!({"isError": true, "content": [
            {"type": "text", "text": "see"},
            {"type": "image", "data": "AA==", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "a://b", "text": "inside"}},
            {"type": "resource_link", "uri": "a://c", "name": "c"},
            {"type": "strange", "x": 1}]}),
        );
        assert_eq!(many["is_error"], true);
        assert_eq!(many["content"][1]["source"]["media_type"], "image/png");
        assert_eq!(many["content"][2]["text"], "inside");
        assert_eq!(many["content"][3]["text"], "[c](a://c)");
        assert!(many["content"][4]["text"].as_str().unwrap().contains("strange"));
        let structured = block("c3", &json!({"structuredContent": {"a": 1}}));
        assert_eq!(structured["content"], "{\"a\":1}");
        let long = "é".repeat(RESULT_CHARS_MAX + 5);
        let cut = block("c4", &json!({"content": [{"type": "text", "text": long}]}));
        assert!(cut["content"].as_str().unwrap().ends_with("[cut: 5 more characters]"));
    }
}
