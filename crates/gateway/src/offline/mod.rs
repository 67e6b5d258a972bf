//! The built-in models: deterministic, without network, key or cost, one file each.
//!
//! Invariant: the same [`Said`] gives the same answer, always.

mod demo;
mod echo;
mod embed;
mod mock;
mod python;
mod rerank;
#[cfg(test)]
mod tests;
mod writer;

use serde_json::{Map, Value};

pub use embed::{DIMENSIONS, DIMENSIONS_MAX, EMBED, KEPT_AS, embed};
pub use rerank::{RERANK, rerank};
pub use writer::{Length, generate_prompt, summarize};

/// The name under which the offline models are listed, where others name their provider.
pub const PROVIDER: &str = "offline";

/// What was said to an offline model.
pub struct Said<'a> {
    /// The id of the context, or of the session.
    pub context: &'a str,
    /// The user's new message.
    pub text: &'a str,
    /// The context's state, the new message's part already merged in.
    pub state: &'a Map<String, Value>,
    /// Whether a message before this one contains the given text (lower case), whatever its case.
    pub earlier: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").field("context", &self.context).finish_non_exhaustive()
    }
}

/// A model that answers by rule.
pub trait Offline: Sync {
    /// The name a caller asks for, such as `echo`.
    fn name(&self) -> &'static str;

    /// The answer: plain text, never empty.
    fn answer(&self, said: &Said<'_>) -> String;
}

impl std::fmt::Debug for dyn Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Offline").field(&self.name()).finish()
    }
}

/// Every offline model.
pub const OFFLINE: &[&dyn Offline] = &[&echo::Echo, &demo::Demo, &mock::Mock];

/// The offline model of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Offline> {
    OFFLINE.iter().copied().find(|model| model.name() == name)
}
