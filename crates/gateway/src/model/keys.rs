//! A provider's keys: which is used next, and what became of each.

use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use wire::Fault;

use super::call::{dice, now};
use super::culprit::Culprit;
use crate::provider;
use crate::settings::{KeySettings, ProviderSettings};

/// How long a limited key rests when the provider does not say.
const LIMITED_FOR: Duration = Duration::from_secs(10);
/// After this time somebody looks whether there is money again.
const EXCEEDED_FOR: Duration = Duration::from_mins(5);
/// After this time somebody looks whether a refused key counts again.
const INVALID_FOR: Duration = Duration::from_mins(10);

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Normal,
    /// It asked for too much; until then it rests.
    Limited(Instant),
    /// Its money is used up; then one call looks again.
    Exceeded(Instant),
    /// It was refused; then one call looks again.
    Invalid(Instant),
}

impl State {
    fn until(self) -> Option<Instant> {
        match self {
            Self::Normal => None,
            Self::Limited(until) | Self::Exceeded(until) | Self::Invalid(until) => Some(until),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Limited(_) => "limited",
            Self::Exceeded(_) => "exceeded",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// A key and its state, for people; never the key itself.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct KeyStatus {
    /// What the configuration calls it.
    pub name: String,
    /// `normal`, `limited`, `exceeded`, `invalid` or `expired`.
    pub state: &'static str,
    /// Seconds until it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_in_seconds: Option<u64>,
}

#[derive(Debug)]
struct Held {
    key: KeySettings,
    headers: HeaderMap,
    state: Mutex<State>,
}

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Pool(Vec<Held>);

impl Pool {
    /// Reads the settings.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, Fault> {
        let held = settings.keys.iter().map(|key| {
            let headers = provider::headers(settings, Some(key))?;
            Ok(Held { key: key.clone(), headers, state: Mutex::default() })
        });
        held.collect::<Result<_, Fault>>().map(Self)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key that is used while nothing is known of any.
    pub(super) fn first(&self) -> Option<usize> {
        self.0.iter().enumerate().min_by_key(|(_, held)| held.key.priority).map(|(n, _)| n)
    }

    pub(super) fn key(&self, index: Option<usize>) -> Option<&KeySettings> {
        self.0.get(index?).map(|held| &held.key)
    }

    pub(super) fn headers(&self, index: Option<usize>) -> Option<&HeaderMap> {
        self.0.get(index?).map(|held| &held.headers)
    }

    /// The key for a try, none of those that were tried: of the best priority that has a usable
    /// one, by weight. When none is usable, the one that will be first is tried all the same for
    /// the first try: a provider that refuses says more than we do.
    pub(super) fn pick(&self, tried: &[usize]) -> Option<usize> {
        let (at, wall) = (Instant::now(), now());
        let fresh = |held: &Held| held.key.expires.is_none_or(|end| end > wall);
        let left = || self.0.iter().enumerate().filter(|(n, _)| !tried.contains(n));
        let usable = |held: &Held| held.state.lock().until().is_none_or(|until| until <= at);
        let good = || left().filter(|(_, held)| fresh(held) && usable(held));
        // A key without weight is used when no other is left.
        let heavy = || good().filter(|(_, held)| held.key.weight > 0);
        if let Some(best) = heavy().map(|(_, held)| held.key.priority).min() {
            let peers = || heavy().filter(|(_, held)| held.key.priority == best);
            let total: u32 = peers().map(|(_, held)| held.key.weight).sum();
            let mut mark = dice() * f64::from(total);
            for (n, held) in peers() {
                mark -= f64::from(held.key.weight);
                if mark < 0.0 {
                    return Some(n);
                }
            }
            return peers().last().map(|(n, _)| n);
        }
        if let Some((n, _)) = good().min_by_key(|(_, held)| held.key.priority) {
            return Some(n);
        }
        if !tried.is_empty() {
            return None;
        }
        let first = left().filter(|(_, held)| fresh(held)).min_by_key(|(_, held)| {
            let until = held.state.lock().until();
            (until, held.key.priority)
        });
        first.or_else(|| left().next()).map(|(n, _)| n)
    }

    /// Takes note of a call with this key that worked.
    pub(super) fn worked(&self, index: Option<usize>) {
        if let Some(held) = index.and_then(|n| self.0.get(n)) {
            *held.state.lock() = State::Normal;
        }
    }

    /// Takes note of a call with this key that failed; `wait` is what the provider asked for.
    pub(super) fn failed(&self, index: Option<usize>, culprit: Culprit, wait: Option<Duration>) {
        let Some(held) = index.and_then(|n| self.0.get(n)) else { return };
        let until = |wait: Duration| Instant::now() + wait.min(Duration::from_hours(1));
        let state = match culprit {
            Culprit::Limit => State::Limited(until(wait.unwrap_or(LIMITED_FOR))),
            Culprit::Quota => State::Exceeded(until(wait.unwrap_or(EXCEEDED_FOR))),
            Culprit::Key => State::Invalid(until(INVALID_FOR)),
            _ => return,
        };
        *held.state.lock() = state;
        if self.len() > 1 {
            tracing::warn!(key = held.key.name, state = state.name(), "a provider's key rests");
        }
    }

    /// Every key and its state.
    pub(super) fn statuses(&self) -> Vec<KeyStatus> {
        let (at, wall) = (Instant::now(), now());
        let status = |held: &Held| {
            let state = *held.state.lock();
            let expired = held.key.expires.is_some_and(|end| end <= wall);
            let rest = state.until().map(|until| until.saturating_duration_since(at).as_secs());
            KeyStatus {
                name: held.key.name.clone(),
                state: if expired { "expired" } else { state.name() },
                again_in_seconds: rest.filter(|_| !expired),
            }
        };
        self.0.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    fn pool(keys: &[(&str, u32, u32)]) -> Pool {
        let mut settings = ProviderSettings::new("openai", "openai_chat", "http://127.0.0.1:1");
        settings.keys = keys
            .iter()
            .map(|(name, priority, weight)| KeySettings {
                name: (*name).to_owned(),
                priority: *priority,
                weight: *weight,
                ..KeySettings::new(Secret::new(format!("sk-{name}")), "a test")
            })
            .collect();
        Pool::new(&settings).expect("keys that are headers")
    }

    #[tokio::test(start_paused = true)]
    async fn the_best_key_that_is_usable_is_used() {
        let pool = pool(&[("spare", 1, 0), ("first", 1, 1), ("second", 2, 1)]);
        assert_eq!(pool.pick(&[]), Some(1));
        pool.failed(Some(1), Culprit::Limit, Some(Duration::from_secs(3)));
        assert_eq!(pool.pick(&[]), Some(2), "the next priority before a spare");
        pool.failed(Some(2), Culprit::Key, None);
        assert_eq!(pool.pick(&[]), Some(0));
        assert_eq!(pool.pick(&[0]), None, "what is at rest is not tried after another");
        pool.failed(Some(0), Culprit::Quota, None);
        assert_eq!(pool.pick(&[]), Some(1), "the one that comes back first");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(pool.pick(&[0]), Some(1), "its rest is over");
        pool.worked(Some(1));
        let states: Vec<_> = pool.statuses().iter().map(|key| key.state).collect();
        assert_eq!(states, ["exceeded", "normal", "invalid"]);
        pool.failed(Some(1), Culprit::Request, None);
        assert_eq!(pool.pick(&[]), Some(1), "a bad request says nothing of the key");
    }

    #[test]
    fn weights_share_the_calls() {
        let pool = pool(&[("a", 1, 9), ("b", 1, 1)]);
        let first = (0..2_000).filter(|_| pool.pick(&[]) == Some(0)).count();
        assert!((1_700..=1_900).contains(&first), "{first} of 2000 at nine to one");
    }
}
