//! One exchange: a message of the user and the reply to it.

use std::cell::OnceCell;
use std::sync::Arc;

use storage::Durability;
use storage::rusqlite::Connection;
use wire::Fault;
use wire::reply::Usage;

use crate::rows::ctx::Row;
use crate::rows::{entry, parts};
use crate::{Content, Context, Entry, EntryStatus, Key, Map, NewEntry, Settings, StateEdit};

/// Makes a repeated request harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idem {
    /// The caller's key, unique for a tenant for 24 hours.
    pub key: String,
    /// A hash of everything that makes the request what it is, the path included.
    pub body_hash: [u8; 32],
}

/// A message of the user that wants a reply.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// The context it belongs to.
    pub key: Key,
    /// Make the context when it is missing or has expired.
    pub create: bool,
    /// What was said before it and is not in the log yet, such as the results of other tools.
    pub before: Vec<NewEntry>,
    /// What the user says.
    pub content: Content,
    /// A change of the state that comes with the message.
    pub state: Option<StateEdit>,
    /// Keep the text of the message in the state under `last_message`.
    pub remember_last: bool,
    /// The revision the context must have.
    pub expect: Option<u64>,
    /// Answers a repeated request with the first reply.
    pub idem: Option<Idem>,
    /// Overrides the durability of the context.
    pub durability: Option<Durability>,
    /// Notes to keep with the user's message.
    pub meta: Map,
}

/// What an offline model sees while it answers; it runs inside the transaction of the turn.
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) row: &'a Row,
    pub(crate) state: &'a Map,
    /// The newest entry before the user's message.
    pub(crate) head: u32,
    /// Read when it is first asked for: most models need none.
    pub(crate) settings: OnceCell<Settings>,
}

impl View<'_> {
    /// The id of the context.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.row.key.id
    }

    /// The settings of the context; the defaults when they are damaged (the log says so).
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.settings.get_or_init(|| {
            parts::doc(self.connection, self.row).map(|doc| doc.settings).unwrap_or_else(|fault| {
                tracing::error!(error = %fault.chain(), "the settings of a context are unreadable");
                Settings::default()
            })
        })
    }

    /// The state, with the change that came with this message.
    #[must_use]
    pub fn state(&self) -> &Map {
        self.state
    }

    /// The turns before this one.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.row.turns.saturating_sub(1)
    }

    /// Whether an earlier message holds `needle_lower`, upper and lower case being the same.
    ///
    /// Reads back from the newest message until it is found: only for models that ask it rarely.
    ///
    /// # Errors
    /// `storage_error` when the log cannot be read.
    pub fn history_contains(&mut self, needle_lower: &str) -> Result<bool, Fault> {
        entry::contains(self.connection, &self.row.chain, self.head, needle_lower)
    }
}

/// What an offline model answers.
#[derive(Clone, Debug)]
pub struct LocalReply {
    /// What it says.
    pub text: String,
    /// Its name.
    pub model: String,
    /// What it used; kept as `usage` in the meta of the reply unless `meta` has one.
    pub usage: Usage,
    /// Notes to keep with the reply.
    pub meta: Map,
}

/// A finished turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The id of the context.
    pub context: Arc<str>,
    /// The number of the turn in its context, from 1.
    pub number: u64,
    /// The revision of the context after it.
    pub revision: u64,
    /// The state after it. When a turn whose state is larger than 64 KiB is replayed, this is
    /// the state of the moment of the replay.
    pub state: Map,
    /// The reply.
    pub message: Entry,
    /// The number of the user's entry.
    pub user_seq: u32,
    /// It was answered before, and this is the same answer.
    pub replayed: bool,
    /// The context was made for it.
    pub created: bool,
}

/// How a turn of an upstream model begins.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It was answered before: here is the answer.
    Replay(Box<Turn>),
    /// The user's message is durable; the model may be called.
    Open(Box<OpenTurn>),
}

/// A turn that waits for its reply. It ends by [`crate::Contexts::finish`] or
/// [`crate::Contexts::fail`], or at the next start of the program, as failed.
#[derive(Clone, Debug)]
pub struct OpenTurn {
    /// The context it belongs to.
    pub key: Key,
    /// The context with the user's message and the change of the state.
    pub context: Context,
    /// The number of the turn in its context, from 1.
    pub number: u64,
    /// The number of the user's entry.
    pub user_seq: u32,
    /// The context was made for it.
    pub created: bool,
    pub(crate) n: i64,
    pub(crate) idem: Option<Idem>,
    pub(crate) durability: Durability,
}

/// What a model answered.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it said.
    pub content: Content,
    /// The model that really answered.
    pub model: String,
    /// Whole, or cut off.
    pub status: EntryStatus,
    /// `usage`, `stop_reason` and whatever else is worth keeping.
    pub meta: Map,
    /// Prompt tokens in all, and tokens of the reply, as the provider reported them.
    pub usage_tokens: Option<(u64, u64)>,
}
