//! What a rule holds, until somebody decides about it: requests of the proxy, and calls at the
//! points of the gateway's step mode.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What becomes of a request that was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on as it is.
    #[default]
    Go,
    /// It goes on with another body.
    GoWith(Vec<u8>),
    /// Its connection is closed.
    Drop,
}

/// The requests that are held, by their numbers.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<Holding>>);

#[derive(Debug)]
struct Holding {
    number: u64,
    go: Arc<Notify>,
    verdict: Verdict,
}

impl Held {
    /// How long a request is held when nobody lets it go: callers have deadlines too.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits until somebody decides about the request; when nobody does it goes on.
    /// Dropping this takes it out of those that are held.
    pub async fn hold(&self, number: u64) -> Verdict {
        let go = Arc::new(Notify::new());
        let holding = Holding { number, go: Arc::clone(&go), verdict: Verdict::Go };
        self.0.lock().push(holding);
        let _gone = Gone(self, number);
        let _late = tokio::time::timeout(Self::PATIENCE, go.notified()).await;
        let mut held = self.0.lock();
        let found = held.iter_mut().find(|holding| holding.number == number);
        found.map(|holding| std::mem::take(&mut holding.verdict)).unwrap_or_default()
    }

    /// Decides about a request; `false` when it is not held.
    #[must_use]
    pub fn decide(&self, number: u64, verdict: Verdict) -> bool {
        let mut held = self.0.lock();
        let Some(holding) = held.iter_mut().find(|holding| holding.number == number) else {
            return false;
        };
        holding.verdict = verdict;
        holding.go.notify_one();
        true
    }

    /// The numbers of those that are held.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.0.lock().iter().map(|holding| holding.number).collect()
    }
}

/// Takes a request out of the list, also when whoever waited is dropped.
struct Gone<'a>(&'a Held, u64);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.0.lock().retain(|holding| holding.number != self.1);
    }
}
