//! Tells a caller that is gone from one that has only said all it will say.
//!
//! Both end their side of the connection alike. But who is gone answers whatever is sent with a
//! reset: so a sign without a meaning is sent, and a moment later it is seen what came back.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When is looked, counted from the end of the caller's side, and from the sign.
const LOOKS: &[Duration] = &[
    // Most callers that close their side have their answer before this.
    Duration::from_millis(40),
    Duration::from_millis(15),
    Duration::from_millis(30),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// What has been done to find it out.
#[derive(Debug, Default)]
pub(super) struct Gone {
    done: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What is to be done now.
pub(super) enum Look {
    /// To send the sign.
    Sign,
    /// To see whether a reset came.
    Again,
}

impl Gone {
    /// The time of the next look; nothing when nothing more is to be found out.
    pub(super) fn next(&mut self) -> Option<Pin<&mut Sleep>> {
        let pause = LOOKS.get(self.done)?;
        let timer = || Box::pin(sleep_until(Instant::now() + *pause));
        Some(self.timer.get_or_insert_with(timer).as_mut())
    }

    /// The time has come.
    pub(super) fn looked(&mut self) -> Look {
        self.timer = None;
        self.done = self.done.saturating_add(1);
        if self.done == 1 { Look::Sign } else { Look::Again }
    }
}
