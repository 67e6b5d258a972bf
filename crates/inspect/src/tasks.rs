//! The one place where this crate starts a task.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task; whoever starts it decides what its end means.
#[expect(clippy::disallowed_methods, reason = "the crate's only door to the runtime")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(future)
}
