//! Webhooks: what is due goes out, signed, again and again until it is taken or given up.

mod send;
pub(crate) mod site;

use std::collections::HashSet;
use std::time::Duration;

use context::{Attempt, Delivery, DueDelivery};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::gate::Gateway;

/// Limit: deliveries under way at once; of each webhook one.
const AT_ONCE: u32 = 8;
/// How often the store is looked at while others write.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// The wait after the store could not be read.
const TROUBLE: Duration = Duration::from_secs(10);
/// Each wait is so many times the one before.
const GROWTH: u32 = 4;
/// Limit: the longest wait before the next attempt.
const WAIT_MAX: Duration = Duration::from_secs(6 * 3600);

/// How webhooks are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// Addresses of this machine and of private networks may be told, and without TLS.
    pub private: bool,
    /// Limit: how long one attempt may take.
    pub within: Duration,
    /// Limit: attempts before an event is given up.
    pub attempts: u32,
    /// The wait after the first failure; each further one is four times as long, 6 h at most.
    pub wait: Duration,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            private: false,
            within: Duration::from_secs(10),
            attempts: 10,
            wait: Duration::from_secs(5),
        }
    }
}

impl HookSettings {
    /// The wait after so many failures; `None` when it is given up.
    fn wait_after(&self, failures: u32) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        let factor = GROWTH.saturating_pow(failures.saturating_sub(1));
        Some(self.wait.saturating_mul(factor).min(WAIT_MAX))
    }
}

impl Gateway {
    /// Tells webhooks what they are to be told, for ever: whoever starts it drops it at the end.
    /// What was under way then is told again at the next start.
    pub async fn tell_webhooks(&self) {
        let mut writes = self.contexts().writes();
        let mut under_way = FuturesUnordered::new();
        let mut busy: HashSet<u64> = HashSet::new();
        loop {
            writes.borrow_and_update();
            let wait = match self.due(&busy).await {
                Ok((due, wait)) => {
                    for due in due {
                        busy.insert(due.delivery.hook);
                        under_way.push(self.deliver(due));
                    }
                    wait
                }
                Err(fault) => {
                    tracing::warn!("webhooks are not told: {}", fault.chain());
                    TROUBLE
                }
            };
            tokio::select! {
                Some(hook) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&hook);
                }
                changed = writes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What is due and not under way, and how long the next look may wait.
    async fn due(&self, busy: &HashSet<u64>) -> Result<(Vec<DueDelivery>, Duration), wire::Fault> {
        if !self.contexts().has_hooks() {
            return Ok((Vec::new(), LOOK));
        }
        let (due, wait) = self.contexts().due_deliveries(AT_ONCE).await?;
        let room = usize::try_from(AT_ONCE).unwrap_or(usize::MAX).saturating_sub(busy.len());
        let due = due.into_iter().filter(|due| !busy.contains(&due.delivery.hook)).take(room);
        // What is due already is under way: its end wakes us.
        let wait = wait.filter(|wait| !wait.is_zero()).unwrap_or(LOOK).min(LOOK);
        Ok((due.collect(), wait.max(PAUSE)))
    }

    /// Makes one attempt and writes down what became of it; says whose it was.
    async fn deliver(&self, due: DueDelivery) -> u64 {
        let hook = due.delivery.hook;
        let snapshot = self.now();
        let settings = &snapshot.settings.hooks;
        let sent = tokio::time::timeout(settings.within, send::send(&snapshot.settings, &due));
        let attempt = match sent.await.unwrap_or_else(|_| Err(too_slow(settings))) {
            Ok(status) if status.is_success() => Attempt::Taken,
            Ok(http::StatusCode::GONE) => {
                Attempt::Gone("it answered 410: it wants nothing any more".to_owned())
            }
            Ok(status) => failed(&due.delivery, settings, &format!("it answered {status}")),
            Err(why) => failed(&due.delivery, settings, &why),
        };
        let Delivery { number, ref kind, .. } = due.delivery;
        tracing::debug!(hook, number, kind, ?attempt, "webhook told");
        if let Err(fault) = self.contexts().settle_delivery(due.delivery, attempt).await {
            tracing::warn!(hook, "what became of a webhook's event is lost: {}", fault.chain());
            // It stays due: without a wait it would be sent again at once.
            tokio::time::sleep(TROUBLE).await;
        }
        hook
    }
}

fn failed(delivery: &Delivery, settings: &HookSettings, why: &str) -> Attempt {
    let failures = delivery.tries.saturating_add(1);
    let wait = settings.wait_after(failures);
    tracing::info!(
        hook = delivery.hook,
        event = delivery.kind,
        failures,
        given_up = wait.is_none(),
        "a webhook was not told: {why}"
    );
    Attempt::Failed(why.to_owned(), wait)
}

fn too_slow(settings: &HookSettings) -> String {
    format!("there was no answer within {} s", settings.within.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_end() {
        let settings = HookSettings::default();
        let waits: Vec<_> = (1..11).map(|n| settings.wait_after(n).map(|w| w.as_secs())).collect();
        assert_eq!(waits[..4], [Some(5), Some(20), Some(80), Some(320)]);
        assert_eq!((waits[7], waits[8], waits[9]), (Some(21_600), Some(21_600), None));
    }
}
