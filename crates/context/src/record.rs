//! What is kept: contexts and their entries.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wire::prompt::{Message, Role};

use crate::{Content, Map, Settings};

/// Whether a context takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It does.
    Open,
    /// It was ended and is kept read-only.
    Closed,
    /// An import is still filling it: no list shows it, nobody else can change it.
    Importing,
    /// It lies on another server, which alone fills it: it can only be read here, and forked.
    Mounted,
}

impl Status {
    /// The status as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Importing => "importing",
            Self::Mounted => "mounted",
        }
    }

    /// Reads `open`, `closed`, `importing` or `mounted`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            "importing" => Some(Self::Importing),
            "mounted" => Some(Self::Mounted),
            _ => None,
        }
    }
}

/// One conversation, without its entries.
#[derive(Clone, Debug)]
pub struct Context {
    /// Unique for its tenant.
    pub id: Arc<str>,
    /// A line for people.
    pub title: Option<String>,
    /// The person or program it belongs to, as the caller names them.
    pub user: Option<String>,
    /// When it was made; never changes.
    pub created_at: Timestamp,
    /// When anything of it changed last.
    pub last_updated: Timestamp,
    /// Grows by one with every change; 1 at first.
    pub revision: u64,
    /// Whether it takes turns.
    pub status: Status,
    /// Instructions for the model.
    pub system: Option<String>,
    /// How its turns are answered.
    pub settings: Settings,
    /// The caller's variables.
    pub state: Map,
    /// The caller's notes about the context; never shown to a model.
    pub metadata: Map,
    /// How large it is.
    pub size: Size,
    /// The number of the turn that waits for a model.
    pub open_turn: Option<u64>,
    /// When it will be removed.
    pub expires_at: Option<Timestamp>,
    /// The context it was forked from, while that exists.
    pub parent: Option<Arc<str>>,
    /// The last entry that it shares with the context it was forked from.
    pub fork_seq: Option<u32>,
}

/// Figures of a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries of its log.
    pub messages: u64,
    /// Turns that were begun, the failed ones included.
    pub turns: u64,
    /// Bytes of all contents.
    pub bytes: u64,
    /// Estimated tokens of everything a model would be shown without a cut.
    pub tokens: u64,
}

/// A context to be made.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// The caller's choice; a UUID when absent.
    pub id: Option<String>,
    /// A line for people.
    pub title: Option<String>,
    /// The person or program it belongs to.
    pub user: Option<String>,
    /// Instructions for the model.
    pub system: Option<String>,
    /// How its turns are answered.
    pub settings: Settings,
    /// The caller's variables.
    pub state: Map,
    /// The caller's notes.
    pub metadata: Map,
    /// The beginning of the conversation.
    pub messages: Vec<NewEntry>,
    /// Time to live; for ever when absent.
    pub expires_in: Option<Duration>,
    /// Time to live after the last change, instead of `expires_in`.
    pub idle_for: Option<Duration>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryStatus {
    /// It is a whole part of the conversation.
    Complete,
    /// A message of the user whose turn failed; models do not see it.
    Failed,
    /// A reply that was cut off; models do not see it.
    Partial,
    /// A message of the user whose turn is running.
    Pending,
}

impl EntryStatus {
    /// The status as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Pending => "pending",
        }
    }

    /// Whether a model is shown the entry.
    #[must_use]
    pub fn is_shown(self) -> bool {
        match self {
            Self::Complete | Self::Pending => true,
            Self::Failed | Self::Partial => false,
        }
    }
}

/// One immutable item of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// 1, 2, 3 … without gaps.
    pub seq: u32,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// When it was stored; never earlier than the entry before it.
    pub at: Timestamp,
    /// The model that wrote it.
    pub model: Option<String>,
    /// What became of it.
    pub status: EntryStatus,
    /// `usage`, `stop_reason`, `failure` and whatever the writer added.
    pub meta: Map,
    /// Estimated tokens of the content.
    pub tokens: u32,
}

impl Entry {
    /// The entry as models are shown it; the exact bytes of its content go along.
    #[must_use]
    pub fn to_message(&self) -> Message {
        match &self.content {
            Content::Text(text) => Message::text(self.role, text.clone()),
            Content::Raw(raw) => wire::dialect::named(&raw.dialect)
                .and_then(|dialect| dialect.message(self.role, raw.clone()).ok())
                .unwrap_or_else(|| Message::text(self.role, String::new())),
        }
    }
}

/// An entry to be appended.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Notes to keep with it.
    pub meta: Map,
}
