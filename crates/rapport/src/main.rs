//! Rapport: one home port for AI applications.

mod clock;
mod command;
mod config;
mod console;
mod data;
mod listen;
mod log;
mod logins;
mod parts;
mod print;
mod remote;
mod runtime;
mod serve;
mod tasks;
mod vault;

use std::process::ExitCode;

/// Measured against the system's: fewer stalls with many small bodies, and memory goes back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::run().into()
}
