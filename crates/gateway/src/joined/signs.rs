//! How long somebody waits for a server of which nothing is known: as long as it shows life.

use std::time::Duration;

use mcp::client::Pulse;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Limit: how long a server that nothing is known of may give no sign of life. A network and a
/// start from a cold disk fit into it.
const QUIET: Duration = Duration::from_millis(1_200);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The signs of life of a server that has not said yet what it offers.
#[derive(Debug)]
pub(super) struct Signs {
    /// Where they are felt.
    pub(super) pulse: Pulse,
    /// What was seen the last time it was something new, and when.
    last: Mutex<(u64, Instant)>,
}

impl Signs {
    /// Of a server that begins now.
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::default(), last: Mutex::new((0, Instant::now())) }
    }

    /// Returns when the server has given no sign of life for a while.
    pub(super) async fn ended(&self) {
        loop {
            let seen = self.pulse.look();
            let until = {
                let mut last = self.last.lock();
                if last.0 != seen {
                    *last = (seen, Instant::now());
                }
                last.1 + QUIET
            };
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
