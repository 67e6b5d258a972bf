//! Conversations in and out, in our own format and in those of others.

mod guess;
mod ours;
mod read;
mod request;
mod source;
mod tree;
mod write;

pub use read::{Begin, Broken, Ending, Piece, Reading, Tally, read, read_from};
pub use write::JsonDocument;
pub(crate) use write::Writer;

use crate::New;

/// A form in which conversations are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document of ours, `rapport.context/1`.
    Rapport,
    /// The same in lines: the context, then one line a message.
    JsonLines,
    /// The body of a request to Anthropic's Messages API.
    Anthropic,
    /// The body of a request to OpenAI's Chat Completions API.
    OpenAiChat,
    /// The body of a request to OpenAI's Responses API, or a list of its items.
    OpenAiResponses,
    /// `conversations.json` of a `ChatGPT` export.
    ChatGpt,
    /// `conversations.json` of a Claude export.
    Claude,
}

impl Format {
    /// Every format with its name.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Rapport, "rapport"),
        (Self::JsonLines, "jsonl"),
        (Self::Anthropic, "anthropic"),
        (Self::OpenAiChat, "openai_chat"),
        (Self::OpenAiResponses, "openai_responses"),
        (Self::ChatGpt, "chatgpt"),
        (Self::Claude, "claude"),
    ];

    /// The name, as it is written in parameters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(format, _)| *format == self).map_or("rapport", |(_, name)| name)
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(format, _)| *format)
    }

    /// It is one of our own, which keep everything.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Rapport | Self::JsonLines)
    }

    /// The media type of such a document.
    pub(crate) fn media_type(self) -> &'static str {
        if self == Self::JsonLines { "application/x-ndjson" } else { "application/json" }
    }

    /// The dialect whose requests these are.
    fn dialect(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("anthropic"),
            Self::OpenAiChat => Some("openai_chat"),
            Self::OpenAiResponses => Some("openai_responses"),
            Self::Rapport | Self::JsonLines | Self::ChatGpt | Self::Claude => None,
        }
    }
}

/// Contexts that were read from a document.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    /// The contexts, each before the forks of it.
    pub items: Vec<Item>,
    /// Messages that have no answer, or that came without a content that can be kept.
    pub left_out: u64,
}

/// A context to be made.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it holds; for a fork, what it says beyond its parent.
    pub new: New,
    /// The item it is forked from, by its place in the parcel, and the last message they share.
    pub fork: Option<(usize, u64)>,
    /// What comes when it has been filled.
    pub ending: Ending,
}
