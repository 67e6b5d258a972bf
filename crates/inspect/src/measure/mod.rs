//! Times of a server as its callers see them: one connection after the other, or many at once.

mod judge;
mod load;
mod ping;
mod raw;
mod session;

use std::time::Duration;

use serde::Serialize;

pub use load::{Load, Outcome, Speech, load};
pub use ping::{Answer, ping};
pub use raw::{Said, exchange, messages};

/// How times spread, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: usize,
    /// The shortest.
    pub min: u64,
    /// Half were shorter.
    pub p50: u64,
    /// Nine of ten were shorter.
    pub p90: u64,
    /// 99 of 100 were shorter.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// The spread of these times; all zero for none.
    #[must_use]
    pub fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let count = times.len();
        let us = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // The nearest rank: the smallest time that so many of a hundred do not exceed.
        let rank = |percent: usize| (count * percent).div_ceil(100).saturating_sub(1);
        let at = |percent: usize| times.get(rank(percent)).map_or(0, us);
        Self {
            count,
            min: times.first().map_or(0, us),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: times.last().map_or(0, us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;
    use std::time::Duration;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut times: Vec<Duration> = (1..=100).rev().map(Duration::from_micros).collect();
        let spread = Spread::of(&mut times);
        assert_eq!((spread.min, spread.p50, spread.p90), (1, 50, 90));
        assert_eq!((spread.p99, spread.max, spread.count), (99, 100, 100));
        assert_eq!(Spread::of(&mut []), Spread::default());
        assert_eq!(Spread::of(&mut [Duration::from_micros(7)]).p99, 7);
    }
}
