//! A price as a whole number, so that sums of it are exact.

use serde::{Deserialize, Deserializer, de};

/// Limit: the dearest rate that is still plausible, in USD per million tokens.
const RATE_MAX: f64 = 100_000.0;

/// A price in millionths of a US dollar per million tokens.
///
/// The same number is the price of one token in pico-dollars (10⁻¹² USD), so a count of tokens
/// times a rate is exact. In files it is written in USD per million tokens: `2.5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// A rate of so many millionths of a US dollar per million tokens.
    #[must_use]
    pub const fn new(micro_usd_per_million: u64) -> Self {
        Self(micro_usd_per_million)
    }

    /// The rate in millionths of a US dollar per million tokens.
    #[must_use]
    pub const fn micro_usd_per_million(self) -> u64 {
        self.0
    }

    /// What so many tokens cost, in pico-dollars.
    #[must_use]
    pub(crate) fn of(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }

    /// This share of the rate, in percent, rounded up to the next millionth.
    #[must_use]
    pub(crate) fn percent(self, percent: u32) -> Self {
        Self(self.0.saturating_mul(u64::from(percent)).div_ceil(100))
    }
}

impl std::fmt::Display for Rate {
    /// USD per million tokens without idle zeros: `2.5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:06}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let usd = f64::deserialize(from)?;
        if !(0.0..=RATE_MAX).contains(&usd) {
            let text = format!("`{usd}` is not a price: write USD per million tokens, such as 2.5");
            return Err(de::Error::custom(text));
        }
        // Printing rounds to the nearest millionth and cannot overflow below the limit.
        let micro = format!("{:.0}", usd * 1e6);
        micro.parse().map(Self).map_err(de::Error::custom)
    }
}
