//! The upstreams: what is known of each as data, and the few ways to show a key as code.
//!
//! Invariant: a provider does no IO and no translation; the dialect writes the body, the client
//! sends it.

mod added;
mod auth;
mod environment;
mod path;
mod pause;
mod quirks;
mod row;
mod table;
#[cfg(test)]
mod tests;

pub use added::{Added, AddedHealth, GivenKey, Keeper, Kept, Wanted};
pub use auth::{Ask, Token, TokenAsk, headers, route, secrets, sign, token};
pub use environment::{fill, from_environment, host_address};
pub use path::models;
pub use pause::pause;
pub use quirks::apply;
pub use row::{AuthKind, Quirks, Row};
pub use table::Providers;

/// Looks up a response header by its lower-case name.
pub type Header<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Tries after the first while nothing else is configured.
pub const RETRIES: u32 = 2;

/// What to write where a dialect is named.
#[must_use]
pub fn known_dialects() -> String {
    let names: Vec<_> = wire::dialect::DIALECTS.iter().map(|dialect| dialect.name()).collect();
    format!("dialects: {}", names.join(", "))
}
