//! Step 3: how often a caller may call; one bucket per key, or per address without a key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::{Code, Fault};

/// Limit: buckets that are kept; full ones are dropped first, they carry no information.
const BUCKETS_MAX: usize = 100_000;

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
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<Counted, Bucket>>);

impl Rates {
    /// Takes one request from the caller's bucket of `per_minute`.
    ///
    /// # Errors
    /// `rate_limited` with the wait in `retry_after` when the bucket is empty.
    pub fn admit(&self, who: &Counted, per_minute: u32) -> Result<Left, Fault> {
        let now = Instant::now();
        let size = f64::from(per_minute.max(1));
        let per_second = size / 60.0;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, b| b.tokens + (now - b.at).as_secs_f64() * per_second < size);
        }
        let bucket = buckets.entry(who.clone()).or_insert(Bucket { tokens: size, at: now });
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
}
