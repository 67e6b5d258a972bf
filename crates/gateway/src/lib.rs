//! The request path: surfaces, models, providers, limits.
//!
//! Invariants:
//! - a request is recorded exactly once, however it ends;
//! - nothing outside [`auth::OPEN_PATHS`] is answered without a caller;
//! - no provider translates, no dialect knows a provider;
//! - every queue, body, cache, loop and retry has a named limit.

pub mod about;
pub mod auth;
pub mod cache;
pub mod client;
pub mod debug;
pub mod flow;
pub mod gate;
pub mod hooks;
pub mod joined;
pub mod lane;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod mounts;
pub mod offline;
pub mod prompts;
pub mod provider;
pub mod route;
pub mod settings;
pub mod surface;
pub mod tasks;

pub use about::{About, Hostless, Listen, Peer};
pub use gate::{Gateway, Parts};
