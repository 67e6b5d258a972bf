//! A packet capture (pcapng) of what was recorded, for Wireshark and its like.
//!
//! Bytes and times are those of the recording. What a recording does not have is made to fit:
//! handshakes, acknowledgements, sequence numbers, and addresses where only a name is known.

mod block;
mod connection;
mod frame;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use self::block::Capture;
use self::connection::Connection;
use super::{Secrets, line, read};
use crate::capture::{Exchange, Kind};
use crate::http::Version;

/// Where addresses of hosts that are known by name begin: a network for documentation (RFC 5737).
const NAMED: u32 = 0xc000_0200;
/// How many there are.
const NAMED_MAX: u32 = 254;
/// The port of a caller that is unknown.
const CALLER_PORT: u16 = 50_000;
/// The port of TLS, whose name would be given to what was recorded in plain.
const TLS_PORT: u16 = 443;

/// A capture, and how many exchanges are in it; what went over no network is not.
///
/// Exchanges of one caller's address are one TCP connection. What was recorded inside TLS is
/// written in plain, with port 80 in the place of 443. Of the streams of an HTTP/2 connection only
/// the connection itself is written, frame by frame.
#[must_use]
pub fn pcap(exchanges: &[Exchange], secrets: Secrets) -> (Vec<u8>, usize) {
    let mut hosts = Hosts::default();
    let mut connections: Vec<Connection> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    let mut count = 0;
    for exchange in exchanges.iter().filter(|exchange| is_of_a_network(exchange)) {
        let Some(exchange) = shown(exchange, secrets) else { continue };
        count += 1;
        let caller = exchange.peer.parse::<SocketAddr>().ok();
        let key = (exchange.peer.clone(), exchange.target.clone());
        let place = match known.get(&key).filter(|_| caller.is_some()) {
            Some(place) => *place,
            None => {
                let ends = hosts.ends(caller, &exchange.target, connections.len());
                connections.push(Connection::new(ends));
                known.insert(key, connections.len() - 1);
                connections.len() - 1
            }
        };
        if let Some(connection) = connections.get_mut(place) {
            connection.add(&exchange);
        }
    }
    let mut packets: Vec<_> = connections.iter_mut().flat_map(Connection::packets).collect();
    // Stable: what came at one time stays in its order.
    packets.sort_by_key(|packet| packet.at_us);
    let mut capture = Capture::new(&hosts.names);
    for packet in &packets {
        capture.packet(packet);
    }
    (capture.into_bytes(), count)
}

fn is_of_a_network(exchange: &Exchange) -> bool {
    let is_stream = exchange.ask.as_ref().is_some_and(|head| head.version == Version::Two);
    exchange.kind != Kind::Stdio && !is_stream
}

/// The exchange as it may be shown.
fn shown(exchange: &Exchange, secrets: Secrets) -> Option<Exchange> {
    match secrets {
        Secrets::Kept => Some(exchange.clone()),
        Secrets::Hidden => read(&line(exchange, Secrets::Hidden)).ok(),
    }
}

/// Addresses for hosts of which only the name is known.
#[derive(Default)]
struct Hosts {
    names: Vec<(IpAddr, String)>,
}

impl Hosts {
    /// Caller and server of a connection, in one family of addresses.
    fn ends(
        &mut self,
        caller: Option<SocketAddr>,
        target: &str,
        place: usize,
    ) -> (SocketAddr, SocketAddr) {
        let (host, port) = split(target);
        let server = match host.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) if host == "localhost" => match caller {
                Some(SocketAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
                _ => Ipv4Addr::LOCALHOST.into(),
            },
            Err(_) => self.named(host),
        };
        let free = CALLER_PORT.saturating_add(u16::try_from(place % 15_000).unwrap_or_default());
        let caller_port = caller.map_or(free, |caller| caller.port());
        let caller = match (caller.map(|caller| caller.ip()), server) {
            (Some(IpAddr::V4(ip)), IpAddr::V4(_)) => ip.into(),
            (Some(IpAddr::V6(ip)), IpAddr::V6(_)) => ip.into(),
            (_, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
            (_, IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        };
        (SocketAddr::new(caller, caller_port), SocketAddr::new(server, port))
    }

    fn named(&mut self, host: &str) -> IpAddr {
        if let Some((ip, _)) = self.names.iter().find(|(_, name)| name == host) {
            return *ip;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(NAMED_MAX).min(NAMED_MAX - 1);
        let ip = IpAddr::V4(Ipv4Addr::from_bits(NAMED + 1 + place));
        // Past the last address the others share it, under its first name.
        if place + 1 < NAMED_MAX {
            self.names.push((ip, host.to_owned()));
        }
        ip
    }
}

/// Host and port of a target as it is written.
fn split(target: &str) -> (&str, u16) {
    let bare = target.trim_start_matches("https://");
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok())
        }
        _ => (bare, None),
    };
    let port = port.filter(|port| *port != TLS_PORT).unwrap_or(80);
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_target_is_host_and_port() {
        assert_eq!(split("localhost:61900"), ("localhost", 61_900));
        assert_eq!(split("https://[::1]:8443"), ("::1", 8443));
        assert_eq!(split("https://api.anthropic.com"), ("api.anthropic.com", 80));
        assert_eq!(split("https://x:443"), ("x", 80));
    }
}
