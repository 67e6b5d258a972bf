//! Who may call: keys, hashed and scoped.

#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod keys;
mod limit;
mod schema;
mod scopes;
mod secret;
#[cfg(test)]
mod tests;

pub use keys::{Change, Created, Key, Keys, NewKey, Rejection};
pub use limit::ModelLimit;
pub use schema::SCHEMA;
pub use scopes::Scopes;
pub use secret::Secret;
