//! Whose turn it is: one place per conversation, first come, first served, and a cap on all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use context::{Key, Tenant, WhenBusy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wire::{Code, Fault};

use crate::settings::Limits;

/// Hands out the right to run an upstream turn.
#[derive(Debug)]
pub struct Desk {
    seats: Arc<Mutex<HashMap<Key, Arc<Seat>>>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Seat {
    line: Arc<Semaphore>,
    stop: Mutex<CancellationToken>,
}

/// The right to run a turn in one conversation; given back when it drops.
#[derive(Debug)]
pub struct Place {
    key: Key,
    seat: Option<Arc<Seat>>,
    seats: Arc<Mutex<HashMap<Key, Arc<Seat>>>>,
    stop: CancellationToken,
    _line: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Desk {
    /// A desk with the limit `limits.turns`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { seats: Arc::default(), turns: Arc::new(Semaphore::new(limits.turns)) }
    }

    /// Waits for the conversation, as its policy says, then for a free turn; at most `wait`.
    ///
    /// # Errors
    /// `conflict` when the policy is to reject, `timeout` (stage `queue`) when the wait was too
    /// long, `overloaded` when too many turns run at once.
    pub async fn sit(
        &self,
        key: &Key,
        when_busy: WhenBusy,
        wait: Duration,
    ) -> Result<Place, Fault> {
        let until = Instant::now() + wait;
        let seat = self.seat(key);
        let line = Arc::clone(&seat.line);
        let line = match (line.try_acquire_owned(), when_busy) {
            (Ok(permit), _) => permit,
            (Err(_), WhenBusy::Reject) => {
                let fault = busy(key);
                self.leave(key, seat);
                return Err(fault);
            }
            (Err(_), policy) => {
                if policy == WhenBusy::Interrupt {
                    lock(&seat.stop).cancel();
                }
                let waited = timeout_at(until, Arc::clone(&seat.line).acquire_owned()).await;
                match waited {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) | Err(_) => {
                        self.leave(key, seat);
                        return Err(too_long(key, wait));
                    }
                }
            }
        };
        let Ok(Ok(turn)) = timeout_at(until, Arc::clone(&self.turns).acquire_owned()).await else {
            drop(line);
            self.leave(key, seat);
            return Err(Fault::new(Code::Overloaded, "too many turns are running at once")
                .hint("try again, or raise `limits.turns`")
                .retry_after(Duration::from_secs(1)));
        };
        let stop = CancellationToken::new();
        *lock(&seat.stop) = stop.clone();
        Ok(Place {
            key: key.clone(),
            seat: Some(seat),
            seats: Arc::clone(&self.seats),
            stop,
            _line: line,
            _turn: turn,
        })
    }

    /// Stops the running turn of a conversation; `false` when none runs.
    #[must_use]
    pub fn stop(&self, key: &Key) -> bool {
        let seats = lock(&self.seats);
        let Some(seat) = seats.get(key) else { return false };
        if seat.line.available_permits() > 0 {
            return false;
        }
        lock(&seat.stop).cancel();
        true
    }

    /// The conversations whose turns run or wait.
    pub(crate) fn under_way(&self, tenant: Tenant) -> Vec<Arc<str>> {
        let seats = lock(&self.seats);
        let own = seats.keys().filter(|key| key.tenant == tenant);
        own.map(|key| Arc::from(&*key.id)).collect()
    }

    fn seat(&self, key: &Key) -> Arc<Seat> {
        let mut seats = lock(&self.seats);
        let fresh = || {
            Arc::new(Seat {
                line: Arc::new(Semaphore::new(1)),
                stop: Mutex::new(CancellationToken::new()),
            })
        };
        Arc::clone(seats.entry(key.clone()).or_insert_with(fresh))
    }

    fn leave(&self, key: &Key, seat: Arc<Seat>) {
        forget(&self.seats, key, seat);
    }
}

impl Place {
    /// Fires when somebody wants this turn to stop.
    #[must_use]
    pub fn stopped(&self) -> &CancellationToken {
        &self.stop
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            forget(&self.seats, &self.key, seat);
        }
    }
}

/// Drops a seat that nobody else holds or waits for, so that the map does not grow.
fn forget(seats: &Mutex<HashMap<Key, Arc<Seat>>>, key: &Key, seat: Arc<Seat>) {
    let mut seats = lock(seats);
    // Two owners: the map and this caller.
    if Arc::strong_count(&seat) <= 2 {
        seats.remove(key);
    }
    drop(seat);
}

fn busy(key: &Key) -> Fault {
    Fault::new(Code::Conflict, format!("another turn of context `{}` is under way", key.id))
        .hint("wait for it, or set `settings.when_busy` to `queue`")
        .details(serde_json::json!({"reason": "busy"}))
        .retry_after(Duration::from_secs(1))
}

fn too_long(key: &Key, wait: Duration) -> Fault {
    let text = format!("waited {} s for context `{}`", wait.as_secs(), key.id);
    Fault::new(Code::Timeout, text)
        .hint("raise `limits.queue`, or cancel the running turn")
        .details(serde_json::json!({"stage": "queue"}))
        .retry_after(Duration::from_secs(1))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    fn key() -> Key {
        Key::new(Tenant(0), "a").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_turn_at_a_time_and_the_map_forgets() {
        let desk = Desk::new(&Limits::default());
        let first = desk.sit(&key(), WhenBusy::Queue, WAIT).await.unwrap();
        let fault = desk.sit(&key(), WhenBusy::Reject, WAIT).await.unwrap_err();
        assert_eq!(fault.code(), Code::Conflict);
        let fault = desk.sit(&key(), WhenBusy::Queue, WAIT).await.unwrap_err();
        assert_eq!(fault.code(), Code::Timeout);
        drop(first);
        drop(desk.sit(&key(), WhenBusy::Reject, WAIT).await.unwrap());
        assert!(lock(&desk.seats).is_empty());
    }

    #[tokio::test]
    async fn an_interrupt_stops_the_turn_before() {
        let desk = Arc::new(Desk::new(&Limits::default()));
        let first = desk.sit(&key(), WhenBusy::Queue, WAIT).await.unwrap();
        let stop = first.stopped().clone();
        let second = {
            let desk = Arc::clone(&desk);
            async move { desk.sit(&key(), WhenBusy::Interrupt, WAIT).await.map(drop) }
        };
        let (second, ()) = tokio::join!(second, async {
            stop.cancelled().await;
            drop(first);
        });
        second.unwrap();
        assert!(!desk.stop(&key()));
    }
}
