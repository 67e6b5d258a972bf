//! What the process around the request path is: addresses, folders, version.

use std::net::{IpAddr, SocketAddr};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// The connection is encrypted.
    pub tls: bool,
}

impl Peer {
    /// The peer runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.addr.ip().to_canonical().is_loopback()
    }
}

/// A request that came over HTTP/1.1 without a `Host` header; put into its extensions by whoever
/// read it from a connection, it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Hostless;

/// One socket that accepts connections.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The bound address.
    pub address: SocketAddr,
    /// The address as a URL a person can click.
    pub url: String,
    /// TLS on this socket: `off`, `optional` or `required`.
    pub tls: String,
}

/// Facts of the running process that the status page shows.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The program's version.
    pub version: String,
    /// The sockets, once they are bound.
    pub listen: Vec<Listen>,
    /// The data folder; empty for the memory store.
    pub data_dir: String,
    /// Where the log files are; empty when there are none.
    pub log_dir: String,
    /// `sqlite` or `memory`.
    pub store_kind: String,
    /// The durability class of contexts that do not choose: `sync`, `group` or `fast`.
    pub durability: String,
    /// `off`, `optional` or `required`.
    pub tls_mode: String,
}

impl About {
    /// From where the bound sockets can be reached, as one phrase.
    #[must_use]
    pub fn reachable_from(&self) -> &'static str {
        let outside = |ip: IpAddr| !ip.to_canonical().is_loopback();
        if self.listen.iter().any(|l| outside(l.address.ip())) {
            "other machines too"
        } else {
            "this machine only"
        }
    }

    /// Every bound address is a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.reachable_from() == "this machine only"
    }
}
