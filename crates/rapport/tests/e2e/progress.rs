//! How far the writers of a test are, so that it can kill their server in the middle.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Acknowledged pieces of work of one round.
#[derive(Default)]
pub(crate) struct Progress {
    seen: AtomicU32,
    more: Notify,
}

impl Progress {
    /// A round begins.
    pub(crate) fn begin(&self) {
        self.seen.store(0, Ordering::Relaxed);
    }

    /// One more was acknowledged.
    pub(crate) fn note(&self) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.more.notify_waiters();
    }

    /// Waits for so many of this round.
    pub(crate) async fn reached(&self, wanted: u32) {
        loop {
            let more = self.more.notified();
            if self.seen.load(Ordering::Relaxed) >= wanted {
                return;
            }
            more.await;
        }
    }
}
