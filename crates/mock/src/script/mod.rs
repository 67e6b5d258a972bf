//! The script: what is answered to whom, written as TOML or JSON.

mod block;
mod pattern;
#[cfg(test)]
mod tests;

pub use block::Block;

use crate::ask::Ask;
use crate::strict::PromptCache;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// What the server says when nothing else was scripted.
pub(crate) const GREETING: &str = "Hello, how can I help?";

/// A whole script. Rules are tried in order; the first that matches answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The answer when no rule matches; the greeting when it is empty.
    #[serde(default)]
    pub default: Reply,
    /// The rules, in the order in which they are tried.
    #[serde(default, rename = "rule", alias = "rules")]
    pub rules: Vec<Rule>,
    /// The ids that `GET /v1/models` lists; one Claude and one GPT id when it is empty.
    #[serde(default)]
    pub models: Vec<String>,
    /// The Messages API refuses what Anthropic refuses: thoughts whose signature does not belong
    /// to what was said before them, calls without results, a wrong order. Scripted thoughts are
    /// signed.
    #[serde(default)]
    pub check_thinking: bool,
    /// The Messages API counts as if it had a prompt cache.
    #[serde(default)]
    pub prompt_cache: Option<PromptCache>,
}

/// One rule: a condition and the reply it leads to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A name that appears in the recorded requests.
    #[serde(default)]
    pub name: String,
    /// When the rule applies; an empty condition applies to every conversation.
    #[serde(default)]
    pub when: When,
    /// The rule answers only the first so many requests that meet its condition.
    #[serde(default)]
    pub times: Option<u64>,
    /// What it answers.
    #[serde(default)]
    pub reply: Reply,
}

/// A condition: every field that is given has to hold.
///
/// Text fields are patterns: `*` stands for any run of characters, `?` for one; letters match in
/// either case. A pattern for `message` without wildcards matches anywhere in the text.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The path, without the query. Rules without it apply to conversations only, never to the
    /// model list or the token counter.
    #[serde(default)]
    pub path: Option<String>,
    /// The model the request asks for.
    #[serde(default)]
    pub model: Option<String>,
    /// The text of the last user message.
    #[serde(default)]
    pub message: Option<String>,
    /// The session: header `x-rapport-context`, `x-session-id` or `mcp-session-id`, else
    /// `session_id`, `metadata.context_id`, `metadata.user_id` or `user` of the body.
    #[serde(default)]
    pub session: Option<String>,
    /// Whether the request asks for a stream.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Only the n-th request (from 1) that meets the rest of this condition.
    #[serde(default)]
    pub nth: Option<u64>,
}

/// What is answered. Every field is optional; an empty reply is the greeting.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The text; `{message}`, `{model}`, `{session}` and `{n}` (the number of the request) are
    /// filled in.
    #[serde(default)]
    pub text: Option<String>,
    /// The text in pieces: one delta each in a stream, joined otherwise.
    #[serde(default)]
    pub fragments: Vec<String>,
    /// Milliseconds between two deltas of a stream.
    #[serde(default)]
    pub pause_ms: u64,
    /// A thinking block before everything else.
    #[serde(default)]
    pub thinking: Option<Thinking>,
    /// Content blocks in Anthropic's shape, given verbatim, after the text.
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// Tool calls after the text and the blocks.
    #[serde(default)]
    pub tools: Vec<ToolUse>,
    /// The reason in Anthropic's words (`end_turn`, `max_tokens`, …); translated for OpenAI.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// Token counts to report instead of the ones derived from the text length.
    #[serde(default)]
    pub usage: Usage,

    /// Milliseconds before the head of the response.
    #[serde(default)]
    pub delay_ms: u64,
    /// The status; 400 and above answer with an error body.
    #[serde(default)]
    pub status: Option<u16>,
    /// What the error body says.
    #[serde(default)]
    pub error: ErrorText,
    /// The `retry-after` header, as seconds or as an HTTP date.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// More headers; they replace the ones the server would set.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The whole body, given verbatim.
    #[serde(default)]
    pub body: Option<String>,
    /// A way to go wrong altogether.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// An error event in mid-stream.
    #[serde(default)]
    pub stream_error: Option<StreamError>,
    /// The connection is cut after exactly so many bytes of the body.
    #[serde(default)]
    pub cut_at: Option<usize>,
    /// After exactly so many bytes of the body nothing more comes, and nothing is closed.
    #[serde(default)]
    pub stall_at: Option<usize>,
    /// The body is written in pieces of so many bytes, wherever that splits an event.
    #[serde(default)]
    pub chunk_bytes: Option<usize>,
    /// Milliseconds between two such pieces.
    #[serde(default)]
    pub chunk_pause_ms: u64,
}

/// A thinking block.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thinking {
    /// The thinking; may be empty, as with models that omit it.
    #[serde(default)]
    pub text: String,
    /// The signature that has to come back unchanged.
    #[serde(default)]
    pub signature: String,
}

/// A tool call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    /// Its id; `toolu_mock_` and a number when it is not given.
    #[serde(default)]
    pub id: Option<String>,
    /// The name of the tool.
    pub name: String,
    /// The arguments; an empty object when they are not given.
    #[serde(default)]
    pub input: Block,
}

/// Token counts; what is absent is derived from the text length (four bytes a token).
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Prompt tokens that no cache held.
    pub input_tokens: Option<u64>,
    /// Tokens of the reply.
    pub output_tokens: Option<u64>,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: Option<u64>,
}

/// The words of an error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorText {
    /// The error type of the dialect; follows from the status when it is not given.
    #[serde(default)]
    pub kind: Option<String>,
    /// The message.
    #[serde(default)]
    pub message: Option<String>,
}

/// An error event in mid-stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamError {
    /// After how many deltas it comes.
    #[serde(default)]
    pub after: usize,
    /// The error type; the one of an overloaded upstream when it is not given.
    #[serde(default)]
    pub kind: Option<String>,
    /// The message.
    #[serde(default)]
    pub message: Option<String>,
}

/// A way to go wrong altogether.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection closes before the head of the response.
    Drop,
    /// Nothing ever comes; ends when the caller leaves.
    Hang,
    /// The JSON (of the body, or of one event) ends in the middle.
    MalformedJson,
    /// A page of HTML with status 200, as a captive portal would send it.
    Html,
}

/// Why a text is not a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError(String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads a script; a text that begins with `{` is JSON, everything else TOML.
    ///
    /// # Errors
    /// Names the place and the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| ScriptError(format!("script (JSON): {e}")))?
        } else {
            toml::from_str(text).map_err(|e| ScriptError(format!("script (TOML): {e}")))?
        };
        let replies = script.rules.iter().map(|rule| &rule.reply);
        replies.chain([&script.default]).try_for_each(Reply::check)?;
        Ok(script)
    }

    /// A script that answers everything with one reply.
    #[must_use]
    pub fn always(reply: Reply) -> Self {
        Self { default: reply, ..Self::default() }
    }

    /// Adds a rule after the ones that are there.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

impl Reply {
    /// Refuses what HTTP could not carry.
    fn check(&self) -> Result<(), ScriptError> {
        if let Some(status) = self.status.filter(|status| !(200..=999).contains(status)) {
            return Err(ScriptError(format!("`status = {status}`: a final status is 200 to 999")));
        }
        for (name, value) in &self.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(ScriptError(format!("`{name}` is not a header name")));
            }
            if HeaderValue::from_str(value).is_err() {
                return Err(ScriptError(format!("header `{name}`: `{value:?}` is not a value")));
            }
        }
        if self.chunk_bytes == Some(0) {
            return Err(ScriptError("`chunk_bytes = 0`: a piece has at least one byte".to_owned()));
        }
        Ok(())
    }

    /// A reply that is one text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// A reply that is an error of this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// A reply that goes wrong altogether.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}

impl When {
    /// Whether everything but the count holds for this request.
    pub(crate) fn holds(&self, path: &str, is_conversation: bool, ask: &Ask) -> bool {
        let path_holds = match &self.path {
            Some(pattern) => pattern::matches(pattern, path),
            None => is_conversation,
        };
        path_holds
            && self.model.as_deref().is_none_or(|p| pattern::matches(p, &ask.model))
            && self.message.as_deref().is_none_or(|p| pattern::within(p, &ask.message))
            && self.session.as_deref().is_none_or(|p| pattern::matches(p, &ask.session))
            && self.stream.is_none_or(|wanted| wanted == ask.stream)
    }
}
