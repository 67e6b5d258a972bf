//! Whose a call is: the gateway runs joined tools, the caller those that it brought, and nobody
//! what the model made up.

use context::{Content, Entry, Turn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::prompt::{Block, Message, Raw};

/// What a model asks for: id, name, arguments.
pub(super) type Want = (String, String, Value);

/// The calls that a reply asks for: those that are the caller's to run, and all others.
pub(super) fn asks(turn: &Turn, theirs: &[String]) -> (Vec<Want>, Vec<Want>) {
    if turn.message.meta.get("stop_reason").and_then(Value::as_str) != Some("tool_use") {
        return (Vec::new(), Vec::new());
    }
    let message = turn.message.to_message();
    let wants = message.blocks.into_iter().filter_map(|block| match block {
        Block::ToolUse { id, name, input } => {
            let input = serde_json::from_str(input.get()).unwrap_or_else(|_| json!({}));
            Some((id, name, input))
        }
        _ => None,
    });
    wants.partition(|(_, name, _)| theirs.contains(name))
}

/// Leaves out of a reply what its caller did not ask for and cannot answer: all calls but those of
/// its own tools.
pub(super) fn hide(entry: &mut Entry, theirs: &[String]) {
    let is_strange = |name: &str| !theirs.iter().any(|own| own == name);
    let mut message = entry.to_message();
    let calls = |message: &Message| {
        let calls = message.blocks.iter().filter_map(|block| match block {
            Block::ToolUse { name, .. } => Some(is_strange(name)),
            _ => None,
        });
        calls.collect::<Vec<bool>>()
    };
    let all = calls(&message);
    if !all.contains(&true) {
        return;
    }
    if let Some(content) = shortened(&entry.content, &is_strange) {
        entry.content = content;
    } else {
        message
            .blocks
            .retain(|block| !matches!(block, Block::ToolUse { name, .. } if is_strange(name)));
        entry.content = rewritten(&message);
    }
    if !all.contains(&false) {
        // Nothing is left to wait for.
        entry.meta.insert("stop_reason".to_owned(), "end_turn".into());
    }
}

/// The dialect in which a reply that had to be changed is written.
const DIALECT: &str = "anthropic";

/// The content without some calls, where it is a list whose other parts can keep their bytes.
fn shortened(content: &Content, is_strange: &dyn Fn(&str) -> bool) -> Option<Content> {
    let Content::Raw(raw) = content else { return None };
    if &*raw.dialect != DIALECT {
        return None;
    }
    let parts: Vec<&RawValue> = serde_json::from_str(raw.json.get()).ok()?;
    let stays = |part: &&&RawValue| {
        let part: Value = serde_json::from_str(part.get()).unwrap_or_default();
        let name = part.get("name").and_then(Value::as_str).unwrap_or_default();
        part.get("type").and_then(Value::as_str) != Some("tool_use") || !is_strange(name)
    };
    let parts: Vec<&str> = parts.iter().filter(stays).map(|part| part.get()).collect();
    let json = RawValue::from_string(format!("[{}]", parts.join(","))).ok()?;
    Some(Content::Raw(Raw { dialect: DIALECT.into(), json }))
}

/// What every dialect can read of a reply.
fn rewritten(message: &Message) -> Content {
    let parts = message.blocks.iter().filter_map(|block| match block {
        Block::Text(text) => Some(json!({"type": "text", "text": text.as_str()})),
        Block::Thinking { text, .. } => Some(json!({"type": "thinking", "thinking": text})),
        Block::ToolUse { id, name, input } => {
            let input: Value = serde_json::from_str(input.get()).unwrap_or_else(|_| json!({}));
            Some(json!({"type": "tool_use", "id": id, "name": name, "input": input}))
        }
        _ => None,
    });
    let json = RawValue::from_string(Value::Array(parts.collect()).to_string());
    match json {
        Ok(json) => Content::Raw(Raw { dialect: DIALECT.into(), json }),
        // JSON that was just written is JSON.
        Err(_) => Content::Text(message.plain()),
    }
}
