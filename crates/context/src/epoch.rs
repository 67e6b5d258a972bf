//! Epochs: stretches in which every request begins with the bytes of the one before.
//!
//! Providers cache what they have seen by its exact beginning, and bind the thoughts of a model to
//! it. A new epoch therefore needs a reason that is named and counted; what changes the beginning
//! without one is a fault, which is recorded and never stops a turn.

use std::io::Write as _;

use jiff::Timestamp;
use wire::prompt::{Block, Message, Prompt};

/// Why a request did not begin with the bytes of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is the first request of the context.
    First,
    /// It is the first request of a fork.
    Fork,
    /// Another model answers.
    Model,
    /// The instructions changed, or the call brought its own.
    System,
    /// The tools changed.
    Tools,
    /// A summary took the place of older messages.
    Summary,
    /// Older messages no longer fit.
    Cut,
    /// The context went back to another place.
    Rollback,
    /// Messages that are always carried were chosen or released.
    Pinned,
    /// Nothing was declared: something changed stored messages on their way out.
    Drift,
}

impl Reason {
    const ALL: [Self; 10] = [
        Self::First,
        Self::Fork,
        Self::Model,
        Self::System,
        Self::Tools,
        Self::Summary,
        Self::Cut,
        Self::Rollback,
        Self::Pinned,
        Self::Drift,
    ];

    /// The reason as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Fork => "fork",
            Self::Model => "model",
            Self::System => "system",
            Self::Tools => "tools",
            Self::Summary => "summary",
            Self::Cut => "cut",
            Self::Rollback => "rollback",
            Self::Pinned => "pinned",
            Self::Drift => "drift",
        }
    }

    /// Reads a reason; what is unknown reads as drift.
    pub(crate) fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).unwrap_or(Self::Drift)
    }
}

/// Where a window stands: what decides whether the next request continues the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footing {
    pub(crate) branch: i64,
    pub(crate) start: u32,
    pub(crate) summary: Option<u32>,
    pub(crate) pinned: u64,
    pub(crate) forked: bool,
    pub(crate) last: Option<Trail>,
}

/// What the last answered request was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trail {
    pub(crate) epoch: u32,
    pub(crate) branch: i64,
    pub(crate) start: u32,
    pub(crate) summary: Option<u32>,
    pub(crate) pinned: u64,
    pub(crate) model: String,
    pub(crate) system: u64,
    pub(crate) tools: u64,
    pub(crate) messages: u32,
    pub(crate) hash: u64,
}

/// One request in the history of epochs; kept with the reply to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub(crate) trail: Trail,
    /// Why it begins a new epoch; `None` when it continues one.
    pub reason: Option<Reason>,
    /// Tokens of the prompt that the provider found in its cache.
    pub cached: u64,
    /// Tokens of the prompt that the provider put into its cache.
    pub written: u64,
    /// Tokens of the prompt in all; the estimate until the provider says.
    pub prompt: u64,
}

impl Step {
    /// The number of the epoch in its context, from 1.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.trail.epoch
    }
}

/// An epoch of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number in the context, from 1.
    pub number: u32,
    /// Why it began.
    pub reason: Reason,
    /// When its first reply came.
    pub at: Timestamp,
    /// Provider and model.
    pub model: String,
    /// The first entry it carries.
    pub start_seq: u32,
    /// Requests that were answered in it.
    pub turns: u64,
    /// What its first request cost beyond a continued one: tokens of its prompt that the
    /// provider did not find in its cache.
    pub rewritten_tokens: u64,
    /// Tokens of all its prompts.
    pub prompt_tokens: u64,
    /// Those of them that came from the provider's cache.
    pub cached_tokens: u64,
    /// Those of them that were put into the provider's cache.
    pub written_tokens: u64,
}

impl Footing {
    /// Judges the next request: does it continue the epoch, and if not, why. `model` names what a
    /// cache belongs to: the provider and the model.
    #[must_use]
    pub fn step(&self, model: &str, prompt: &Prompt, tokens: u64) -> Step {
        let mut system = blake3::Hasher::new();
        if let Some(text) = &prompt.system {
            system.update(text.as_bytes());
        }
        if let Some(raw) = &prompt.system_raw {
            system.update(raw.json.get().as_bytes());
        }
        let mut tools = blake3::Hasher::new();
        for tool in &prompt.tools {
            tools.update(tool.name.as_bytes()).update(tool.schema.get().as_bytes());
            tools.update(tool.description.as_deref().unwrap_or_default().as_bytes());
        }
        let before = self.last.as_ref().map_or(0, |last| last.messages);
        let mut messages = blake3::Hasher::new();
        let mut then = None;
        let mut count = 0_u32;
        for message in &prompt.messages {
            add(&mut messages, message);
            count = count.saturating_add(1);
            if count == before {
                then = Some(short(&messages));
            }
        }
        let mut trail = Trail {
            epoch: self.last.as_ref().map_or(1, |last| last.epoch),
            branch: self.branch,
            start: self.start,
            summary: self.summary,
            pinned: self.pinned,
            model: model.to_owned(),
            system: short(&system),
            tools: short(&tools),
            messages: count,
            hash: short(&messages),
        };
        let reason = self.reason(&trail, then);
        if reason.is_some() && self.last.is_some() {
            trail.epoch = trail.epoch.saturating_add(1);
        }
        Step { trail, reason, cached: 0, written: 0, prompt: tokens }
    }

    fn reason(&self, next: &Trail, then: Option<u64>) -> Option<Reason> {
        let Some(last) = &self.last else {
            return Some(if self.forked { Reason::Fork } else { Reason::First });
        };
        let same_system = last.system == next.system;
        let continues = then == Some(last.hash);
        if last.model != next.model {
            Some(Reason::Model)
        } else if last.tools != next.tools {
            Some(Reason::Tools)
        } else if last.branch != next.branch && !(continues && same_system) {
            Some(Reason::Rollback)
        } else if last.summary != next.summary {
            Some(Reason::Summary)
        } else if last.pinned != next.pinned && !same_system {
            Some(Reason::Pinned)
        } else if !same_system {
            Some(Reason::System)
        } else if continues {
            None
        } else if last.start != next.start {
            Some(Reason::Cut)
        } else {
            Some(Reason::Drift)
        }
    }
}

/// What a model is sent of a message, whatever the dialect makes of it.
fn add(hasher: &mut blake3::Hasher, message: &Message) {
    hasher.update(message.role.as_str().as_bytes());
    if let Some(raw) = &message.raw {
        hasher.update(raw.dialect.as_bytes()).update(raw.json.get().as_bytes());
    }
    for block in &message.blocks {
        match block {
            Block::Text(text) => drop(hasher.update(text.as_bytes()).update(b"\0")),
            // The raw form above says it all.
            _ if message.raw.is_some() => {}
            other => write!(hasher, "{other:?}").unwrap_or_default(),
        }
    }
    hasher.update(b"\n");
}

fn short(hasher: &blake3::Hasher) -> u64 {
    let digest = hasher.finalize();
    // 63 bits, so that it is a number of the store as it is.
    digest.as_bytes().first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b) >> 1)
}
