//! The one HTTP client for upstreams: pooled, every stage with its own deadline, bytes out.
//!
//! Invariants:
//! - no proxy is ever used, and under `local_only` nothing but loopback is connected or looked up;
//! - what is sent in secret is in no log, no fault and no `Debug`.

mod advice;
mod answer;
mod base;
mod connect;
mod direct;
mod line;
mod pool;
#[cfg(test)]
mod tests;
mod tls;

pub use advice::{Advice, advice, backoff};
pub use answer::Answer;
pub use base::Base;
pub use pool::{Client, Ended, Request};
pub use tls::Tls;

/// The moment that lies `wait` ahead; a wait beyond all reason is a year.
#[must_use]
pub fn after(wait: std::time::Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(wait).unwrap_or(now + std::time::Duration::from_secs(365 * 86_400))
}
