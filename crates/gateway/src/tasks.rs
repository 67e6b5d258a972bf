//! The only place where this crate starts a task.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Starts a task under a name that its log lines carry, inside the current span.
///
/// Nobody waits for it at shutdown; use [`Tasks::spawn`] where somebody has to.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    start(future.instrument(tracing::info_span!("task", task = name)))
}

/// Starts a task that outlives the request which needed it first, such as a pooled connection.
pub fn detach<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    start(future.instrument(tracing::info_span!(parent: None, "task", task = name)))
}

#[expect(clippy::disallowed_methods, reason = "the one place the ban points to")]
fn start<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    // What a task changes, it changes on behalf of whoever started it.
    tokio::spawn(context::acting(context::actor(), future))
}

/// A group of tasks that shutdown waits for.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
}

impl Tasks {
    /// Starts a task of the group.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        spawn(name, self.tracker.track_future(future))
    }

    /// The tasks that still run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Whether shutdown has begun: what would go on for ever ends now.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.tracker.is_closed()
    }

    /// Waits until every task has ended, at most `within`; says whether all did.
    pub async fn drain(&self, within: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(within, self.tracker.wait()).await.is_ok()
    }
}
