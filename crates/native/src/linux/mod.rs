//! What Linux tells only by its C interface.

pub mod tables;
pub mod trace;
