//! A running Rapport, as the commands of this program talk to it: found, asked, and understood.

mod address;
mod answer;
mod ask;
pub(crate) mod client_file;
mod connect;
mod events;
mod failure;
mod find;
mod journal;
mod server;
mod show;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use address::Address;
pub(crate) use answer::Reply;
pub(crate) use ask::{Ask, PathOf};
pub(crate) use events::{Heard, turn};
pub(crate) use failure::{Class, Failure};
pub(crate) use find::{Found, Said, find};
pub(crate) use journal::Journal;
pub(crate) use server::{Manner, Server};
pub(crate) use show::{Sink, Trace};
pub(crate) use tls::Trust;
