//! What calls cost, told by whoever knows prices: this crate knows none.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use wire::reply::Usage;

use super::ModelCall;

/// What a call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// It is this much at most: a rate was not known and a dearer one stood in for it.
    pub is_upper_bound: bool,
}

/// A call as far as its price depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Priced<'a> {
    /// The server that was asked, as in `https://api.anthropic.com`.
    pub target: &'a str,
    /// The dialect.
    pub dialect: &'a str,
    /// The model.
    pub model: &'a str,
    /// What it used, or is estimated to have used.
    pub usage: Usage,
}

/// Tells what a call costs.
type Tell = dyn Fn(Priced<'_>) -> Option<Cost> + Send + Sync;

/// Tells what calls cost; nothing for those whose price is not known.
#[derive(Clone, Default)]
pub struct Prices(Option<Arc<Tell>>);

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prices").field("known", &self.0.is_some()).finish()
    }
}

impl Prices {
    /// Prices as `tell` tells them.
    pub fn new(tell: impl Fn(Priced<'_>) -> Option<Cost> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn of(&self, target: &str, call: &ModelCall) -> Option<Cost> {
        let tell = self.0.as_ref()?;
        let guess = Usage { input: call.tokens_in, output: call.tokens_out, ..Usage::default() };
        let usage = call.usage.unwrap_or(guess);
        if call.failed.is_some() && call.usage.is_none() {
            // What was refused is not paid for.
            return None;
        }
        let (dialect, model) = (call.dialect, call.model.as_str());
        tell(Priced { target, dialect, model, usage })
    }
}

/// An amount as people read it: `$0.0123`, and below a hundredth of a cent `$0.000012`.
#[must_use]
pub fn dollars(micro_usd: u64) -> String {
    let (whole, part) = (micro_usd / 1_000_000, micro_usd % 1_000_000);
    if whole > 0 || part >= 10_000 || part == 0 {
        return format!("${whole}.{:04}", part / 100);
    }
    format!("${whole}.{part:06}")
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn amounts_keep_what_matters() {
        let shown = [0, 12, 9_999, 12_345, 1_234_567, 123_000_000].map(dollars);
        assert_eq!(shown, ["$0.0000", "$0.000012", "$0.009999", "$0.0123", "$1.2345", "$123.0000"]);
    }
}
