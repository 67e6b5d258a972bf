//! The Model Context Protocol: every revision of both eras, on one endpoint and one pipe.
//!
//! The legacy era (2024-11-05 to 2025-11-25) begins with `initialize` and has sessions; the modern
//! one (2026-07-28) has neither, and every request says its revision. A [`server::Server`] speaks
//! both; what it offers is a [`server::Serve`], which knows nothing of eras, transports or HTTP.
//!
//! Invariants:
//! - messages are raw JSON: what this crate does not know goes through unchanged;
//! - every queue, buffer and map has a named limit;
//! - the crate knows no model and no database.

pub mod bridge;
pub mod client;
mod clock;
pub mod http;
pub mod revision;
pub mod rpc;
pub mod server;
pub mod stdio;
pub mod tasks;

pub use revision::Revision;
