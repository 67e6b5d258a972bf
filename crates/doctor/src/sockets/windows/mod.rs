//! Windows: the tables of sockets with the process behind each, and what processes let be known.

pub(super) mod rows;
#[cfg(windows)]
mod system;
#[cfg(test)]
mod tests;
pub(super) mod words;

#[cfg(windows)]
pub(super) use system::*;
