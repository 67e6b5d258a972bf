//! Gives back what a start or a load has left in the allocator.

use std::sync::Arc;
use std::time::Duration;

use crate::listen::Door;
use crate::parts::Parts;
use crate::tasks::Tasks;

/// The start has read tables that are much smaller than their texts.
const FIRST: Duration = Duration::from_secs(1);
/// How often it is done later.
const EVERY: Duration = Duration::from_secs(30);

/// Gives unused memory back whenever nobody is kept waiting by it, in the background.
pub(super) fn give_back(tasks: &Tasks, door: &Arc<Door>, parts: &Parts) {
    let (door, gateway) = (Arc::clone(door), parts.gateway.clone());
    tasks.spawn("memory", async move {
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = door.stopping() => return,
                () = tokio::time::sleep(wait) => wait = EVERY,
            }
            if gateway.is_quiet() {
                native::memory::give_back();
            }
        }
    });
}
