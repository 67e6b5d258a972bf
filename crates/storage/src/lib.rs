//! One database for the whole program: one writer with group commit, readers beside it,
//! migrations, backup. It knows no context and no tenant.
//!
//! Invariants:
//! - a write is answered only after its transaction was committed;
//! - a job that fails, or panics, takes back its own changes and nobody else's;
//! - one process owns a folder at a time; the second one is refused with the holder's process id;
//! - a file that cannot be read is reported, never replaced.

#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod backup;
mod database;
mod fault;
mod fold;
mod folder;
mod health;
mod later;
mod migrate;
mod readers;
mod rights;
mod writer;

pub use backup::restore;
pub use database::{Database, Place, Stats};
pub use fault::{Stored, fault};
pub use health::Health;
pub use later::{prepare_insert, show_all};
pub use migrate::Schema;
pub use writer::Durability;

/// The library that rows are read and written with, so that its version is chosen in one place.
pub use rusqlite;
