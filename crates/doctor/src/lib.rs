//! Says in one sentence why an address does not work, and how to fix it.
//!
//! Invariants: a port number is parsed here before any other library sees it; "nothing listens" is
//! read from the socket table alone and never concluded from a process that could not be found; no
//! probe sends a credential; no check changes anything on the machine.

pub mod by_hand;
pub mod conversation;
pub mod credential;
pub mod files;
pub mod knowledge;
pub mod log;
pub mod own;
pub mod port;
pub mod sockets;
pub mod stdio;
pub mod target;
pub mod trace;

mod behind;
mod case;
mod check;
mod confined;
mod containers;
mod firewall;
mod guards;
mod journal;
mod ladder;
mod mcp;
#[cfg(target_os = "linux")]
mod netlink;
mod probe;
mod proxies;
pub mod report;
mod request;
mod routes;
mod tail;
mod wsl;

pub use check::About;
pub use ladder::{checks, diagnose};
pub use report::Report;
pub use request::{DEADLINE, Environment, Request};
