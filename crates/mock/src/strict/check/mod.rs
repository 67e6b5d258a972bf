//! What Anthropic refuses in a conversation, in its words.

use super::spoken::{Piece, Place, Spoken};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};

/// Limit: marks for the cache in one request.
const MARKS_MAX: usize = 4;
/// What a signature of ours begins with.
const SIGNED: &str = "mocksig";

/// The signature of a thought: it stands for the model, for what was said before, and for its own
/// text.
pub(crate) fn signature(spoken: &Spoken, text: &str) -> String {
    sign(&spoken.model, spoken.whole, text)
}

fn sign(model: &str, before: u64, text: &str) -> String {
    let mut hash = DefaultHasher::new();
    hash.write(model.as_bytes());
    hash.write_u64(before);
    hash.write(text.as_bytes());
    format!("{SIGNED}.{model}.{:016x}", hash.finish())
}

/// Looks for what the API would refuse.
///
/// # Errors
/// The text of the refusal.
pub(crate) fn check(spoken: &Spoken) -> Result<(), String> {
    order(spoken)?;
    for at in 0..spoken.messages.len() {
        contents(spoken, at)?;
        pairs(spoken, at)?;
    }
    let marks = spoken.pieces.iter().filter(|piece| piece.mark.is_some()).count();
    if marks > MARKS_MAX {
        return Err(format!(
            "A maximum of {MARKS_MAX} blocks with cache_control may be provided. Found {marks}."
        ));
    }
    spoken.pieces.iter().try_for_each(|piece| thought(spoken, piece))?;
    loop_keeps_its_thoughts(spoken)
}

fn order(spoken: &Spoken) -> Result<(), String> {
    let role = |at: Option<&(String, usize)>| at.map_or("user", |(role, _)| role).to_owned();
    if role(spoken.messages.first()) != "user" {
        return Err("messages: first message must use the \"user\" role".to_owned());
    }
    if role(spoken.messages.last()) == "assistant" {
        return Err("This model does not support assistant message prefill. The conversation \
                    must end with a user message."
            .to_owned());
    }
    for (at, (role, blocks)) in spoken.messages.iter().enumerate() {
        if !["user", "assistant", "system"].contains(&role.as_str()) {
            return Err(format!(
                "messages.{at}.role: Input should be 'user', 'assistant' or 'system'"
            ));
        }
        if *blocks == 0 {
            return Err(format!("messages.{at}: all messages must have non-empty content"));
        }
    }
    Ok(())
}

fn contents(spoken: &Spoken, at: usize) -> Result<(), String> {
    let mut other = false;
    for piece in spoken.of(at) {
        let place = format!("messages.{at}.content.{}", piece.index);
        match piece.kind() {
            "text" if piece.text("text").trim().is_empty() => {
                return Err("messages: text content blocks must be non-empty".to_owned());
            }
            "tool_result" if !piece.is_user => {
                return Err(format!(
                    "{place}: `tool_result` blocks can only be in `user` messages"
                ));
            }
            "tool_result" if other => {
                return Err(format!(
                    "{place}: `tool_result` blocks must come before any other content"
                ));
            }
            "tool_use" | "thinking" | "redacted_thinking" if piece.is_user => {
                return Err(format!(
                    "{place}: `{}` blocks can only be in `assistant` messages",
                    piece.kind()
                ));
            }
            kind => other |= kind != "tool_result",
        }
    }
    Ok(())
}

/// The blocks of the messages of one side that follow `at`, as far as they are joined.
fn answer(spoken: &Spoken, at: usize) -> Vec<&Piece> {
    let mut out = Vec::new();
    for (next, (role, _)) in spoken.messages.iter().enumerate().skip(at + 1) {
        if role == "assistant" {
            break;
        }
        out.extend(spoken.of(next));
    }
    out
}

fn pairs(spoken: &Spoken, at: usize) -> Result<(), String> {
    let is_call = |piece: &&Piece| piece.kind() == "tool_use";
    let is_model = spoken.messages.get(at).is_some_and(|(role, _)| role == "assistant");
    if is_model {
        let results: HashSet<String> =
            answer(spoken, at).iter().map(|p| p.text("tool_use_id").to_owned()).collect();
        let missing: Vec<&str> = spoken
            .of(at)
            .filter(is_call)
            .map(|piece| piece.text("id"))
            .filter(|id| !results.contains(*id))
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "messages.{at}: `tool_use` ids were found without `tool_result` blocks \
                 immediately after: {}. Each `tool_use` block must have a corresponding \
                 `tool_result` block in the next message.",
                missing.join(", ")
            ));
        }
        return Ok(());
    }
    let asked = (0..at).rev().find(|n| spoken.messages.get(*n).is_some_and(|m| m.0 == "assistant"));
    let calls: HashSet<&str> = asked
        .into_iter()
        .flat_map(|n| spoken.of(n).filter(is_call).map(|piece| piece.text("id")))
        .collect();
    let orphan = spoken
        .of(at)
        .filter(|piece| piece.kind() == "tool_result")
        .find(|piece| !calls.contains(piece.text("tool_use_id")));
    match orphan {
        Some(piece) => Err(format!(
            "messages.{at}.content.{}: unexpected `tool_use_id` found in `tool_result` blocks: \
             {}. Each `tool_result` block must have a corresponding `tool_use` block in the \
             previous message.",
            piece.index,
            piece.text("tool_use_id")
        )),
        None => Ok(()),
    }
}

/// A thought must stand behind the very words it was thought after. One of another model is
/// dropped without a word, as the API does.
fn thought(spoken: &Spoken, piece: &Piece) -> Result<(), String> {
    if piece.place != Place::Messages || piece.kind() != "thinking" {
        return Ok(());
    }
    let kept = piece.text("signature");
    let model = kept.strip_prefix(SIGNED).and_then(|rest| rest.strip_prefix('.'));
    let model = model.and_then(|rest| rest.rsplit_once('.')).map(|(model, _)| model);
    if model.is_some_and(|model| model != spoken.model) {
        return Ok(());
    }
    let first = spoken.of(piece.message).next().map_or(piece.before, |first| first.before);
    if kept == sign(&spoken.model, first, piece.text("thinking")) {
        return Ok(());
    }
    Err(format!(
        "messages.{}.content.{}: Invalid `signature` in `thinking` block: the block is bound to a \
         different conversation",
        piece.message, piece.index
    ))
}

/// While `thinking` is enabled, the reply whose calls are being answered begins with a thought.
fn loop_keeps_its_thoughts(spoken: &Spoken) -> Result<(), String> {
    let last = spoken.messages.iter().rposition(|(role, _)| role == "assistant");
    let Some(last) = last.filter(|_| spoken.is_thinking) else { return Ok(()) };
    let answers = answer(spoken, last).iter().any(|piece| piece.kind() == "tool_result");
    let first = spoken.of(last).next().map_or("", Piece::kind);
    if !answers || ["thinking", "redacted_thinking"].contains(&first) {
        return Ok(());
    }
    Err(format!(
        "messages.{last}.content.0.type: Expected `thinking` or `redacted_thinking`, but found \
         `{first}`. When `thinking` is enabled, a final `assistant` message must start with a \
         thinking block."
    ))
}

#[cfg(test)]
mod tests;
