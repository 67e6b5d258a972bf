//! What a call costs: whole numbers, rounded once at the end.

use wire::reply::Usage;

use crate::money::Rate;
use crate::row::Model;

/// How long the provider keeps what the call wrote into its cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheTtl {
    /// Five minutes, or the provider's only choice.
    #[default]
    Short,
    /// One hour.
    Hour,
}

/// Under which terms a call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long written cache entries live.
    pub cache: CacheTtl,
    /// It was part of a batch.
    pub batch: bool,
}

/// What a call costs. The total is rounded once, from the exact sum, half up to a millionth of a
/// dollar; the parts are for showing and each is rounded by itself to a billionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The whole in millionths of a US dollar.
    pub micro_usd: u64,
    /// Uncached prompt tokens, in billionths of a US dollar.
    pub input_nano_usd: u64,
    /// Tokens of the reply, in billionths of a US dollar.
    pub output_nano_usd: u64,
    /// Prompt tokens from the cache, in billionths of a US dollar.
    pub cache_read_nano_usd: u64,
    /// Prompt tokens written to the cache, in billionths of a US dollar.
    pub cache_write_nano_usd: u64,
    /// A rate was not known and a dearer one of the same model stood in for it: the cost is an
    /// upper bound.
    pub is_upper_bound: bool,
}

/// What a call with this usage costs; `None` when a rate that it needs is not known.
///
/// Rates of a tier count for the whole request. A cache rate that is not known is taken as the
/// rate of `input`, an hour's write as twice that, a batch without a factor at the full price:
/// never less than is paid.
#[must_use]
pub fn cost(model: &Model, usage: &Usage, terms: Terms) -> Option<Cost> {
    let rates = model.rates(usage.prompt());
    let mut is_upper_bound = terms.batch && model.batch.is_none();
    let mut stand_in = |known: Option<Rate>, tokens: u64, other: Option<Rate>| {
        is_upper_bound |= known.is_none() && tokens > 0;
        known.or(other)
    };
    let read = stand_in(rates.cache_read, usage.cache_read, rates.input);
    let write = match terms.cache {
        CacheTtl::Short => stand_in(rates.cache_write, usage.cache_write, rates.input),
        CacheTtl::Hour => {
            let twice = rates.input.map(|rate| rate.percent(200));
            stand_in(rates.cache_write_1h, usage.cache_write, twice)
        }
    };
    let batch = if terms.batch { model.batch } else { None };
    let part = |rate: Option<Rate>, tokens: u64| match (rate, tokens) {
        (_, 0) => Some(0),
        (Some(rate), _) => Some(batch.map_or(rate, |percent| rate.percent(percent)).of(tokens)),
        (None, _) => None,
    };
    let input = part(rates.input, usage.input)?;
    let output = part(rates.output, usage.output)?;
    let read = part(read, usage.cache_read)?;
    let write = part(write, usage.cache_write)?;
    // A call without tokens has a price only if the model has one.
    if rates.input.is_none() && rates.output.is_none() {
        return None;
    }
    Some(Cost {
        micro_usd: rounded(input + output + read + write, 1_000_000),
        input_nano_usd: rounded(input, 1_000),
        output_nano_usd: rounded(output, 1_000),
        cache_read_nano_usd: rounded(read, 1_000),
        cache_write_nano_usd: rounded(write, 1_000),
        is_upper_bound,
    })
}

/// Pico-dollars in a coarser unit, half up.
fn rounded(pico: u128, unit: u128) -> u64 {
    u64::try_from((pico + unit / 2) / unit).unwrap_or(u64::MAX)
}
