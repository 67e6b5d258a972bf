//! How many calls may be sent twice, and how many copies may be under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::prompt::Prompt;

use crate::gate::Gateway;
use crate::model::Upstream;

/// Limit: shadow copies under way; others are left out.
const SHADOWS_MAX: usize = 64;

/// The budget of calls that are sent more than once.
#[derive(Debug)]
pub(crate) struct Hedges {
    calls: AtomicU64,
    sent: AtomicU64,
    shadows: Arc<Semaphore>,
}

impl Default for Hedges {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            shadows: Arc::new(Semaphore::new(SHADOWS_MAX)),
        }
    }
}

impl Hedges {
    /// Counts a call that may be hedged; whether this one may, so that of a hundred calls at most
    /// `percent` are sent twice. The first call may.
    pub(crate) fn called(&self, percent: u8) -> bool {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let sent = self.sent.load(Ordering::Relaxed);
        sent * 100 < calls * u64::from(percent) || (sent == 0 && percent > 0)
    }

    /// A call was sent twice.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A place for a copy; nothing when too many are under way.
    fn shadow(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shadows).try_acquire_owned().ok()
    }
}

/// Sends a copy whose answer nobody reads, if there is a place for it.
pub(crate) fn copy_to(gate: &Gateway, upstream: &Arc<Upstream>, mut prompt: Prompt) {
    let Some(place) = gate.hedges().shadow() else { return };
    let upstream = Arc::clone(upstream);
    upstream.model().clone_into(&mut prompt.model);
    gate.tasks().spawn("shadow", async move {
        let outcome = upstream.send(&prompt).await;
        tracing::info!(
            provider = upstream.provider(),
            model = upstream.model(),
            ok = outcome.is_ok(),
            "shadow copy"
        );
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_stay_within_their_share() {
        let hedges = Hedges::default();
        let sent = (0..1_000).filter(|_| hedges.called(5)).map(|_| hedges.sent()).count();
        assert!((49..=51).contains(&sent), "{sent} of 1000");
        let never = Hedges::default();
        assert!((0..100).all(|_| !never.called(0)));
    }
}
