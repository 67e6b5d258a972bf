//! Step 3: how often a caller may call; one bucket per key, or per address without a key.
//!
//! What is too much is refused, or waits for its turn where the settings say so.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::{Code, Fault};

/// Limit: buckets that are kept; full ones are dropped first, they carry no information, then any.
const BUCKETS_MAX: usize = 100_000;
/// Pause between two looks for full buckets, each of which goes through all of them.
const SWEEP: Duration = Duration::from_secs(1);
/// Limit: requests of all callers that wait for their turn; the next one is refused at once.
const WAITING_MAX: usize = 1_000;

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// The key with this id.
    Key(String),
    /// Everyone at this address.
    Address(IpAddr),
}

/// What is left after a request was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests a minute.
    pub limit: u32,
    /// Requests left now.
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset_seconds: u64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The token buckets of all callers.
#[derive(Debug)]
pub struct Rates {
    buckets: Mutex<Buckets>,
    waiting: Semaphore,
}

#[derive(Debug)]
struct Buckets {
    by_caller: HashMap<Counted, Bucket>,
    most: usize,
    swept: Option<Instant>,
}

impl Buckets {
    /// The caller's bucket, a full one of `size` if there is none.
    fn of(&mut self, who: &Counted, (size, per_second): (f64, f64), now: Instant) -> &mut Bucket {
        if self.by_caller.len() >= self.most && !self.by_caller.contains_key(who) {
            if self.swept.is_none_or(|at| now - at >= SWEEP) {
                self.by_caller
                    .retain(|_, b| b.tokens + (now - b.at).as_secs_f64() * per_second < size);
                self.swept = Some(now);
            }
            if self.by_caller.len() >= self.most {
                let any = self.by_caller.keys().next().cloned();
                any.map(|any| self.by_caller.remove(&any));
            }
        }
        self.by_caller.entry(who.clone()).or_insert(Bucket { tokens: size, at: now })
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self::holding(BUCKETS_MAX)
    }
}

impl Rates {
    fn holding(most: usize) -> Self {
        let buckets = Buckets { by_caller: HashMap::new(), most, swept: None };
        Self { buckets: Mutex::new(buckets), waiting: Semaphore::new(WAITING_MAX) }
    }

    /// As [`Rates::admit`], but waits at most `within` for the next place.
    ///
    /// # Errors
    /// As [`Rates::admit`], at once when no place comes free in that time or too many wait.
    pub async fn admit_within(
        &self,
        who: &Counted,
        (per_minute, within): (u32, Duration),
    ) -> Result<Left, Fault> {
        let until = Instant::now() + within;
        let mut place = None;
        loop {
            let refused = match self.admit(who, per_minute) {
                Ok(left) => return Ok(left),
                Err(refused) => refused,
            };
            let wait = refused.wait().unwrap_or(within);
            if Instant::now() + wait > until {
                return Err(refused);
            }
            if place.is_none() {
                let Ok(taken) = self.waiting.try_acquire() else { return Err(refused) };
                place = Some(taken);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes one request from the caller's bucket of `per_minute`.
    ///
    /// # Errors
    /// `rate_limited` with the wait in `retry_after` when the bucket is empty.
    pub fn admit(&self, who: &Counted, per_minute: u32) -> Result<Left, Fault> {
        let now = Instant::now();
        let size = f64::from(per_minute.max(1));
        let per_second = size / 60.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.of(who, (size, per_second), now);
        bucket.tokens = size.min(bucket.tokens + (now - bucket.at).as_secs_f64() * per_second);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - bucket.tokens) / per_second);
            let text = format!("more than {per_minute} requests in a minute");
            return Err(Fault::new(Code::RateLimited, text)
                .hint("wait as `retry-after` says, or raise `limits.requests_per_minute`")
                .retry_after(wait));
        }
        bucket.tokens -= 1.0;
        Ok(Left {
            limit: per_minute,
            remaining: whole(bucket.tokens),
            reset_seconds: u64::from(whole(((size - bucket.tokens) / per_second).ceil())),
        })
    }
}

/// The whole part of a small non-negative number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "buckets hold at most u32::MAX tokens and never less than none"
)]
fn whole(number: f64) -> u32 {
    number.max(0.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_refills_and_is_not_shared() {
        let rates = Rates::default();
        let me = Counted::Key("a".to_owned());
        for left in (0..3).rev() {
            assert_eq!(rates.admit(&me, 3).unwrap().remaining, left);
        }
        let fault = rates.admit(&me, 3).unwrap_err();
        assert_eq!(fault.code(), Code::RateLimited);
        assert_eq!(fault.wait().unwrap().as_secs(), 20);
        rates.admit(&Counted::Key("b".to_owned()), 3).unwrap();
        tokio::time::advance(Duration::from_secs(21)).await;
        rates.admit(&me, 3).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_callers_there_are_only_so_many_buckets_are_kept() {
        let rates = Rates::holding(10);
        let caller = |n: u32| Counted::Address(std::net::Ipv4Addr::from(n).into());
        let kept = || rates.buckets.lock().unwrap().by_caller.len();
        for n in 0..1000 {
            rates.admit(&caller(n), 3).unwrap();
            assert!(kept() <= 10, "{}", kept());
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        rates.admit(&caller(5000), 3).unwrap();
        assert_eq!(kept(), 1, "full ones went first");
        // Who is known keeps the bucket, however many come.
        for left in [1, 0] {
            assert_eq!(rates.admit(&caller(5000), 3).unwrap().remaining, left);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_waits_for_its_turn_but_not_for_ever() {
        let rates = Rates::default();
        let me = Counted::Key("a".to_owned());
        let minute = Duration::from_mins(1);
        for _ in 0..3 {
            rates.admit(&me, 3).unwrap();
        }
        let begun = Instant::now();
        let (one, two) = tokio::join!(
            rates.admit_within(&me, (3, minute)),
            rates.admit_within(&me, (3, minute)),
        );
        assert!(one.is_ok() && two.is_ok());
        let took = begun.elapsed().as_secs();
        assert!((39..=41).contains(&took), "one after the other: {took} s");
        let begun = Instant::now();
        let late = rates.admit_within(&me, (3, Duration::from_secs(5))).await.unwrap_err();
        assert_eq!((late.code(), begun.elapsed()), (Code::RateLimited, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_wait() {
        let rates = Rates { waiting: Semaphore::new(1), ..Rates::default() };
        let me = Counted::Key("a".to_owned());
        rates.admit(&me, 1).unwrap();
        let wish = (1, Duration::from_hours(1));
        let (one, two) = tokio::join!(rates.admit_within(&me, wish), rates.admit_within(&me, wish));
        assert_eq!((one.is_ok(), two.is_ok()), (true, false));
    }
}
