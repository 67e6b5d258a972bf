//! Tells clients which contexts changed, by whichever door: the list of resources, and each one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use context::{Filter, Tenant};
use jiff::Timestamp;
use mcp::server::Change;
use tokio::sync::watch;

use super::resources;
use crate::gate::{Faint, Gateway};
use crate::tasks;

/// Limit: how often it is looked what changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Limit: contexts that are told of at once; of more, the list is said to have changed.
const TOLD_MAX: u32 = 100;
/// Limit: revisions that are remembered, so that nothing is told twice.
const REMEMBERED_MAX: usize = 10_000;

/// Whether the changes of a gateway are watched already.
#[derive(Debug, Default)]
pub(super) struct Watched(AtomicBool);

impl Watched {
    /// Begins to watch, the first time.
    pub(super) fn begin(&self, gate: &Gateway) {
        if self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let (gate, writes) = (gate.faint(), gate.contexts().writes());
        tasks::detach("mcp changes", run(gate, writes));
    }
}

async fn run(gate: Faint, mut writes: watch::Receiver<u64>) {
    let now = Timestamp::now();
    let mut seen = Seen { begun: now, since: now, revisions: HashMap::new() };
    // The gateway's end is the end of its writes.
    while writes.changed().await.is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        writes.mark_unchanged();
        let Some(gate) = gate.get() else { return };
        if gate.mcp().is_heard() {
            seen.tell(&gate).await;
        } else {
            seen.since = Timestamp::now();
        }
    }
}

/// What was told.
struct Seen {
    begun: Timestamp,
    since: Timestamp,
    revisions: HashMap<Arc<str>, u64>,
}

impl Seen {
    async fn tell(&mut self, gate: &Gateway) {
        let filter = Filter {
            // A write of the same moment as the last one that was seen must not be missed.
            updated_after: self.since.checked_sub(Duration::from_secs(1)).ok(),
            limit: TOLD_MAX,
            ..Filter::default()
        };
        let Ok(page) = gate.contexts().list(Tenant::default(), filter).await else { return };
        let mut is_new = page.next.is_some();
        for found in page.items.iter().rev() {
            self.since = self.since.max(found.last_updated);
            let before = self.revisions.insert(Arc::clone(&found.id), found.revision);
            if before == Some(found.revision) {
                continue;
            }
            is_new |= before.is_none() && found.created_at > self.begun;
            gate.mcp().changed(Change::Resource(resources::uri(&found.id)));
        }
        if is_new {
            gate.mcp().changed(Change::Resources);
        }
        if self.revisions.len() > REMEMBERED_MAX {
            self.revisions.clear();
        }
    }
}
