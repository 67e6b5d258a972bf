//! The sockets: one port for every protocol, told apart by the first bytes of each connection.
//!
//! Invariants: nothing is sent before the caller speaks; one slow or broken connection disturbs no
//! other; every wait has a limit.

pub(crate) mod address;
pub(crate) mod bind;
mod connection;
mod door;
mod files;
mod heard;
mod http;
mod pace;
mod refuse;
mod replay;
mod sniff;
pub(crate) mod tls;
mod words;

pub(crate) use door::{Door, Site};
pub(crate) use files::places;
