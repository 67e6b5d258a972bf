//! Framing: where one message ends and the next begins, however the bytes are cut.
//!
//! Invariants: a decoder's memory is bounded by the limit it is given; each byte is looked at a
//! constant number of times; no input panics.

#![deny(clippy::arithmetic_side_effects)]

pub mod body;
pub mod eventstream;
pub(crate) mod inside;
pub mod json;
pub mod lines;
pub(crate) mod marks;
pub mod sse;
pub(crate) mod valid;

pub use json::json_depth_ok;
