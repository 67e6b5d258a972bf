//! Marks for Anthropic's prompt cache, set where the caller set none.
//!
//! One at the end of the instructions, one at the end of what stands in for older messages, one
//! at the end of the request (by the field that follows it by itself), and one where the request
//! before ended when more blocks came than a provider looks back. Marks are no part of what is
//! said: they are set when the request has been judged.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::prompt::{Block, Message, Prompt, Raw, Role};

use crate::model::Upstream;

const DIALECT: &str = "anthropic";
const FIELD: &str = "cache_control";
const MARK: &str = r#"{"type":"ephemeral"}"#;
/// A provider looks twenty blocks back; some of them may be split or joined on its side.
const REACH: usize = 15;

/// Sets the marks. `parts` are the instructions and what stands in for older messages.
pub(super) fn set(prompt: &mut Prompt, upstream: &Upstream, mut parts: Vec<String>) {
    if upstream.row_name() != DIALECT || upstream.dialect().name() != DIALECT || is_marked(prompt) {
        return;
    }
    let end = json!({"type": "ephemeral"});
    prompt.knobs.extra.insert(FIELD.to_owned(), end);
    let leading = prompt.messages.iter().take_while(|message| message.role == Role::System);
    parts.extend(leading.map(Message::plain).filter(|text| !text.is_empty()));
    // The last two: a request takes four marks in all.
    let plain = parts.len().saturating_sub(2);
    let blocks: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(at, text)| if at < plain { plain_text(text) } else { marked_text(text) })
        .collect();
    if !blocks.is_empty() && prompt.system_raw.is_none() {
        prompt.system_raw = raw(format!("[{}]", blocks.join(",")));
    }
    if let Some(message) = far_end(&mut prompt.messages) {
        mark(message);
    }
}

/// Whether the caller has marks of its own.
fn is_marked(prompt: &Prompt) -> bool {
    let marked = |raw: &Option<Raw>| raw.as_ref().is_some_and(|r| r.json.get().contains(FIELD));
    let private = prompt.private.iter().flat_map(|private| &private.fields);
    prompt.knobs.extra.contains_key(FIELD)
        || private.into_iter().any(|field| field.name == FIELD)
        || marked(&prompt.system_raw)
        || prompt.tools.iter().any(|tool| marked(&tool.raw))
        || prompt.messages.iter().any(|message| marked(&message.raw))
}

/// The message with which the request before ended, if that is too far from the end of this one.
fn far_end(messages: &mut [Message]) -> Option<&mut Message> {
    let mut blocks = 0_usize;
    let mut is_past_reply = false;
    for message in messages.iter_mut().rev() {
        let is_model = message.role == Role::Assistant;
        if is_past_reply && !is_model {
            return (blocks > REACH).then_some(message);
        }
        is_past_reply |= is_model;
        blocks = blocks.saturating_add(message.blocks.len());
    }
    None
}

/// Marks the last block of a message, where that can be done without a change of its words.
fn mark(message: &mut Message) {
    let marked = match &message.raw {
        Some(own) if &*own.dialect == DIALECT => end_marked(own.json.get()),
        Some(_) => None,
        None => match message.blocks.as_slice() {
            [Block::Text(text)] if !text.is_blank() => Some(format!("[{}]", marked_text(text))),
            _ => None,
        },
    };
    if let Some(marked) = marked.and_then(raw) {
        message.raw = Some(marked);
    }
}

/// A content with a mark at its last block.
fn end_marked(json: &str) -> Option<String> {
    if json.starts_with('"') {
        let text: String = serde_json::from_str(json).ok()?;
        return (!text.trim().is_empty()).then(|| format!("[{}]", marked_text(&text)));
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let (last, before) = blocks.split_last()?;
    let open = last.get().trim_end().strip_suffix('}')?;
    // A thought takes no mark.
    let kind: Value = serde_json::from_str(last.get()).ok()?;
    if kind.get("type").is_some_and(|kind| kind == "thinking" || kind == "redacted_thinking") {
        return None;
    }
    let mut out = String::from("[");
    for block in before {
        out.push_str(block.get());
        out.push(',');
    }
    out.push_str(open);
    out.push_str(&format!(",\"{FIELD}\":{MARK}}}]"));
    Some(out)
}

fn plain_text(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, Value::from(text))
}

fn marked_text(text: &str) -> String {
    format!(r#"{{"type":"text","text":{},"{FIELD}":{MARK}}}"#, Value::from(text))
}

fn raw(json: String) -> Option<Raw> {
    let json = RawValue::from_string(json).ok()?;
    Some(Raw { dialect: DIALECT.into(), json })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_at_the_last_block_and_changes_nothing_else() {
        assert_eq!(
            end_marked(r#"[{"a": 1.50},{"type":"x" }]"#).unwrap(),
            r#"[{"a": 1.50},{"type":"x" ,"cache_control":{"type":"ephemeral"}}]"#
        );
        assert_eq!(
            end_marked(r#""hi""#).unwrap(),
            r#"[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]"#
        );
        assert_eq!(end_marked(r#"[{"type":"thinking","thinking":"","signature":"s"}]"#), None);
        assert_eq!(end_marked("[]"), None);
    }

    #[test]
    fn a_far_end_is_the_end_of_the_request_before() {
        let text = |role, blocks: usize| Message {
            role,
            blocks: vec![Block::Text("x".into()); blocks],
            raw: None,
        };
        let (user, model) = (Role::User, Role::Assistant);
        let mut near = [text(user, 1), text(model, 3), text(user, 1)];
        assert!(far_end(&mut near).is_none());
        let mut far =
            [text(user, 1), text(model, 1), text(user, 2), text(model, 15), text(user, 1)];
        assert_eq!(far_end(&mut far).unwrap().blocks.len(), 2);
        assert!(far_end(&mut [text(user, 40)]).is_none());
    }
}
