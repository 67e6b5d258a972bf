//! Epochs: stretches in which every request begins with the bytes of the one before.
//!
//! Providers cache what they have seen by its exact beginning, and bind the thoughts of a model to
//! it. A new epoch therefore needs a reason that is named and counted; what changes the beginning
//! without one is a fault, which is recorded and never stops a turn.

use std::io::Write as _;

use jiff::Timestamp;
use wire::prompt::{Block, Message, Prompt, Raw, Tool};

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
    pub(crate) cleared: u32,
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
    pub(crate) cleared: u32,
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
        let raw = prompt.system_raw.as_ref();
        let mut line = self.begin(prompt.system.as_deref(), raw, &prompt.tools);
        prompt.messages.iter().for_each(|message| line.add(message));
        line.step(model, tokens)
    }

    /// Begins a request with what stands before its messages.
    #[must_use]
    pub fn begin(&self, system: Option<&str>, raw: Option<&Raw>, tools: &[Tool]) -> Line<'_> {
        let mut head = blake3::Hasher::new();
        head.update(system.unwrap_or_default().as_bytes());
        head.update(raw.map_or("", |raw| raw.json.get()).as_bytes());
        let mut offered = blake3::Hasher::new();
        for tool in tools {
            offered.update(tool.name.as_bytes()).update(tool.schema.get().as_bytes());
            offered.update(tool.description.as_deref().unwrap_or_default().as_bytes());
            offered.update(tool.raw.as_ref().map_or("", |raw| raw.json.get()).as_bytes());
        }
        Line {
            footing: self,
            system: short(&head),
            tools: short(&offered),
            messages: blake3::Hasher::new(),
            count: 0,
            then: None,
        }
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
        } else if (last.start, last.cleared) != (next.start, next.cleared) {
            Some(Reason::Cut)
        } else {
            Some(Reason::Drift)
        }
    }
}

/// A request on its way: what was said so far, as a cache and a bound thought see it.
#[derive(Debug)]
pub struct Line<'f> {
    footing: &'f Footing,
    system: u64,
    tools: u64,
    messages: blake3::Hasher,
    count: u32,
    /// The hash at the place where the request before ended.
    then: Option<u64>,
}

impl Line<'_> {
    /// Says one more message.
    pub fn add(&mut self, message: &Message) {
        add(&mut self.messages, message);
        self.count = self.count.saturating_add(1);
        if self.footing.last.as_ref().is_some_and(|last| last.messages == self.count) {
            self.then = Some(short(&self.messages));
        }
    }

    /// Stands for everything that was said so far. What a model signs holds only behind these very
    /// words.
    #[must_use]
    pub fn bound(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.system.to_le_bytes()).update(&self.tools.to_le_bytes());
        hasher.update(self.messages.finalize().as_bytes());
        hasher.finalize().to_hex().chars().take(BOUND_DIGITS).collect()
    }

    /// Judges the request when all of it is said; as [`Footing::step`].
    #[must_use]
    pub fn step(self, model: &str, tokens: u64) -> Step {
        let footing = self.footing;
        let mut trail = Trail {
            epoch: footing.last.as_ref().map_or(1, |last| last.epoch),
            branch: footing.branch,
            start: footing.start,
            summary: footing.summary,
            pinned: footing.pinned,
            cleared: footing.cleared,
            model: model.to_owned(),
            system: self.system,
            tools: self.tools,
            messages: self.count,
            hash: short(&self.messages),
        };
        let reason = footing.reason(&trail, self.then);
        if reason.is_some() && footing.last.is_some() {
            trail.epoch = trail.epoch.saturating_add(1);
        }
        Step { trail, reason, cached: 0, written: 0, prompt: tokens }
    }
}

/// Hex digits of what a thought is bound to.
const BOUND_DIGITS: usize = 32;

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
