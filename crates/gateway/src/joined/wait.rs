//! How long a call waits for a server that is not there at this moment.

use std::time::Duration;

use jiff::Timestamp;
use mcp::client::Failure;

use super::joint::{Link, Phase, Seen};

/// Limit: how long a call waits for a server that is being started.
const CALL_WAITS: Duration = Duration::from_secs(10);
/// Limit: how long a call waits for a server that was well and has just gone away.
const RETURN_WAITS: Duration = Duration::from_secs(5);
/// Limit: how often calls may bring a start forward.
const WAKE_EVERY: Duration = Duration::from_secs(1);

/// How a call waits for a server.
#[derive(Debug)]
pub(super) struct Wait {
    /// At most this long.
    pub(super) most: Duration,
    /// After this its start is brought forward.
    pub(super) knock: Option<Duration>,
    /// The start that was seen to fail; nothing where one is under way.
    failed: Option<u64>,
}

impl Wait {
    /// What answers now, or how to wait for it. A server that was well is worth a wait when it
    /// went away a moment ago; one that never was is not.
    pub(super) fn of(now: &Seen, was_well: bool) -> Result<Link, Result<Self, Failure>> {
        let gone = match (&now.link, now.phase) {
            (Some(Link::Mcp(upstream)), Phase::Ready) if upstream.gone().is_cancelled() => true,
            (Some(link), Phase::Ready) => return Ok(link.clone()),
            _ => false,
        };
        let (most, tries) = (CALL_WAITS, now.tries);
        let age = Duration::try_from(Timestamp::now().duration_since(now.since));
        let early = WAKE_EVERY.saturating_sub(age.unwrap_or_default());
        match now.phase {
            Phase::Starting => Err(Ok(Self { most, knock: None, failed: None })),
            // Nobody has said yet that it is down.
            Phase::Ready if gone => {
                let knock = Some(WAKE_EVERY);
                Err(Ok(Self { most: RETURN_WAITS, knock, failed: Some(tries) }))
            }
            Phase::Down if was_well && !early.is_zero() => {
                Err(Ok(Self { most: RETURN_WAITS, knock: Some(early), failed: Some(tries) }))
            }
            Phase::Down | Phase::Login if early.is_zero() => {
                Err(Ok(Self { most, knock: Some(Duration::ZERO), failed: Some(tries) }))
            }
            Phase::Ready | Phase::Down | Phase::Login | Phase::Stopped => {
                Err(Err(Failure::unsent(now.error.clone().unwrap_or_default())))
            }
        }
    }

    /// Whether it is there again, or was tried in vain.
    pub(super) fn is_over(&self, now: &Seen) -> bool {
        match now.phase {
            Phase::Starting => false,
            Phase::Ready => self.failed.is_none_or(|failed| now.tries > failed),
            Phase::Down | Phase::Login | Phase::Stopped => {
                now.phase == Phase::Stopped || self.failed.is_none_or(|failed| now.tries > failed)
            }
        }
    }

    /// What to say when it did not come.
    pub(super) fn in_vain(&self, error: &str) -> String {
        let most = self.most;
        if self.failed.is_none() {
            return format!("it is still being started after {most:?}");
        }
        match error {
            "" => format!("it went away and was not back within {most:?}"),
            error => format!("it went away and was not back within {most:?}: {error}"),
        }
    }
}
