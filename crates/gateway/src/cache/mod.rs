//! Answers given before: the same question of the same tenant is answered from memory.
//!
//! What is kept is the answer as its caller saw it, in the caller's own dialect, so a hit costs a
//! look-up and a copy. The cache belongs to one snapshot of the settings: a reload begins anew,
//! because a name may mean another model then.
//!
//! Invariants:
//! - an answer is found only by the tenant that asked, and only while every byte that could change
//!   the answer is the same (see `key`) or, in the second cache, provably means the same (see
//!   `alike`);
//! - only whole, good answers are kept;
//! - memory is bounded by `cache.bytes`, whatever is asked.

mod alike;
mod flight;
mod key;
mod near;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

pub(crate) use flight::{Lead, Seat};
pub(crate) use key::{Name, is_deterministic, name};
pub(crate) use near::Question;

use flight::Flights;
use near::Near;

/// Which calls may be answered from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// None, whatever the caller says.
    Off,
    /// Those that ask for it with `x-rapport-cache: on`.
    #[default]
    Ask,
    /// Those whose parameters make the model deterministic: `temperature` 0, or a `seed`.
    Deterministic,
    /// All.
    All,
}

/// What is kept, for how long, and how much of it.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// `cache.exact`: which calls may be answered from memory.
    pub exact: CacheMode,
    /// `cache.similar`: also answer questions that only differ in wording.
    pub similar: bool,
    /// `cache.threshold`: how alike the wordings must be, in thousandths.
    pub threshold: u16,
    /// `cache.ttl`: how long an answer is kept.
    pub ttl: Duration,
    /// `cache.bytes`: all kept answers together.
    pub bytes: usize,
    /// `cache.entry_bytes`: the largest answer that is kept.
    pub entry_bytes: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            exact: CacheMode::Ask,
            similar: false,
            threshold: 900,
            ttl: Duration::from_mins(60),
            bytes: 64 * 1024 * 1024,
            entry_bytes: 1024 * 1024,
        }
    }
}

/// An answer as it went out.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The headers that belong to the answer itself.
    pub(crate) headers: Arc<[(HeaderName, HeaderValue)]>,
    /// The body, whole: a JSON object or a finished stream.
    pub(crate) body: Bytes,
    /// When it was given.
    pub(crate) at: Instant,
}

/// What an entry costs beside its body: names, headers, the map's own share.
const ENTRY_OVERHEAD: usize = 512;

/// The answers of one snapshot.
#[derive(Debug)]
pub(crate) struct Cache {
    kept: moka::sync::Cache<Name, Kept>,
    near: Near,
    flights: Flights,
}

impl Cache {
    /// An empty cache with these bounds; it takes no memory until something is kept.
    pub(crate) fn new(settings: &CacheSettings) -> Self {
        let weigh = |_: &Name, kept: &Kept| {
            u32::try_from(kept.body.len().saturating_add(ENTRY_OVERHEAD)).unwrap_or(u32::MAX)
        };
        let kept = moka::sync::Cache::builder()
            .weigher(weigh)
            .max_capacity(settings.bytes as u64)
            .time_to_live(settings.ttl)
            .build();
        Self { kept, near: Near::new(settings), flights: Flights::default() }
    }

    /// The answer to exactly this question.
    pub(crate) fn find(&self, name: &Name) -> Option<Kept> {
        self.kept.get(name)
    }

    /// The answer to a question that means the same, and how alike they are (0 to 1).
    pub(crate) fn find_near(&self, question: &Question) -> Option<(Kept, f32)> {
        let (name, alike) = self.near.find(question)?;
        Some((self.kept.get(&name)?, alike))
    }

    /// Keeps an answer; `question` also makes it found by other wordings.
    pub(crate) fn keep(&self, name: Name, kept: Kept, question: Option<&Question>) {
        self.kept.insert(name, kept);
        if let Some(question) = question {
            self.near.keep(question, name);
        }
    }

    /// Takes the lead in asking this question, or a seat behind whoever is asking it now.
    pub(crate) fn sit(&self, name: Name) -> Seat {
        self.flights.sit(name)
    }
}
