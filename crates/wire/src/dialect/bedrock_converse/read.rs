//! Reads whole replies, token counts and stop reasons.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use crate::dialect::counts::{self, Place};
use crate::dialect::intake::invalid;
use crate::dialect::report::Report;
use crate::fault::Fault;
use crate::reply::{Reply, Stop, Usage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    output: Output,
    stop_reason: Option<String>,
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Output {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: Box<RawValue>,
}

/// Where the counts of a reply are.
const COUNTS: Place = Place { counts: "usage", answer: "output", end: None };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(Some(counts::find(body, COUNTS)?)))
}

/// Reads a whole reply. It has neither an id nor the model's name.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let whole: Whole = match serde_json::from_slice(body) {
        Ok(whole) => whole,
        // An error report may come with a good status.
        Err(_) => {
            let json: Option<&RawValue> = serde_json::from_slice(body).ok();
            return Err(match json.and_then(Report::read) {
                Some(report) => report.streamed(),
                None => invalid("the upstream's answer is not a reply of a model", body),
            });
        }
    };
    let message =
        content::answer(whole.output.message.content).map_err(|text| invalid(&text, body))?;
    Ok(Reply {
        id: String::new(),
        model: String::new(),
        message,
        stop: stop(whole.stop_reason.as_deref()),
        usage: usage(whole.usage.as_deref()),
        confidence: None,
    })
}

/// Reads a stop reason; a reply that gives none has said all.
pub(super) fn stop(reason: Option<&str>) -> Stop {
    match reason {
        None | Some("end_turn") => Stop::End,
        Some("max_tokens") => Stop::MaxTokens,
        Some("stop_sequence") => Stop::Sequence,
        Some("tool_use") => Stop::ToolUse,
        Some("guardrail_intervened" | "content_filtered") => Stop::Refusal,
        Some("model_context_window_exceeded") => Stop::Window,
        Some(other) => Stop::Other(other.to_owned()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
}

/// Reads token counts; what cannot be read counts as nothing.
pub(super) fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    Usage {
        input: counts.input_tokens.unwrap_or_default(),
        output: counts.output_tokens.unwrap_or_default(),
        cache_read: counts.cache_read_input_tokens.unwrap_or_default(),
        cache_write: counts.cache_write_input_tokens.unwrap_or_default(),
        thinking: 0,
    }
}
