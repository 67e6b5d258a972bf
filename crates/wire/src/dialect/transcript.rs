//! A conversation as one text, for dialects that know no messages.

use super::losses::Losses;
use super::pairs;
use crate::prompt::{Block, Message, Prompt, Role};

/// Writes the conversation: a single question as it is, anything longer with who says what, so
/// that the model goes on as the assistant. Parts of the last message that are `carried` stand
/// elsewhere in the request.
pub(super) fn write(
    messages: &[Message],
    carried: impl Fn(&Block) -> bool,
    losses: &Losses,
) -> String {
    if let [only] = messages
        && only.role == Role::User
    {
        return said(only, carried, losses);
    }
    let mut out = String::new();
    for (at, message) in messages.iter().enumerate() {
        let is_last = at.saturating_add(1) == messages.len();
        let text = said(message, |block| is_last && carried(block), losses);
        if text.is_empty() {
            continue;
        }
        out.push_str(match message.role {
            Role::System => "System: ",
            Role::User | Role::Tool => "User: ",
            Role::Assistant => "Assistant: ",
        });
        out.push_str(&text);
        out.push_str("\n\n");
    }
    out.push_str("Assistant:");
    out
}

/// The instructions, with those that stand before the conversation, and the rest.
pub(super) fn split(prompt: &Prompt) -> (String, &[Message]) {
    let leading = prompt.messages.iter().take_while(|m| m.role == Role::System).count();
    let (leading, rest) = prompt.messages.split_at_checked(leading).unwrap_or_default();
    let texts = prompt.system.iter().cloned().chain(leading.iter().map(Message::plain));
    let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    (texts.join("\n\n"), rest)
}

fn said(message: &Message, carried: impl Fn(&Block) -> bool, losses: &Losses) -> String {
    losses.message(message);
    let mut texts: Vec<String> = Vec::new();
    for block in &message.blocks {
        match block {
            Block::Text(text) => texts.push(text.to_string()),
            Block::ToolUse { id, name, input } => {
                texts.push(format!("[Tool call {id}: {name} {input}]"));
            }
            Block::ToolResult { id, content, .. } => texts.push(pairs::orphan(id, content)),
            _ if carried(block) => {}
            Block::Thinking { .. }
            | Block::Image(_)
            | Block::Document(_)
            | Block::Audio(_)
            | Block::Other { .. } => losses.block(block),
        }
    }
    texts.retain(|text| !text.is_empty());
    texts.join("\n\n")
}
