//! How one model of one provider fares: calls under way, latency, and the breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::call::dice;
use super::culprit::Culprit;

/// Limit: failures in a row before a target is left alone.
const FAILURES_MAX: u32 = 5;
/// How long it is left alone the first time; it doubles with each failed probe.
const OPEN_FIRST: Duration = Duration::from_secs(5);
/// Limit: the longest time a target is left alone between two probes.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// Limit: how long a probe may keep others from looking.
const PROBE: Duration = Duration::from_secs(30);
/// The time in which a slow answer loses most of its weight.
const MEMORY: Duration = Duration::from_secs(10);

/// What is known of one target. Cheap to look at: no lock is held over anything that waits.
#[derive(Debug, Default)]
pub(crate) struct Health {
    in_flight: AtomicU32,
    latency: Mutex<Option<(Duration, Instant)>>,
    breaker: Mutex<Breaker>,
    /// The health checks of its provider fail.
    down: Arc<AtomicBool>,
}

/// Leaves a target alone that fails again and again, and looks after it from time to time.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// How often it was opened since it last worked.
    opened: u32,
    until: Option<Instant>,
    /// One call is finding out whether it works again; given up when it never ends.
    probing: Option<Instant>,
}

/// The state of a breaker, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It works.
    Closed,
    /// It is left alone.
    Open,
    /// The next call, or the one under way, finds out.
    HalfOpen,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Health {
    /// The health of a model whose provider may be down.
    pub(super) fn under(down: Arc<AtomicBool>) -> Self {
        Self { down, ..Self::default() }
    }

    /// Its provider came up: what was left alone is tried by the next call.
    pub(super) fn is_worth_a_try(&self) {
        let mut breaker = self.breaker.lock();
        if breaker.until.is_some() {
            breaker.until = Some(Instant::now());
            breaker.probing = None;
        }
    }

    /// The state, failures in a row, and how long it is left alone still.
    pub(super) fn told(&self, now: Instant) -> (State, u32, Option<Duration>) {
        let state = self.state(now);
        let breaker = self.breaker.lock();
        let left = breaker.until.map(|until| until.saturating_duration_since(now));
        (state, breaker.failures, left.filter(|_| state == State::Open))
    }

    /// Counts a call until what is returned drops.
    pub(crate) fn begin(self: &Arc<Self>) -> Flight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight { health: Arc::clone(self), begun: Instant::now(), told: false }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What the next call is expected to take: the peak of recent latencies, fading, times the
    /// calls that are before it. A target that was never asked costs nothing, so that it is.
    pub(crate) fn load(&self, now: Instant) -> f64 {
        let Some((peak, at)) = *self.latency.lock() else { return 0.0 };
        let faded = peak.as_secs_f64() * fading(now.saturating_duration_since(at));
        (faded + f64::EPSILON) * f64::from(self.in_flight() + 1)
    }

    pub(crate) fn state(&self, now: Instant) -> State {
        if self.down.load(Ordering::Relaxed) {
            return State::Open;
        }
        let breaker = self.breaker.lock();
        match breaker.until {
            None => State::Closed,
            Some(until) if until > now => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// Whether a call may go there now; of a target that is being looked after only one may.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut breaker = self.breaker.lock();
        match breaker.until {
            None => true,
            Some(until) if until > now => false,
            Some(_) if breaker.probing.is_some_and(|until| until > now) => false,
            Some(_) => {
                breaker.probing = Some(now + PROBE);
                true
            }
        }
    }

    fn worked(&self, took: Duration) {
        *self.breaker.lock() = Breaker::default();
        let now = Instant::now();
        let mut latency = self.latency.lock();
        *latency = Some(match *latency {
            // A peak counts at once; what is faster lets the peak fade.
            Some((before, at)) if took < before => {
                let weight = fading(now.saturating_duration_since(at));
                (before.mul_f64(weight) + took.mul_f64(1.0 - weight), now)
            }
            _ => (took, now),
        });
    }

    fn failed(&self, culprit: Culprit) {
        let mut breaker = self.breaker.lock();
        breaker.probing = None;
        if culprit != Culprit::Provider {
            // Whatever it said, it answered.
            return;
        }
        breaker.failures += 1;
        let was_open = breaker.until.is_some();
        if breaker.failures >= FAILURES_MAX || was_open {
            let rest = OPEN_FIRST.saturating_mul(1 << breaker.opened.min(8)).min(OPEN_MAX);
            breaker.opened += 1;
            breaker.until = Some(Instant::now() + rest.mul_f64(0.75 + dice() / 4.0));
        }
    }

    /// A probe that was neither good nor bad.
    fn left(&self) {
        self.breaker.lock().probing = None;
    }
}

/// What is left of a latency after this time.
fn fading(since: Duration) -> f64 {
    (-since.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Flight {
    health: Arc<Health>,
    begun: Instant,
    told: bool,
}

impl Flight {
    /// It worked: its first content, or its whole answer, came now.
    pub(crate) fn worked(&mut self) {
        self.told = true;
        self.health.worked(self.begun.elapsed());
    }

    /// It failed.
    pub(crate) fn failed(&mut self, culprit: Culprit) {
        self.told = true;
        self.health.failed(culprit);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.told {
            self.health.left();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Arc<Health>, culprit: Culprit) {
        health.begin().failed(culprit);
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_opens_probes_once_and_closes() {
        let health = Arc::new(Health::default());
        for _ in 0..20 {
            fail(&health, Culprit::Request);
            fail(&health, Culprit::Key);
        }
        assert_eq!(health.state(Instant::now()), State::Closed, "it answered each time");
        for _ in 0..FAILURES_MAX {
            assert!(health.admits(Instant::now()));
            fail(&health, Culprit::Provider);
        }
        assert_eq!(health.state(Instant::now()), State::Open);
        assert!(!health.admits(Instant::now()));
        tokio::time::advance(OPEN_FIRST).await;
        assert_eq!(health.state(Instant::now()), State::HalfOpen);
        assert!(health.admits(Instant::now()), "one may look");
        assert!(!health.admits(Instant::now()), "and only one");
        fail(&health, Culprit::Provider);
        tokio::time::advance(OPEN_FIRST).await;
        assert!(!health.admits(Instant::now()), "it is left alone for longer");
        tokio::time::advance(OPEN_FIRST).await;
        assert!(health.admits(Instant::now()));
        health.begin().worked();
        assert_eq!(health.state(Instant::now()), State::Closed);
        assert!(health.admits(Instant::now()) && health.admits(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_the_next() {
        let health = Arc::new(Health::default());
        for _ in 0..FAILURES_MAX {
            fail(&health, Culprit::Provider);
        }
        tokio::time::advance(OPEN_FIRST).await;
        assert!(health.admits(Instant::now()));
        drop(health.begin());
        assert!(health.admits(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn load_follows_peaks_at_once_and_forgets_them_slowly() {
        let health = Arc::new(Health::default());
        assert!(health.load(Instant::now()) < f64::EPSILON, "who was never asked is asked");
        let after = async |ms: u64| {
            let mut flight = health.begin();
            tokio::time::advance(Duration::from_millis(ms)).await;
            flight.worked();
        };
        after(100).await;
        let calm = health.load(Instant::now());
        after(2_000).await;
        let peak = health.load(Instant::now());
        assert!(peak > 15.0 * calm, "{calm} {peak}");
        let _under_way = health.begin();
        assert!(health.load(Instant::now()) > 1.9 * peak);
        tokio::time::advance(MEMORY * 3).await;
        assert!(health.load(Instant::now()) < peak / 5.0);
    }
}
