//! What bytes mean: faults, the canonical prompt, replies, stream events, dialects and framing.
//!
//! Invariants:
//! - no IO, no clock, no runtime: everything here is a plain function of its input;
//! - nothing panics, whatever the input (held by property tests over every reader);
//! - a message that is written in the dialect it was read from keeps its bytes.

pub mod dialect;
pub mod embed;
pub mod event;
pub mod fault;
pub mod frame;
mod nearest;
pub mod pattern;
pub mod prompt;
pub mod reply;

pub use fault::{Blame, Code, Culprit, Fault, Kind};
pub use nearest::nearest;
