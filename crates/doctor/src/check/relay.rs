//! A published port of a container whose program does not listen where the port leads.

use std::time::Duration;

use crate::case::Case;
use crate::containers::behind_relay;
use crate::probe::dial::{Dialed, dial};
use crate::report::{Fix, Verdict};

/// Limit: one connection to the container.
const LIMIT: Duration = Duration::from_millis(800);

/// The verdict when a relay of a container engine holds the port, and what is behind it refuses.
pub(super) async fn dead(case: &Case, port: u16) -> Option<Verdict> {
    let owner = case.owner()?;
    let behind = behind_relay(owner.pid)?;
    let seen = dial(behind, LIMIT).await;
    if seen.dialed == Dialed::Connected {
        return None;
    }
    let sentence = format!(
        "port {port} is published by a container, and nothing answers behind it at {behind}"
    );
    Some(
        Verdict::certain("container.backend_dead", sentence)
            .because(format!("{owner} relays to {behind}"))
            .because(seen.line())
            .fix(Fix::say(format!(
                "start the program in the container with --host 0.0.0.0 and port {}, or correct \
                 the right side of -p {port}:{}",
                behind.port(),
                behind.port()
            ))),
    )
}
