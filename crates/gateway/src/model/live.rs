//! How an upstream fares, learned from real calls only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// Limit: models remembered per provider; their names come from callers.
const MODELS_MAX: usize = 256;

/// What the last calls showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// It answered the last time; `None` before the first call.
    pub(super) reachable: Option<bool>,
    /// When `reachable` last changed.
    pub(super) since: Option<Timestamp>,
    /// How long its last good answer took.
    pub(super) latency: Option<Duration>,
    /// What was wrong with the last call; nothing after a good one.
    pub(super) last_error: Option<String>,
    /// The model that really answered.
    pub(super) version: Option<String>,
}

/// One call, as far as it says something about the upstream.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// It answered, after this time, as this version.
    Good(Duration, String),
    /// It began to answer, after this time; its words went by unread.
    Answered(Duration),
    /// It was reached and refused.
    Refused(String),
    /// It was not reached, or did not answer.
    Lost(String),
}

/// What is known of a provider and its models.
#[derive(Debug, Default)]
pub(super) struct Live {
    seen: Mutex<(Seen, HashMap<String, Seen>)>,
}

impl Live {
    /// Takes note of a call.
    pub(super) fn note(&self, model: &str, news: &News, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (provider, models) = &mut *seen;
        provider.take(news, now);
        if let Some(one) = models.get_mut(model) {
            one.take(news, now);
        } else if models.len() < MODELS_MAX {
            models.entry(model.to_owned()).or_default().take(news, now);
        }
    }

    /// What is known of the provider.
    pub(super) fn provider(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What is known of one of its models.
    pub(super) fn model(&self, model: &str) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.1.get(model).cloned().unwrap_or_default()
    }
}

impl Seen {
    fn take(&mut self, news: &News, now: Timestamp) {
        let reachable = !matches!(news, News::Lost(_));
        if self.reachable != Some(reachable) {
            self.since = Some(now);
        }
        self.reachable = Some(reachable);
        match news {
            News::Good(latency, version) => {
                self.latency = Some(*latency);
                self.version = Some(version.clone());
                self.last_error = None;
            }
            News::Answered(latency) => {
                self.latency = Some(*latency);
                self.last_error = None;
            }
            News::Refused(text) | News::Lost(text) => self.last_error = Some(text.clone()),
        }
    }
}
