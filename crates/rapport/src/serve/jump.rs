//! Notices a clock that jumps forward: what expires by a wrong clock must not be removed by it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How far the clock may run ahead of the time that has passed.
const SLACK: Duration = Duration::from_secs(600);
/// How long a clock that jumped is watched before it is believed.
const TRUST: Duration = Duration::from_secs(24 * 3600);

/// Compares the clock with the time that has passed.
#[derive(Debug)]
pub(super) struct Jump {
    clock: Timestamp,
    passed: Instant,
    /// Since when the clock is ahead.
    since: Option<Instant>,
}

impl Jump {
    /// Begins to compare.
    pub(super) fn new(clock: Timestamp, passed: Instant) -> Self {
        Self { clock, passed, since: None }
    }

    /// How far the clock is ahead, while it is not to be believed.
    pub(super) fn ahead(&mut self, clock: Timestamp, passed: Instant) -> Option<Duration> {
        let wanted = passed.saturating_duration_since(self.passed);
        let shown = clock.duration_since(self.clock);
        let shown = Duration::try_from(shown).unwrap_or_default();
        let ahead = shown.saturating_sub(wanted);
        if ahead <= SLACK {
            // Adjusted little by little, or set back: the comparison begins anew.
            *self = Self::new(clock, passed);
            return None;
        }
        let since = *self.since.get_or_insert(passed);
        if passed.saturating_duration_since(since) >= TRUST {
            tracing::warn!(seconds = ahead.as_secs(), "the clock that jumped is believed now");
            *self = Self::new(clock, passed);
            return None;
        }
        Some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_not_believed_for_a_day_and_a_correction_at_once() {
        let (wall, began) = (Timestamp::UNIX_EPOCH, Instant::now());
        let day = Duration::from_secs(86_400);
        let mut jump = Jump::new(wall, began);
        assert_eq!(jump.ahead(wall + MINUTE, began + MINUTE), None);
        // A year ahead, and back again.
        assert_eq!(
            jump.ahead(wall + 366 * day, began + 2 * MINUTE).map(|a| a > 365 * day),
            Some(true)
        );
        assert!(jump.ahead(wall + 366 * day + MINUTE, began + 3 * MINUTE).is_some());
        assert_eq!(jump.ahead(wall + 4 * MINUTE, began + 4 * MINUTE), None);
        // It stays ahead: after a day it is the time.
        assert!(jump.ahead(wall + 10 * day, began + 5 * MINUTE).is_some());
        assert_eq!(jump.ahead(wall + 11 * day, began + 6 * MINUTE + day), None);
        assert_eq!(jump.ahead(wall + 11 * day + MINUTE, began + 7 * MINUTE + day), None);
        // Back in time is no reason to remove anything earlier.
        assert_eq!(jump.ahead(wall, began + 8 * MINUTE + day), None);
    }
}
