//! The one place that starts tasks, so that shutdown can wait for them.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The tasks of a part of the program that end together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
}

impl Tasks {
    /// Starts `future`; a panic in it ends it alone, and is logged by the panic hook.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let caught = async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked and was ended; all others go on");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "this is the spawner the others must use")]
        tokio::spawn(self.tracker.track_future(caught))
    }

    /// Waits until all tasks have ended. No task may be started afterwards.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How many tasks have not ended.
    pub(crate) fn len(&self) -> usize {
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;

    #[tokio::test]
    async fn a_panic_ends_its_own_task_and_shutdown_does_not_wait_for_it() {
        let tasks = Tasks::default();
        let broken = tasks.spawn("broken", async { panic!("on purpose") });
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tasks.spawn("other", async move { sender.send(7).unwrap() });
        assert!(broken.await.is_ok());
        assert_eq!(receiver.await, Ok(7));
        tasks.ended().await;
        assert_eq!(tasks.len(), 0);
    }
}
