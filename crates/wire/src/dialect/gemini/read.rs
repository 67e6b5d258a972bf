//! Reads whole replies, token counts and the reasons of their end.

use serde_json::value::RawValue;

use super::content::{self, find, string};
use crate::dialect::counts::{self, Place};
use crate::dialect::fields::{self, Fields};
use crate::dialect::intake::invalid;
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// Where the counts of a reply are.
const COUNTS: Place = Place { counts: "usageMetadata", answer: "candidates", end: None };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(counts::find(body, COUNTS)?))
}

/// Reads a whole reply; of several candidates the first.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let chunk = Chunk::read(serde_json::from_slice(body).ok(), body)?;
    let parts = chunk.parts.map(ToOwned::to_owned).or_else(|| fields::raw("[]".to_owned()));
    let parts = parts.ok_or_else(|| invalid("the upstream's answer has no parts", body))?;
    let message = content::answer(parts).map_err(|text| invalid(&text, body))?;
    Ok(Reply {
        stop: stop(chunk.reason.as_deref(), &message),
        id: chunk.id.unwrap_or_default(),
        model: chunk.model.unwrap_or_default(),
        message,
        usage: chunk.usage.unwrap_or_default(),
        confidence: chunk.likely.confidence(),
    })
}

/// A reply, or a piece of one: they have the same form.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) parts: Option<&'a RawValue>,
    /// Why the reply ended, or why the prompt was refused.
    pub(super) reason: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) likely: Likely,
}

impl<'a> Chunk<'a> {
    /// Reads a body or an event.
    ///
    /// # Errors
    /// The upstream's error, or `upstream_invalid` for what is no reply.
    pub(super) fn read(raw: Option<&'a RawValue>, body: &[u8]) -> Result<Self, Fault> {
        let fields = raw.and_then(Fields::read).unwrap_or_default();
        let owned = |text: std::borrow::Cow<'_, str>| text.into_owned();
        let mut chunk = Self {
            id: string(&fields, "responseId").map(owned),
            model: string(&fields, "modelVersion").map(owned),
            parts: None,
            reason: None,
            usage: find(&fields, "usageMetadata").map(usage),
            likely: Likely::default(),
        };
        let candidates = fields.find("candidates").and_then(fields::items);
        let feedback = find(&fields, "promptFeedback").and_then(Fields::read);
        let blocked = feedback.and_then(|feedback| Some(owned(string(&feedback, "blockReason")?)));
        let first = candidates.as_deref().and_then(<[_]>::first);
        let has_error = fields.find("error").is_some();
        let is_known = candidates.is_some() || blocked.is_some() || chunk.usage.is_some();
        if has_error || !is_known {
            return Err(match raw.and_then(Report::read) {
                Some(report) => report.streamed(),
                None => invalid("the upstream's answer is not a reply of a model", body),
            });
        }
        // Whatever the reason of the block is called, the model was not asked.
        chunk.reason = blocked.map(|_| "SAFETY".to_owned());
        if let Some(candidate) = first.and_then(|raw| Fields::read(raw)) {
            chunk.reason = string(&candidate, "finishReason").map(owned).or(chunk.reason);
            let content = candidate.find("content").and_then(Fields::read);
            chunk.likely.take(find(&candidate, "logprobsResult"));
            chunk.likely.take_mean(find(&candidate, "avgLogprobs"));
            chunk.parts = content.and_then(|content| content.find("parts"));
        }
        Ok(chunk)
    }
}

/// Reads the reason of an end; a reply that gives none has said all.
pub(super) fn stop(reason: Option<&str>, message: &Message) -> Stop {
    let has_calls = message.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    match reason {
        None | Some("STOP") if has_calls => Stop::ToolUse,
        None | Some("STOP" | "FINISH_REASON_UNSPECIFIED") => Stop::End,
        Some("MAX_TOKENS") => Stop::MaxTokens,
        Some(
            "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR",
        ) => Stop::Refusal,
        Some(other) => Stop::Other(other.to_owned()),
    }
}

/// Reads token counts. The prompt's count includes what the cache gave, ours does not; the
/// candidates' count leaves out the thoughts, ours does not.
fn usage(raw: &RawValue) -> Usage {
    let fields = Fields::read(raw).unwrap_or_default();
    let count = |name: &str| {
        let count: Option<u64> = find(&fields, name).and_then(|raw| raw.get().parse().ok());
        count.unwrap_or_default()
    };
    let prompt = count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount"));
    let (cached, thinking) = (count("cachedContentTokenCount"), count("thoughtsTokenCount"));
    Usage {
        input: prompt.saturating_sub(cached),
        output: count("candidatesTokenCount").saturating_add(thinking),
        cache_read: cached,
        cache_write: 0,
        thinking,
    }
}
