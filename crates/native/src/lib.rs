//! Asks an operating system what only its own interface tells, and hands out plain bytes and words.
//!
//! Invariants: this is the only crate with `unsafe`, and each block says why it is sound; nothing
//! is judged here, and rows are read by safe code elsewhere; a question that the system refuses is
//! an absent answer, never a guess.

// The one `unsafe` of the workspace; `cargo xtask tidy` refuses it everywhere else.
#![expect(unsafe_code, reason = "what is asked here is answered in C only")]

pub mod disk;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
pub mod memory;
pub mod program;
#[cfg(windows)]
pub mod windows;
