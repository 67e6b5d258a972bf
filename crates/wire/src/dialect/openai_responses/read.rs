//! Reads whole replies, token counts and the reasons of their end.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use crate::dialect::counts::{self, Place};
use crate::dialect::fields::Fields;
use crate::dialect::intake::invalid;
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

#[derive(Deserialize)]
pub(super) struct Whole {
    id: Option<String>,
    model: Option<String>,
    status: Option<String>,
    pub(super) output: Box<RawValue>,
    incomplete_details: Option<Box<RawValue>>,
    usage: Option<Box<RawValue>>,
}

/// Where the counts of a reply are.
const COUNTS: Place =
    Place { counts: "usage", answer: "output", end: Some(("status", &["failed"])) };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(Some(counts::find(body, COUNTS)?)))
}

/// Reads a whole reply.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let json: Option<&RawValue> = serde_json::from_slice(body).ok();
    let whole: Option<Whole> = json.and_then(|json| serde_json::from_str(json.get()).ok());
    match whole {
        Some(whole) if whole.status.as_deref() != Some("failed") => whole.reply(body),
        _ => Err(failed(json, body)),
    }
}

/// The fault of a reply that failed, or of what is no reply.
pub(super) fn failed(json: Option<&RawValue>, body: &[u8]) -> Fault {
    match json.and_then(Report::read) {
        Some(report) => report.streamed(),
        None => invalid("the upstream's answer is not a response", body),
    }
}

impl Whole {
    pub(super) fn reply(self, body: &[u8]) -> Result<Reply, Fault> {
        let is_cut = self.status.as_deref() == Some("incomplete");
        let refuses = content::refuses(&self.output);
        // Most replies have none: they are not read twice.
        let has_any = self.output.get().contains("\"logprob\"");
        let likely = Likely::of(has_any.then_some(&*self.output));
        let message = content::answer(self.output, is_cut).map_err(|text| invalid(&text, body))?;
        let details = self.incomplete_details.as_deref().and_then(Fields::read);
        let reason = details.and_then(|details| Some(details.string("reason")?.into_owned()));
        Ok(Reply {
            id: self.id.unwrap_or_default(),
            model: self.model.unwrap_or_default(),
            stop: stop(self.status.as_deref(), reason.as_deref(), refuses, &message),
            message,
            usage: usage(self.usage.as_deref()),
            confidence: likely.confidence(),
        })
    }
}

fn stop(status: Option<&str>, reason: Option<&str>, refuses: bool, message: &Message) -> Stop {
    let has_calls = message.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    match (status, reason) {
        (Some("incomplete"), Some("max_output_tokens") | None) => Stop::MaxTokens,
        (Some("incomplete"), Some("content_filter")) => Stop::Refusal,
        (Some("incomplete"), Some(other)) => Stop::Other(other.to_owned()),
        (None | Some("completed"), _) if has_calls => Stop::ToolUse,
        (None | Some("completed"), _) if refuses => Stop::Refusal,
        (None | Some("completed"), _) => Stop::End,
        (Some(other), _) => Stop::Other(other.to_owned()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

/// Reads token counts; what cannot be read counts as nothing.
fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let input = counts.input_tokens_details.unwrap_or_default();
    let cache_read = input.cached_tokens.unwrap_or_default();
    let cache_write = input.cache_write_tokens.unwrap_or_default();
    let total = counts.input_tokens.unwrap_or_default();
    Usage {
        input: total.saturating_sub(cache_read).saturating_sub(cache_write),
        output: counts.output_tokens.unwrap_or_default(),
        cache_read,
        cache_write,
        thinking: counts
            .output_tokens_details
            .and_then(|details| details.reasoning_tokens)
            .unwrap_or_default(),
    }
}
