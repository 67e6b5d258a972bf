//! The pause that a provider asked for: everybody's next call waits for its end, not only ours.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::{Blame, Code, Fault};

/// Limit: a pause longer than this is passed on instead of waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Limit: calls that wait for the end of one provider's pause.
const WAITING_MAX: usize = 128;

/// After a pause the waiting calls go on spread over this time, not all at once.
const SPREAD: Duration = Duration::from_millis(250);

/// Whether a provider may be called now.
#[derive(Debug, Default)]
pub(super) struct Hold {
    until: Mutex<Option<Instant>>,
    waiting: AtomicUsize,
}

impl Hold {
    /// Begins a pause, or lengthens the one that is.
    pub(super) fn close(&self, pause: Duration) {
        // A pause without end is a mistake of the other side: an hour is as good.
        let end = Instant::now() + pause.min(Duration::from_secs(3_600));
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(until.map_or(end, |before| before.max(end)));
    }

    /// Returns when the provider may be called.
    ///
    /// # Errors
    /// `rate_limited` with the rest of the pause when that is too long to wait for, or when too
    /// many wait already.
    pub(super) async fn pass(&self, provider: &str, deadline: Instant) -> Result<(), Fault> {
        loop {
            let Some(left) = self.left() else { return Ok(()) };
            if left > PATIENCE || Instant::now() + left >= deadline {
                return Err(refused(provider, left));
            }
            let Some(place) = self.stand() else { return Err(refused(provider, left)) };
            tokio::time::sleep(left + SPREAD.mul_f64(super::call::dice())).await;
            drop(place);
        }
    }

    fn left(&self) -> Option<Duration> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.as_ref()?.checked_duration_since(Instant::now());
        let left = left.filter(|left| !left.is_zero());
        if left.is_none() {
            *until = None;
        }
        left
    }

    fn stand(&self) -> Option<Place<'_>> {
        let place = Place { waiting: &self.waiting };
        (self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

/// A place among the waiting calls, given back when it drops.
struct Place<'a> {
    waiting: &'a AtomicUsize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refused(provider: &str, left: Duration) -> Fault {
    let seconds = left.as_secs_f64().ceil();
    Fault::new(
        Code::RateLimited,
        format!("provider `{provider}` asked for a pause that lasts {seconds} s more"),
    )
    .blamed(Blame::Upstream)
    .retry_after(left)
    .hint("try again after that time, or ask another provider's model")
    .details(serde_json::json!({"provider": provider, "upstream_status": 429}))
}
