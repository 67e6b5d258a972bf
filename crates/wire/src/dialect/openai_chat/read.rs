//! Reads whole replies, token counts and finish reasons.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use crate::dialect::counts::{self, Place};
use crate::dialect::intake::invalid;
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

#[derive(Deserialize)]
struct Whole {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice {
    message: Box<RawValue>,
    finish_reason: Option<String>,
    logprobs: Option<Box<RawValue>>,
}

/// Where the counts of a reply are.
const COUNTS: Place = Place { counts: "usage", answer: "choices", end: None };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(Some(counts::find(body, COUNTS)?)))
}

/// Reads a whole reply; of several choices the first.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let Ok(whole) = serde_json::from_slice::<Whole>(body) else {
        return Err(no_reply(body));
    };
    let Some(choice) = whole.choices.into_iter().next() else {
        return Err(no_reply(body));
    };
    let was_cut = choice.finish_reason.as_deref() == Some("length");
    let refuses = refuses(&choice.message);
    let message = content::answer(choice.message, was_cut).map_err(|text| invalid(&text, body))?;
    Ok(Reply {
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        stop: stop(choice.finish_reason.as_deref(), refuses, &message),
        message,
        usage: usage(whole.usage.as_deref()),
        confidence: Likely::of(choice.logprobs.as_deref()).confidence(),
    })
}

fn no_reply(body: &[u8]) -> Fault {
    let json: Option<&RawValue> = serde_json::from_slice(body).ok();
    match json.and_then(Report::read) {
        Some(report) => report.streamed(),
        None => invalid("the upstream's answer is not a chat completion", body),
    }
}

/// Whether the model gave its text as a refusal.
pub(super) fn refuses(message: &RawValue) -> bool {
    let message = crate::dialect::fields::Fields::read(message);
    let refusal = message.and_then(|message| message.string("refusal"));
    refusal.is_some_and(|text| !text.is_empty())
}

/// Reads a finish reason; a reply that gives none has said all.
pub(in crate::dialect) fn stop(reason: Option<&str>, refuses: bool, message: &Message) -> Stop {
    let has_calls = message.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    match reason {
        // Several servers say `stop` although they ask for tools.
        None | Some("stop") if has_calls => Stop::ToolUse,
        None | Some("stop") if refuses => Stop::Refusal,
        None | Some("stop") => Stop::End,
        Some("length") => Stop::MaxTokens,
        Some("tool_calls" | "function_call") => Stop::ToolUse,
        Some("content_filter") => Stop::Refusal,
        Some(other) => Stop::Other(other.to_owned()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// Reads token counts; what cannot be read counts as nothing. The prompt's count includes what the
/// cache gave and took, ours does not.
pub(in crate::dialect) fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let prompt = counts.prompt_tokens_details.unwrap_or_default();
    let cache_read = prompt.cached_tokens.unwrap_or_default();
    let cache_write = prompt.cache_write_tokens.unwrap_or_default();
    let total = counts.prompt_tokens.unwrap_or_default();
    Usage {
        input: total.saturating_sub(cache_read).saturating_sub(cache_write),
        output: counts.completion_tokens.unwrap_or_default(),
        cache_read,
        cache_write,
        thinking: counts
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens)
            .unwrap_or_default(),
    }
}
