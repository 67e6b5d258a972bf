//! The request path: surfaces, models, providers, limits.
//!
//! Invariants:
//! - a request is recorded exactly once, however it ends;
//! - nothing outside `OPEN_PATHS` is answered without a caller;
//! - no provider translates, no dialect knows a provider;
//! - every queue, body, cache, loop and retry has a named limit.

pub mod settings;
