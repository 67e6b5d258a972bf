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
struct Whole<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
    stop_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// Where the counts of a reply are.
const COUNTS: Place = Place { counts: "usage", answer: "content", end: None };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    let mut counts = Counts::default();
    counts.merge(Some(counts::find(body, COUNTS)?));
    Some(counts.usage())
}

/// Reads a whole reply.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let whole: Whole<'_> = match serde_json::from_slice(body) {
        Ok(whole) => whole,
        // An error report may come with a good status.
        Err(_) => return Err(no_reply(body)),
    };
    let message = content::answer(whole.content).map_err(|text| invalid(&text, body))?;
    let mut counts = Counts::default();
    counts.merge(whole.usage);
    Ok(Reply {
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        message,
        stop: stop(whole.stop_reason.as_deref()),
        usage: counts.usage(),
        confidence: None,
    })
}

fn no_reply(body: &[u8]) -> Fault {
    let json: Option<&RawValue> = serde_json::from_slice(body).ok();
    match json.and_then(Report::read) {
        Some(report) => report.streamed(),
        None => invalid("the upstream's answer is not a message", body),
    }
}

/// Reads a stop reason; a reply that gives none has said all.
pub(super) fn stop(reason: Option<&str>) -> Stop {
    match reason {
        None | Some("end_turn") => Stop::End,
        Some("max_tokens") => Stop::MaxTokens,
        Some("stop_sequence") => Stop::Sequence,
        Some("tool_use") => Stop::ToolUse,
        Some("refusal") => Stop::Refusal,
        Some("pause_turn") => Stop::Pause,
        Some("model_context_window_exceeded") => Stop::Window,
        Some(other) => Stop::Other(other.to_owned()),
    }
}

/// Token counts as they come: each report overwrites what it names and leaves the rest.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Takes a later report; one that cannot be read says nothing.
    pub(super) fn merge(&mut self, raw: Option<&RawValue>) {
        let Some(Ok(new)) = raw.map(|raw| serde_json::from_str::<Self>(raw.get())) else { return };
        self.input_tokens = new.input_tokens.or(self.input_tokens);
        self.output_tokens = new.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens = new.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            new.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.output_tokens_details = new.output_tokens_details.or(self.output_tokens_details);
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.input_tokens.unwrap_or_default(),
            output: self.output_tokens.unwrap_or_default(),
            cache_read: self.cache_read_input_tokens.unwrap_or_default(),
            cache_write: self.cache_creation_input_tokens.unwrap_or_default(),
            thinking: self
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .unwrap_or_default(),
        }
    }
}
