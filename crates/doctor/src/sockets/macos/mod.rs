//! The tables of macOS: the list of sockets with the process that used each last, and `libproc`.

pub(super) mod facts;
pub(super) mod rows;
#[cfg(target_os = "macos")]
mod system;
#[cfg(test)]
mod tests;

#[cfg(target_os = "macos")]
pub(super) use system::*;
