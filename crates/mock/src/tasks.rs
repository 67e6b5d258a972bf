//! The one place that starts tasks, so that shutdown can wait for every one of them.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a shutdown lets replies in flight finish before it cuts them.
const GRACE: Duration = Duration::from_secs(2);

/// The running tasks of one server and the two signals that end them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Tasks {
    /// Starts a task that [`Tasks::finish`] waits for.
    pub(crate) fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.tracker.spawn(future));
    }

    /// Resolves when no new work shall begin.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Resolves when even replies in flight shall end.
    pub(crate) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Asks every task to end without waiting for it.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }

    /// Lets replies in flight finish for a short while, then ends everything.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(GRACE, self.tracker.wait()).await.is_err() {
            self.kill.cancel();
            self.tracker.wait().await;
        }
    }
}
