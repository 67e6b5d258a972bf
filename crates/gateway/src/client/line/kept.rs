//! The connections that wait for their next request.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Line;
use crate::tasks;

/// Limit: idle connections kept per upstream.
const IDLE_MAX: usize = 256;
/// Limit: how long an idle connection is kept. Many servers close after a minute or more; one that
/// closed earlier is noticed when it is taken.
const IDLE_FOR: Duration = Duration::from_secs(90);

/// Idle connections to one upstream.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Kept {
    idle: Arc<Mutex<Idle>>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one that was used last stands last, and is taken first.
    lines: Vec<(Line, Instant)>,
    /// Somebody closes what gets too old.
    is_tended: bool,
}

impl Kept {
    /// A connection that is still open.
    pub(in crate::client) fn take(&self) -> Option<Line> {
        let mut idle = self.idle.lock();
        while let Some((mut line, since)) = idle.lines.pop() {
            if since.elapsed() < IDLE_FOR && line.is_quiet() {
                return Some(line);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if it can carry one.
    pub(in crate::client) fn put(&self, line: Line) {
        if !line.is_free() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.lines.len() >= IDLE_MAX {
            return;
        }
        idle.lines.push((line, Instant::now()));
        if !std::mem::replace(&mut idle.is_tended, true) {
            drop(tasks::detach("idle upstream connections", tend(Arc::downgrade(&self.idle))));
        }
    }
}

/// Closes what was not used for long or was left by the other side, until nothing is kept.
async fn tend(kept: std::sync::Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_FOR / 6).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut idle = kept.lock();
        idle.lines.retain_mut(|(line, since)| since.elapsed() < IDLE_FOR && line.is_quiet());
        if idle.lines.is_empty() {
            idle.is_tended = false;
            return;
        }
    }
}
