//! Anthropic's own strictness: what is refused, and what the provider's cache would have held.

mod cache;
mod check;
mod spoken;

pub(crate) use cache::{Cache, Found};
pub use cache::{CachePrices, CacheReport, PromptCache};
pub(crate) use check::{check, signature};
pub(crate) use spoken::Spoken;
