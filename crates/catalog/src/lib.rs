//! Who may call: keys, hashed and scoped.

#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod keys;
mod schema;
mod secret;
#[cfg(test)]
mod tests;

pub use keys::{Created, Key, Keys, NewKey, Rejection, Scopes};
pub use schema::SCHEMA;
pub use secret::Secret;
