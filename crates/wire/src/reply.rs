//! The canonical reply: what a model answered, why it stopped and what it cost in tokens.

use crate::prompt::Message;

/// Token counts as the provider reported them. `input` is the uncached remainder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that were neither read from nor written to the provider's cache.
    pub input: u64,
    /// Tokens of the reply, thinking included.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// The part of `output` that was thinking.
    pub thinking: u64,
}

impl Usage {
    /// All prompt tokens, cached or not.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It had said all.
    End,
    /// The reply reached `max_tokens`.
    MaxTokens,
    /// One of the stop texts came.
    Sequence,
    /// It asks for tools.
    ToolUse,
    /// It refuses to answer; not an error.
    Refusal,
    /// It pauses and wants the reply sent back as it is.
    Pause,
    /// The model's window is full.
    Window,
    /// A reason we do not know, as the provider wrote it.
    Other(String),
}

impl Stop {
    /// The reason as we print it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::End => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::Sequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::Refusal => "refusal",
            Self::Pause => "pause_turn",
            Self::Window => "model_context_window_exceeded",
            Self::Other(text) => text,
        }
    }
}

/// One whole answer of a model.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The provider's id of the answer; empty when it gave none.
    pub id: String,
    /// The model that really answered.
    pub model: String,
    /// What it said.
    pub message: Message,
    /// Why it stopped.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
    /// How likely the model held its own words, from 0 to 1: `e` to the mean of the tokens' log
    /// probabilities. Absent where the model gave none.
    pub confidence: Option<f64>,
}
