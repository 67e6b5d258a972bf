//! The other side of the protocol: a client of servers, in both eras, over every transport.
//!
//! [`open()`] reaches a server and agrees on a revision with it; the [`Upstream`] it gives speaks
//! until the server is gone. Who a call is for hears of it through [`Told`]: progress, log lines
//! and questions of the server come while the call runs. Nothing here starts a server again; that
//! is for the owner, who knows how often that is wise.

mod desk;
mod failure;
mod guard;
mod listen;
mod mirror;
pub mod oauth;
mod old;
mod open;
mod pipe;
mod pulse;
mod streamable;
#[cfg(test)]
mod tests;
mod upstream;
mod web;

pub use desk::{Call, Told};
pub use failure::Failure;
pub use guard::{Guard, watch};
pub use open::{Opening, Place, Transport, open};
pub use pipe::Program;
pub use pulse::Pulse;
pub use upstream::{Hello, Upstream};
pub use web::{Denied, Login, Pending, Web};
