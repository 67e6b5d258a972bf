//! What models can do and cost: an embedded table, overridden by file, and integer arithmetic.
//!
//! Invariant: a figure that nobody published is absent, never guessed; nothing is fetched.

mod cost;
mod money;
mod name;
mod prices;
mod row;
#[cfg(test)]
mod tests;

pub use cost::{CacheTtl, Cost, Terms, cost};
pub use money::Rate;
pub use prices::Prices;
pub use row::{Capability, Model, Rates, Tier};
