//! What a request is told of the window its turn had, whichever surface it came by: the flow notes
//! it, the door puts it into `x-rapport-window`.

use std::future::Future;
use std::sync::Arc;

use context::Map;
use parking_lot::Mutex;

use super::beside;

tokio::task_local! {
    static SLOT: Slot;
}

/// Where the line for the header is noted; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<String>>>);

impl Slot {
    /// Notes the facts of a window.
    pub(super) fn note(&self, facts: &Map) {
        *self.0.lock() = beside::line_of(facts, None);
    }
}

/// Runs a request; hands out what was noted until its head is ready.
pub(crate) async fn listening<F: Future>(request: F) -> (F::Output, Option<String>) {
    let slot = Slot::default();
    let done = SLOT.scope(slot.clone(), request).await;
    let line = slot.0.lock().take();
    (done, line)
}

/// The place of the request that is being answered, if there is one.
pub(super) fn here() -> Option<Slot> {
    SLOT.try_with(Clone::clone).ok()
}

/// Notes what is stored beside a reply.
pub(super) fn stored(meta: &Map) {
    if let Some(slot) = here()
        && let Some(line) = beside::line(meta)
    {
        *slot.0.lock() = Some(line);
    }
}
