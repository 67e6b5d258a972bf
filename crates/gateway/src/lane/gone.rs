//! Tells a caller that is gone from one that has only said all it will say.
//!
//! Both end their side of the connection alike. But who is gone answers whatever is sent with a
//! reset: so a sign without a meaning is sent, and a moment later another one, which fails after a
//! reset. Reading tells nothing: a socket whose other side has ended reads as ended for ever.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When a sign is sent, counted from the end of the caller's side, then from the one before.
const LOOKS: &[Duration] = &[
    // Most callers that close their side have their answer before this.
    Duration::from_millis(40),
    Duration::from_millis(15),
    Duration::from_millis(30),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// What has been done to find out whether a caller that ended its side is gone.
#[derive(Debug, Default)]
pub struct Gone {
    done: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Gone {
    /// The time of the next look; nothing when nothing more is to be found out.
    pub fn next_look(&mut self) -> Option<Pin<&mut Sleep>> {
        let pause = LOOKS.get(self.done)?;
        let timer = || Box::pin(sleep_until(Instant::now() + *pause));
        Some(self.timer.get_or_insert_with(timer).as_mut())
    }

    /// The time has come: a sign is to be sent.
    pub fn looked(&mut self) {
        self.timer = None;
        self.done = self.done.saturating_add(1);
    }
}
