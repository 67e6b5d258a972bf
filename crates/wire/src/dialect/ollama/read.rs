//! Reads whole replies and the last row of a stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Door, content};
use crate::dialect::fields;
use crate::dialect::intake::invalid;
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::dialect::show;
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// A reply, or a row of one: they have the same form.
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) model: Option<String>,
    /// The message, at the door of messages.
    pub(super) message: Option<Box<RawValue>>,
    /// The text, at the other door.
    response: Option<String>,
    thinking: Option<String>,
    #[serde(default)]
    pub(super) done: bool,
    pub(super) done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    pub(super) logprobs: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

impl Row {
    /// Reads a body or a row.
    ///
    /// # Errors
    /// The upstream's error, or `upstream_invalid` for what is no reply.
    pub(super) fn read(door: Door, body: &[u8]) -> Result<Self, Fault> {
        let json: Option<&RawValue> = serde_json::from_slice(body).ok();
        let row: Option<Self> = json.and_then(|json| serde_json::from_str(json.get()).ok());
        let is_reply = |row: &Self| {
            let has_text = match door {
                Door::Chat => row.message.is_some(),
                Door::Generate => row.response.is_some(),
            };
            row.error.is_none() && (has_text || row.done)
        };
        match row.filter(is_reply) {
            Some(row) => Ok(row),
            None => Err(match json.and_then(Report::read) {
                Some(report) => report.streamed(),
                None => invalid("the upstream's answer is not a reply of a model", body),
            }),
        }
    }

    /// The message object; one is made of the text where there is none.
    pub(super) fn object(&self) -> Option<Box<RawValue>> {
        if let Some(message) = &self.message {
            return Some(message.clone());
        }
        fields::raw(show::object(|object| {
            object.string("role", "assistant");
            object.string("content", self.response.as_deref().unwrap_or_default());
            if let Some(thinking) = self.thinking.as_deref().filter(|text| !text.is_empty()) {
                object.string("thinking", thinking);
            }
        }))
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.prompt_eval_count.unwrap_or_default(),
            output: self.eval_count.unwrap_or_default(),
            ..Usage::default()
        }
    }
}

/// Reads a whole reply.
pub(super) fn reply(door: Door, body: &[u8]) -> Result<Reply, Fault> {
    let row = Row::read(door, body)?;
    let object = row.object().ok_or_else(|| invalid("the upstream's answer has no text", body))?;
    let message = message(door, object).map_err(|text| invalid(&text, body))?;
    Ok(Reply {
        id: String::new(),
        stop: stop(row.done_reason.as_deref(), &message),
        message,
        usage: row.usage(),
        confidence: Likely::of(row.logprobs.as_deref()).confidence(),
        model: row.model.unwrap_or_default(),
    })
}

/// Makes the model's message; only the door of messages has a raw form.
pub(super) fn message(door: Door, object: Box<RawValue>) -> Result<Message, String> {
    let mut message = content::answer(object)?;
    if door == Door::Generate {
        message.raw = None;
    }
    Ok(message)
}

/// Reads the reason of an end; a reply that gives none has said all.
pub(super) fn stop(reason: Option<&str>, message: &Message) -> Stop {
    let has_calls = message.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    match reason {
        None | Some("stop" | "load" | "") if has_calls => Stop::ToolUse,
        None | Some("stop" | "load" | "") => Stop::End,
        Some("length") => Stop::MaxTokens,
        Some(other) => Stop::Other(other.to_owned()),
    }
}
