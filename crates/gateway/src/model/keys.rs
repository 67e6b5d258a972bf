//! A provider's keys: which is used next, and what became of each.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
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

/// Limit: how long a call that tries a resting key may keep others from trying it.
const PROBE: Duration = Duration::from_secs(30);

/// Why a key rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It asked for too much.
    Limited,
    /// Its money is used up.
    Exceeded,
    /// It was refused.
    Invalid,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Exceeded => "exceeded",
            Self::Invalid => "invalid",
        }
    }
}

/// The rest of a key: until then it is not used. After that a limited key counts again; of the
/// others one call finds out.
#[derive(Clone, Copy, Debug)]
struct Rest {
    why: Why,
    since: Timestamp,
    until: Instant,
}

/// A key and its state, for people; never the key itself.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct KeyStatus {
    /// What the configuration calls it.
    pub name: String,
    /// Keys of priority 1 are used before those of priority 2.
    pub priority: u32,
    /// Its share among keys of its priority; 0 makes it a spare.
    pub weight: u32,
    /// `normal`, `limited`, `exceeded`, `invalid` or `expired`.
    pub state: &'static str,
    /// Since when it is in this state (RFC 3339); nothing for a key that always worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it is tried again (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Seconds until it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_in_seconds: Option<u64>,
    /// How it comes back: `time` (it counts again then), `probe` (one call tries it then) or
    /// `never` (its day is over).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<&'static str>,
}

#[derive(Debug)]
struct Held {
    key: KeySettings,
    headers: HeaderMap,
    rest: Arc<Mutex<Option<Rest>>>,
    /// When it came back from its last rest.
    back: Arc<Mutex<Option<Timestamp>>>,
}

impl Held {
    fn until(&self) -> Option<Instant> {
        self.rest.lock().map(|rest| rest.until)
    }
}

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Pool(Vec<Held>);

impl Pool {
    /// Reads the settings.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, Fault> {
        let held = settings.keys.iter().map(|key| {
            let headers = provider::headers(settings, Some(key))?;
            let (rest, back) = (Arc::default(), Arc::default());
            Ok(Held { key: key.clone(), headers, rest, back })
        });
        held.collect::<Result<_, Fault>>().map(Self)
    }

    /// Goes on with the states of those keys that were there before.
    pub(super) fn goes_on(&mut self, before: &Self) {
        for held in &mut self.0 {
            let same = |old: &&Held| old.key.key.expose() == held.key.key.expose();
            if let Some(old) = before.0.iter().find(same) {
                held.rest = Arc::clone(&old.rest);
                held.back = Arc::clone(&old.back);
            }
        }
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
        let picked = self.best(tried);
        if let Some(held) = picked.and_then(|n| self.0.get(n))
            && let Some(rest) = &mut *held.rest.lock()
            && rest.why != Why::Limited
        {
            // This call finds out; others go on without the key until it has.
            rest.until = rest.until.max(Instant::now() + PROBE);
        }
        picked
    }

    fn best(&self, tried: &[usize]) -> Option<usize> {
        let (at, wall) = (Instant::now(), now());
        let fresh = |held: &Held| held.key.expires.is_none_or(|end| end > wall);
        let left = || self.0.iter().enumerate().filter(|(n, _)| !tried.contains(n));
        let usable = |held: &Held| held.until().is_none_or(|until| until <= at);
        let good = || left().filter(|(_, held)| fresh(held) && usable(held));
        // A key without weight is used when no other is left.
        let heavy = || good().filter(|(_, held)| held.key.weight > 0);
        if let Some(best) = heavy().map(|(_, held)| held.key.priority).min() {
            let peers = || heavy().filter(|(_, held)| held.key.priority == best);
            let mut found = peers();
            if let (Some((only, _)), None) = (found.next(), found.next()) {
                return Some(only);
            }
            let total: u32 = peers().map(|(_, held)| held.key.weight).sum();
            let mut mark = dice() * f64::from(total);
            for (n, held) in peers() {
                mark -= f64::from(held.key.weight);
                if mark < 0.0 {
                    return Some(n);
                }
            }
            return peers().next_back().map(|(n, _)| n);
        }
        if let Some((n, _)) = good().min_by_key(|(_, held)| held.key.priority) {
            return Some(n);
        }
        if !tried.is_empty() {
            return None;
        }
        let first = left()
            .filter(|(_, held)| fresh(held))
            .min_by_key(|(_, held)| (held.until(), held.key.priority));
        first.or_else(|| left().next()).map(|(n, _)| n)
    }

    /// The key to look after without a call: a refused one, so that it comes back, else the best.
    pub(super) fn to_check(&self) -> Option<usize> {
        let is_invalid =
            |held: &Held| held.rest.lock().is_some_and(|rest| rest.why == Why::Invalid);
        self.0.iter().position(is_invalid).or_else(|| self.best(&[]))
    }

    /// A look with this key was welcome: a refused one counts again.
    pub(super) fn checked(&self, index: Option<usize>) {
        let Some(held) = index.and_then(|n| self.0.get(n)) else { return };
        let is_invalid = held.rest.lock().is_some_and(|rest| rest.why == Why::Invalid);
        if is_invalid {
            self.worked(index);
        }
    }

    /// Takes note of a call with this key that worked.
    pub(super) fn worked(&self, index: Option<usize>) {
        let Some(held) = index.and_then(|n| self.0.get(n)) else { return };
        if let Some(rest) = held.rest.lock().take() {
            *held.back.lock() = Some(now());
            if self.len() > 1 || rest.why != Why::Limited {
                tracing::info!(key = held.key.name, was = rest.why.name(), "a key works again");
            }
        }
    }

    /// Takes note of a call with this key that failed; `wait` is what the provider asked for.
    pub(super) fn failed(&self, index: Option<usize>, culprit: Culprit, wait: Option<Duration>) {
        let Some(held) = index.and_then(|n| self.0.get(n)) else { return };
        let (why, rest) = match culprit {
            Culprit::Limit => (Why::Limited, wait.unwrap_or(LIMITED_FOR)),
            Culprit::Quota => (Why::Exceeded, wait.unwrap_or(EXCEEDED_FOR)),
            Culprit::Key => (Why::Invalid, INVALID_FOR),
            _ => return,
        };
        let until = Instant::now() + rest.min(Duration::from_hours(1));
        let mut held_rest = held.rest.lock();
        let since = held_rest.filter(|before| before.why == why).map(|before| before.since);
        *held_rest = Some(Rest { why, since: since.unwrap_or_else(now), until });
        if self.len() > 1 && since.is_none() {
            tracing::warn!(key = held.key.name, state = why.name(), "a provider's key rests");
        }
    }

    /// Every key and its state.
    pub(super) fn statuses(&self) -> Vec<KeyStatus> {
        self.0.iter().map(|held| held.status(Instant::now(), now())).collect()
    }
}

impl Held {
    fn status(&self, at: Instant, wall: Timestamp) -> KeyStatus {
        let end = self.key.expires.filter(|end| *end <= wall);
        let rest = self.rest.lock().filter(|_| end.is_none());
        let left = rest.map(|rest| rest.until.saturating_duration_since(at));
        let until = left.map(|left| wall.checked_add(left).unwrap_or(wall));
        KeyStatus {
            name: self.key.name.clone(),
            priority: self.key.priority,
            weight: self.key.weight,
            state: match rest {
                _ if end.is_some() => "expired",
                Some(rest) => rest.why.name(),
                None => "normal",
            },
            since: end.or(rest.map(|rest| rest.since)).or(*self.back.lock()).map(told),
            until: until.map(told),
            again_in_seconds: left.map(|left| left.as_secs()),
            recovery: match rest {
                _ if end.is_some() => Some("never"),
                Some(Rest { why: Why::Limited, .. }) => Some("time"),
                Some(_) => Some("probe"),
                None => None,
            },
        }
    }
}

/// A time to the second, as answers have it.
fn told(at: Timestamp) -> String {
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
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

    #[test]
    fn priorities_come_before_weights() {
        let pool = pool(&[("big", 2, 1_000), ("small", 1, 1)]);
        assert!((0..100).all(|_| pool.pick(&[]) == Some(1)));
        pool.failed(Some(1), Culprit::Limit, None);
        assert!((0..100).all(|_| pool.pick(&[]) == Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_comes_back_by_one_call_that_works() {
        let pool = pool(&[("first", 1, 1), ("second", 2, 1)]);
        pool.failed(Some(0), Culprit::Key, None);
        let status = pool.statuses().remove(0);
        assert_eq!((status.state, status.recovery), ("invalid", Some("probe")));
        assert_eq!(status.again_in_seconds, Some(INVALID_FOR.as_secs()));
        assert!(status.since.is_some() && status.until.is_some());
        tokio::time::advance(INVALID_FOR).await;
        assert_eq!(pool.pick(&[]), Some(0), "one call tries it");
        assert_eq!(pool.pick(&[]), Some(1), "others do not wait for it");
        pool.failed(Some(0), Culprit::Key, None);
        assert_eq!(pool.pick(&[]), Some(1), "it was refused again");
        tokio::time::advance(INVALID_FOR).await;
        assert_eq!(pool.pick(&[]), Some(0));
        pool.worked(Some(0));
        assert!((0..10).all(|_| pool.pick(&[]) == Some(0)), "it is back");
        let status = pool.statuses().remove(0);
        assert_eq!((status.state, status.until, status.recovery), ("normal", None, None));
        assert!(status.since.is_some(), "since it came back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_ends_makes_room_for_the_next() {
        let pool = pool(&[("first", 1, 1), ("second", 2, 1)]);
        pool.failed(Some(0), Culprit::Quota, None);
        tokio::time::advance(EXCEEDED_FOR).await;
        assert_eq!((pool.pick(&[]), pool.pick(&[])), (Some(0), Some(1)));
        tokio::time::advance(PROBE).await;
        assert_eq!(pool.pick(&[]), Some(0));
    }

    #[test]
    fn a_look_brings_back_a_refused_key_and_no_other() {
        let pool = pool(&[("first", 1, 1), ("second", 2, 1)]);
        pool.failed(Some(0), Culprit::Quota, None);
        pool.failed(Some(1), Culprit::Key, None);
        assert_eq!(pool.to_check(), Some(1));
        pool.checked(Some(0));
        pool.checked(Some(1));
        let states: Vec<_> = pool.statuses().iter().map(|key| key.state).collect();
        assert_eq!(states, ["exceeded", "normal"], "a list of models costs nothing");
    }

    #[test]
    fn an_expired_key_is_never_used() {
        let mut settings = ProviderSettings::new("openai", "openai_chat", "http://127.0.0.1:1");
        let key = |name: &str, expires| KeySettings {
            name: name.to_owned(),
            expires,
            ..KeySettings::new(Secret::new(format!("sk-{name}")), "a test")
        };
        let past = Some("2020-01-01T00:00:00Z".parse().expect("a time"));
        settings.keys = vec![key("old", past), key("new", None)];
        let pool = Pool::new(&settings).expect("keys that are headers");
        assert!((0..100).all(|_| pool.pick(&[]) == Some(1)));
        let status = pool.statuses().remove(0);
        assert_eq!((status.state, status.recovery), ("expired", Some("never")));
        assert_eq!(status.since.as_deref(), Some("2020-01-01T00:00:00Z"));
    }
}
