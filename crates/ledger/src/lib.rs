//! What models can do and cost: an embedded table, overridden by file, and integer arithmetic; and
//! the log of model calls.
//!
//! Invariants:
//! - a figure that nobody published is absent, never guessed; nothing is fetched;
//! - the log is bounded, and no tenant reads another's.

#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod calls;
mod cost;
mod money;
mod name;
mod prices;
mod row;
#[cfg(test)]
mod tests;

pub use calls::{Call, Calls, Filter, Found, Outcome, SCHEMA};
pub use cost::{CacheTtl, Cost, Terms, cost};
pub use money::Rate;
pub use prices::Prices;
pub use row::{Capability, Model, Rates, Tier};
