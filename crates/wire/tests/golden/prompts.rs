//! Prompts as every dialect writes them.

use serde_json::Value;
use serde_json::value::RawValue;
use wire::dialect::{DIALECTS, named};
use wire::prompt::{Block, Knobs, Message, Prompt, Raw, Role, Tool};

use crate::show::{cases, golden, prompt};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn block(value: &Value) -> Block {
    let content = || value.get("content").map(text).unwrap_or_default();
    if let Some(id) = value.get("call") {
        let input = raw(&value["input"].to_string());
        Block::ToolUse { id: text(id), name: text(&value["name"]), input }
    } else if let Some(id) = value.get("result") {
        let is_error = value.get("is_error").is_some();
        Block::ToolResult { id: text(id), content: content(), is_error }
    } else if let Some(thought) = value.get("thinking") {
        Block::Thinking { text: text(thought), signature: Some(text(&value["signature"])) }
    } else if let Some(kind) = value.get("other") {
        Block::Other { kind: text(kind) }
    } else {
        Block::Text(text(&value["text"]).into())
    }
}

fn message(value: &Value) -> Message {
    let role = Role::parse(value["role"].as_str().unwrap()).unwrap();
    if let Some(dialect) = value.get("raw") {
        let raw = Raw { dialect: text(dialect).into(), json: raw(value["json"].as_str().unwrap()) };
        return named(dialect.as_str().unwrap()).unwrap().message(role, raw).unwrap();
    }
    match value.get("blocks").and_then(Value::as_array) {
        Some(blocks) => Message { role, blocks: blocks.iter().map(block).collect(), raw: None },
        None => Message::text(role, text(&value["text"])),
    }
}

fn knobs(value: &Value) -> Knobs {
    let list = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    Knobs {
        max_tokens: value.get("max_tokens").map(|n| n.as_u64().unwrap().try_into().unwrap()),
        temperature: value.get("temperature").and_then(Value::as_f64),
        top_p: value.get("top_p").and_then(Value::as_f64),
        stop: list("stop").iter().map(text).collect(),
        extra: value.get("extra").and_then(Value::as_object).cloned().unwrap_or_default(),
        ..Knobs::default()
    }
}

fn load(case: &Value) -> Prompt {
    let list = |name: &str| case.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let tool = |value: &Value| Tool {
        description: value.get("description").map(text),
        ..Tool::new(text(&value["name"]), raw(&value["schema"].to_string()))
    };
    Prompt {
        system: case.get("system").map(text),
        tools: list("tools").iter().map(tool).collect(),
        knobs: knobs(case.get("knobs").unwrap_or(&Value::Null)),
        ..prompt(list("messages").iter().map(message).collect())
    }
}

#[test]
fn every_dialect_writes_every_prompt() {
    for (name, bytes) in cases("prompts", "json") {
        let case: Value = serde_json::from_slice(&bytes).unwrap();
        let (prompt, stream) = (load(&case), case.get("stream").is_some());
        for dialect in DIALECTS {
            let body = dialect.write(&prompt, stream);
            let body = String::from_utf8(body).unwrap();
            let parsed: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(parsed.to_string().parse::<Value>().unwrap(), parsed);
            golden(dialect.name(), &format!("{name}.request"), &body);
        }
    }
}

#[test]
fn the_bytes_of_a_message_come_back_in_its_own_dialect() {
    let (_, bytes) = cases("prompts", "json").into_iter().find(|(name, _)| name == "raw").unwrap();
    let case: Value = serde_json::from_slice(&bytes).unwrap();
    let prompt = load(&case);
    for message in &prompt.messages {
        let raw = message.raw.as_ref().unwrap();
        let body = named(&raw.dialect).unwrap().write(&prompt, false);
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(raw.json.get()), "{} is not in {body}", raw.json);
    }
}
