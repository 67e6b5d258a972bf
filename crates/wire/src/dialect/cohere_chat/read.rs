//! Reads whole replies, token counts and finish reasons.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use crate::dialect::counts::{self, Place};
use crate::dialect::excerpt::sentence;
use crate::dialect::intake::invalid;
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::fault::{Code, Fault};
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

#[derive(Deserialize)]
struct Whole {
    id: Option<String>,
    model: Option<String>,
    message: Box<RawValue>,
    finish_reason: Option<String>,
    usage: Option<Box<RawValue>>,
    logprobs: Option<Box<RawValue>>,
}

/// Where the counts of a reply are.
const COUNTS: Place = Place {
    counts: "usage",
    answer: "message",
    end: Some(("finish_reason", &["ERROR", "TIMEOUT"])),
};

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(Some(counts::find(body, COUNTS)?)))
}

/// Reads a whole reply.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let whole = serde_json::from_slice::<Whole>(body).ok();
    // An error is an object with a `message` too, but there it is a text.
    let Some(whole) = whole.filter(|whole| whole.message.get().starts_with('{')) else {
        let json: Option<&RawValue> = serde_json::from_slice(body).ok();
        return Err(match json.and_then(Report::read) {
            Some(report) => report.streamed(),
            None => invalid("the upstream's answer is not a chat reply", body),
        });
    };
    let reason = whole.finish_reason.as_deref();
    if let Some(fault) = failed(reason, None) {
        return Err(fault);
    }
    let was_cut = reason == Some("MAX_TOKENS");
    let message = content::answer(whole.message, was_cut).map_err(|text| invalid(&text, body))?;
    Ok(Reply {
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        stop: stop(reason, &message),
        message,
        usage: usage(whole.usage.as_deref()),
        confidence: Likely::of(whole.logprobs.as_deref()).confidence(),
    })
}

/// The fault of a reply that ended with an error, though its status was good.
pub(super) fn failed(reason: Option<&str>, error: Option<&str>) -> Option<Fault> {
    let reason = reason.filter(|reason| matches!(*reason, "ERROR" | "TIMEOUT"));
    let error = error.map(sentence).filter(|text| !text.is_empty());
    if reason.is_none() && error.is_none() {
        return None;
    }
    let name = reason.unwrap_or("ERROR");
    let tail = error.map_or_else(String::new, |text| format!(": {text}"));
    let text = format!("the upstream is not available (`{name}`){tail}");
    Some(Fault::new(Code::UpstreamUnavailable, text))
}

/// Reads a finish reason; a reply that gives none has said all.
pub(super) fn stop(reason: Option<&str>, message: &Message) -> Stop {
    let has_calls = message.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    match reason {
        None | Some("COMPLETE") if has_calls => Stop::ToolUse,
        None | Some("COMPLETE") => Stop::End,
        Some("MAX_TOKENS" | "ERROR_LIMIT") => Stop::MaxTokens,
        Some("STOP_SEQUENCE") => Stop::Sequence,
        Some("TOOL_CALL") => Stop::ToolUse,
        Some("ERROR_TOXIC") => Stop::Refusal,
        Some(other) => Stop::Other(other.to_owned()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    tokens: Option<Sides>,
    billed_units: Option<Sides>,
    cached_tokens: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sides {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

/// Reads token counts, which are fractions by their type; what cannot be read counts as nothing.
/// The prompt's count includes what the cache gave, ours does not.
pub(super) fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let billed = counts.billed_units.unwrap_or_default();
    let tokens = counts.tokens.unwrap_or_default();
    let cached = whole(counts.cached_tokens);
    let input = whole(tokens.input_tokens.or(billed.input_tokens));
    Usage {
        input: input.saturating_sub(cached),
        output: whole(tokens.output_tokens.or(billed.output_tokens)),
        cache_read: cached,
        ..Usage::default()
    }
}

/// The nearest whole number, 0 or more.
fn whole(count: Option<f64>) -> u64 {
    let count = count.filter(|count| count.is_finite() && *count > 0.0).unwrap_or_default();
    format!("{count:.0}").parse().unwrap_or(u64::MAX)
}
