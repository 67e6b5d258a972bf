//! What happened on the way to an answer: every try of every upstream, for those who ask why.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use wire::Fault;

use super::culprit::culprit;

/// Limit: tries that are written down for one call.
const ATTEMPTS_MAX: usize = 64;

/// One request to an upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// Who was asked.
    pub provider: String,
    /// For which model.
    pub model: String,
    /// With which of its keys, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When, in milliseconds after the call came.
    pub at_ms: f64,
    /// How long until it was answered or had failed, in milliseconds.
    pub took_ms: f64,
    /// How long a pause came before it, in milliseconds.
    pub paused_ms: f64,
    /// `ok`, or the code of the fault.
    pub outcome: &'static str,
    /// Who made it fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub culprit: Option<&'static str>,
    /// The upstream's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The tries of one call.
#[derive(Debug)]
pub struct Trail {
    begun: Instant,
    tried: AtomicU32,
    attempts: Mutex<Vec<Attempt>>,
}

impl Default for Trail {
    fn default() -> Self {
        Self { begun: Instant::now(), tried: AtomicU32::new(0), attempts: Mutex::default() }
    }
}

/// A try under way.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) began: Instant,
    pub(super) paused: Duration,
}

impl Trail {
    /// What happened so far.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().clone()
    }

    /// How many tries were begun.
    #[must_use]
    pub fn tried(&self) -> u32 {
        self.tried.load(Ordering::Relaxed)
    }

    /// A try begins.
    pub(super) fn tries(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    /// How long it has been since the call came.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Writes down how a try ended.
    pub(super) fn note(
        &self,
        (provider, model, key): (&str, &str, Option<&str>),
        one: &Try,
        failure: Option<(&Fault, String)>,
    ) {
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let fault = failure.as_ref().map(|(fault, _)| *fault);
        let detail = |name: &str| fault?.detail_values()?.get(name).cloned();
        let attempt = Attempt {
            provider: provider.to_owned(),
            model: model.to_owned(),
            key: key.map(ToOwned::to_owned),
            at_ms: ms(one.began.saturating_duration_since(self.begun)),
            took_ms: ms(one.began.elapsed()),
            paused_ms: ms(one.paused),
            outcome: fault.map_or("ok", |fault| fault.code().as_str()),
            culprit: fault.map(|fault| culprit(fault).as_str()),
            status: detail("upstream_status").and_then(|status| status.as_u64()),
            error: failure.map(|(_, text)| text),
        };
        let mut attempts = self.attempts.lock();
        if attempts.len() < ATTEMPTS_MAX {
            attempts.push(attempt);
        }
    }
}
