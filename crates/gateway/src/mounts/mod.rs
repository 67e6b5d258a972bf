//! Contexts of other servers: asked for what is new, proven, kept, and served when they are away.

mod fetch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use context::{Compared, Errand, Key, LogRange, Mount, MountState, NewMount, Tenant};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::{Code, Fault};

use crate::gate::Gateway;
use crate::hooks::site::{self, Leave};
use crate::tasks;
use fetch::{Answer, Trouble};

/// The key of the configuration that lets mounts lead to private addresses.
const LEAVE: &str = "mounts.private";
/// Limit: origins that are asked at once in the background.
const AT_ONCE: usize = 8;
/// Limit: how long a reader waits for the origin before it gets what is here.
const THROUGH: Duration = Duration::from_secs(3);
/// A reader does not ask again what was asked so lately.
const FRESH: Duration = Duration::from_secs(1);
/// The same, while the origin does not answer.
const AWAY: Duration = Duration::from_secs(10);
/// Limit: how long somebody waits who mounts, or asks for what is new, before he is answered.
const FILLING: Duration = Duration::from_secs(20);
/// Limit: how long one visit to an origin goes on from range to range; the rest waits for the next,
/// so that one that never ends keeps nobody else waiting.
const VISIT: Duration = Duration::from_secs(60);
/// Limit: how long a changed past is compared with what is here.
const COMPARING: Duration = Duration::from_secs(300);
/// The wait before what a visit left over is asked for.
const SOON: Duration = Duration::from_millis(50);
/// Limit: the longest wait before an origin is asked again in the background.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// The longest time between two looks at what is due.
const LOOK: Duration = Duration::from_secs(60);
/// The wait after the store could not be read.
const TROUBLE: Duration = Duration::from_secs(10);

/// How contexts of other servers are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSettings {
    /// Origins may lie on this machine and in private networks, and do without TLS.
    pub private: bool,
    /// Limit: how long one question to an origin may take.
    pub within: Duration,
    /// How often an origin is asked in the background.
    pub refresh: Duration,
}

impl Default for MountSettings {
    fn default() -> Self {
        Self { private: false, within: Duration::from_secs(10), refresh: Duration::from_secs(60) }
    }
}

impl MountSettings {
    /// The wait after so many failures.
    fn wait_after(&self, failures: u32) -> Duration {
        self.refresh.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(WAIT_MAX)
    }
}

/// One question to an origin at a time, for each mount.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<HashMap<Key, Arc<Semaphore>>>);

impl Seats {
    fn of(&self, key: &Key) -> Arc<Semaphore> {
        let mut seats = self.0.lock();
        // Those that nobody holds are forgotten.
        seats.retain(|_, seat| Arc::strong_count(seat) > 1);
        Arc::clone(seats.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

impl Gateway {
    /// Asks origins in the background when they are due, for ever: whoever starts it drops it at
    /// the end.
    pub async fn follow_mounts(&self) {
        loop {
            let changed = self.contexts().mounts_changed();
            let wait = match self.ask_due().await {
                Ok(wait) => wait,
                Err(fault) => {
                    tracing::warn!("mounted contexts are not followed: {}", fault.chain());
                    TROUBLE
                }
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Asks what is due; says how long the next look may wait.
    async fn ask_due(&self) -> Result<Duration, Fault> {
        if !self.contexts().has_mounts() {
            return Ok(LOOK);
        }
        let all = self.contexts().due_mounts().await?;
        let next = all.iter().map(|(_, wait)| *wait).find(|wait| !wait.is_zero());
        let mut due = all.into_iter().filter(|(_, wait)| wait.is_zero()).map(|(key, _)| key);
        let mut left = false;
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < AT_ONCE {
                let Some(key) = due.next() else { break };
                under_way.push(async move { (self.refresh_mount(&key).await, key) });
            }
            let Some((asked, key)) = under_way.next().await else { break };
            match asked {
                Ok(mount) => left |= mount.state == MountState::Behind,
                Err(fault) => {
                    let why = fault.chain();
                    tracing::warn!(context = %key.id, "a mount was not followed: {why}");
                }
            }
        }
        if left {
            return Ok(SOON);
        }
        let refresh = self.now().settings.mounts.refresh;
        Ok(next.unwrap_or(LOOK).min(refresh).min(LOOK).max(SOON))
    }

    /// Mounts a context of another server and fetches what is there, as far as the time allows;
    /// the rest comes in the background.
    ///
    /// # Errors
    /// `invalid_input` for an address that may not be asked or a token that opens nothing,
    /// `upstream_unavailable` when the origin does not answer; as [`context::Contexts::mount`].
    pub(crate) async fn mount(&self, tenant: Tenant, new: NewMount) -> Result<Mount, Fault> {
        let snapshot = self.now();
        let private = snapshot.settings.mounts.private;
        site::admit(&new.url, Leave { private, key: LEAVE })?;
        if let Some(key) = &new.key {
            context::read_key(key)?;
        }
        let nonce = nonce();
        let place = (new.url.as_str(), new.token.as_str());
        let first = match fetch::range(&snapshot.settings, place, 0, &nonce).await {
            Ok(Answer::Range(range)) => range,
            Ok(Answer::Refusal(_)) => {
                return Err(Fault::new(Code::InvalidInput, "the token opens no context there")
                    .hint("make one on the other server: `rapport context share ID`")
                    .details(serde_json::json!({"field": "token"})));
            }
            Err(Trouble::Away(why) | Trouble::Odd(why)) => {
                let text = format!("`{}` cannot be mounted from: {why}", new.url);
                return Err(Fault::new(Code::UpstreamUnavailable, text).hint(
                    "the address is that of the other server, such as `https://host:61900`",
                ));
            }
        };
        let (key, mount) = self.contexts().mount(tenant, new, (&first, &nonce)).await?;
        tracing::info!(context = %key.id, remote = %mount.remote, "context mounted");
        self.refreshed_within(&key, FILLING).await
    }

    /// Asks the origin of a mount for what is new; the caller gets what is there when the time is
    /// over, and the rest goes on without it.
    ///
    /// # Errors
    /// As [`Gateway::refresh_mount`].
    pub(crate) async fn refreshed(&self, key: &Key) -> Result<Mount, Fault> {
        self.refreshed_within(key, FILLING).await
    }

    async fn refreshed_within(&self, key: &Key, within: Duration) -> Result<Mount, Fault> {
        let (gate, wanted) = (self.clone(), key.clone());
        let ask = tasks::detach("mount", async move { gate.refresh_mount(&wanted).await });
        match tokio::time::timeout(within, ask).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(_)) | Err(_) => self.contexts().mounted(key).await,
        }
    }

    /// The mount behind a context, after its origin was asked for what is new; `None` for contexts
    /// of our own. A reader waits a few seconds at most and then gets what is here.
    pub(crate) async fn through(&self, key: &Key) -> Option<Mount> {
        if !self.contexts().is_mounted(key) {
            return None;
        }
        let mount = self.contexts().mounted(key).await.ok()?;
        if mount.state == MountState::Ended {
            return None;
        }
        let pause = if mount.failures == 0 { FRESH } else { AWAY };
        let age = Timestamp::now().duration_since(mount.tried_at);
        if Duration::try_from(age).is_ok_and(|age| age < pause) {
            return Some(mount);
        }
        match self.refreshed_within(key, THROUGH).await {
            Ok(mount) => Some(mount),
            Err(_) => self.contexts().mounted(key).await.ok(),
        }
    }

    /// Asks the origin of a mount for everything that is new, as far as one visit goes.
    ///
    /// # Errors
    /// `not_found`, `storage_error`; an origin that does not answer is no error but a state.
    async fn refresh_mount(&self, key: &Key) -> Result<Mount, Fault> {
        let before = self.contexts().mounted(key).await?;
        let seat = self.mount_seats().of(key);
        let _seat = seat
            .acquire()
            .await
            .map_err(|error| Fault::internal("the seat of a mount is gone").because(error))?;
        let known = self.contexts().mounted(key).await?;
        if known.tried_at != before.tried_at && known.state != MountState::Behind {
            // Somebody else has just asked.
            return Ok(known);
        }
        let errand = self.contexts().errand(key).await?;
        let leave = Instant::now() + VISIT;
        let mut have = errand.have;
        let mut anew = false;
        loop {
            let asked = self.ask_origin(key, &errand, have).await?;
            match asked {
                Asked::More(mount) if mount.messages > have && Instant::now() >= leave => {
                    return Ok(mount);
                }
                Asked::More(mount) if mount.messages > have => have = mount.messages,
                Asked::More(_) => {
                    let why = "it sends nothing, though its log goes on";
                    return self.failed(key, (MountState::Refused, why), &known).await;
                }
                Asked::ChangedPast(why) if anew => {
                    return self.failed(key, (MountState::Refused, &why), &known).await;
                }
                Asked::ChangedPast(_) => match self.compare(key, &errand).await? {
                    Ok(redacted) => {
                        tracing::info!(context = %key.id, redacted, "a mount is fetched anew");
                        self.contexts().mount_anew(key).await?;
                        (have, anew) = (0, true);
                    }
                    Err(why) => {
                        return self.failed(key, (MountState::Refused, &why), &known).await;
                    }
                },
                Asked::Done(mount) => return Ok(mount),
                Asked::Failed(state, why) => return self.failed(key, (state, &why), &known).await,
            }
        }
    }

    /// Asks once, and takes what came.
    async fn ask_origin(&self, key: &Key, errand: &Errand, have: u32) -> Result<Asked, Fault> {
        let snapshot = self.now();
        let nonce = nonce();
        let place = (errand.url.as_str(), errand.token.as_str());
        let taken = match fetch::range(&snapshot.settings, place, have, &nonce).await {
            Ok(Answer::Range(range)) => {
                let refresh = snapshot.settings.mounts.refresh;
                self.contexts().take_range(key, (*range, &nonce), refresh).await
            }
            Ok(Answer::Refusal(refusal)) => self.contexts().end_mount(key, &refusal, &nonce).await,
            Err(Trouble::Away(why)) => return Ok(Asked::Failed(MountState::Offline, why)),
            Err(Trouble::Odd(why)) => return Ok(Asked::Failed(MountState::Refused, why)),
        };
        match taken {
            Ok(mount) if mount.state == MountState::Behind => Ok(Asked::More(mount)),
            Ok(mount) => Ok(Asked::Done(mount)),
            Err(fault) if is_past(&fault) => Ok(Asked::ChangedPast(fault.text().to_owned())),
            Err(fault) if is_theirs(&fault) => {
                Ok(Asked::Failed(MountState::Refused, fault.text().to_owned()))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Looks how the origin's log differs from what was proven before. Redacted entries alone are a
    /// reason to fetch it anew; anything else is refused by the name of the entry.
    async fn compare(&self, key: &Key, errand: &Errand) -> Result<Result<u32, String>, Fault> {
        let snapshot = self.now();
        let have = self.contexts().errand(key).await?.have;
        let leave = Instant::now() + COMPARING;
        let mut so_far = Compared::default();
        while so_far.upto < have {
            if Instant::now() >= leave {
                let upto = so_far.upto;
                return Ok(Err(format!("its past changed, and only {upto} entries came in time")));
            }
            let nonce = nonce();
            let place = (errand.url.as_str(), errand.token.as_str());
            let range: LogRange =
                match fetch::range(&snapshot.settings, place, so_far.upto, &nonce).await {
                    Ok(Answer::Range(range)) => *range,
                    Ok(Answer::Refusal(_)) => return Ok(Err("it refuses the token".to_owned())),
                    Err(Trouble::Away(why) | Trouble::Odd(why)) => return Ok(Err(why)),
                };
            let before = so_far.upto;
            match self.contexts().compare_range(key, (range, &nonce), so_far).await {
                Ok(found) if found.upto > before => so_far = found,
                Ok(_) => return Ok(Err("its log ends before what was proven".to_owned())),
                Err(fault) if is_theirs(&fault) => return Ok(Err(fault.text().to_owned())),
                Err(fault) => return Err(fault),
            }
        }
        Ok(Ok(so_far.redacted))
    }

    async fn failed(
        &self,
        key: &Key,
        (state, why): (MountState, &str),
        known: &Mount,
    ) -> Result<Mount, Fault> {
        if known.state != state {
            tracing::warn!(context = %key.id, state = state.as_str(), "a mount: {why}");
        }
        let wait = self.now().settings.mounts.wait_after(known.failures);
        self.contexts().mount_failed(key, (state, why), wait).await
    }
}

/// What became of one question.
enum Asked {
    /// A part was taken, and there is more.
    More(Mount),
    /// Everything was taken, or the mount is ended.
    Done(Mount),
    /// The log over there is another one than before.
    ChangedPast(String),
    /// Nothing was taken.
    Failed(MountState, String),
}

/// The origin's log is not the one that was proven.
fn is_past(fault: &Fault) -> bool {
    let reason = fault.detail_values().and_then(|details| details.get("reason"));
    fault.code() == Code::UpstreamInvalid
        && reason.and_then(|reason| reason.as_str()) == Some("changed_past")
}

/// What the origin sent is at fault, and not this server.
fn is_theirs(fault: &Fault) -> bool {
    matches!(fault.code(), Code::UpstreamInvalid | Code::ContextTooLong)
}

/// What makes the answer to one question unlike that to any other.
fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let settings = MountSettings::default();
        let waits: Vec<u64> = (0..6).map(|n| settings.wait_after(n).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 600, 600]);
        assert_eq!(settings.wait_after(u32::MAX), WAIT_MAX);
    }
}
