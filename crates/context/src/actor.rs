//! On whose behalf something happens: told beside the call, kept in the audit of changes.

use std::future::Future;
use std::sync::Arc;

tokio::task_local! {
    static ACTOR: Option<Arc<str>>;
}

/// Runs a future on behalf of `who`, such as the name of a key; `None` is nobody known.
pub async fn acting<F: Future>(who: Option<Arc<str>>, future: F) -> F::Output {
    ACTOR.scope(who, future).await
}

/// On whose behalf the present task works.
#[must_use]
pub fn actor() -> Option<Arc<str>> {
    ACTOR.try_with(Clone::clone).ok().flatten()
}
