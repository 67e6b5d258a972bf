//! The packet whose way through the rules is followed: what a connection of this machine sends.

use std::net::IpAddr;

use super::Hook;
use super::expression::Key;

/// The number and name of the loopback interface on every Linux.
const LOOPBACK: (u32, &str) = (1, "lo");

/// `ARPHRD_LOOPBACK`.
const LOOPBACK_KIND: u16 = 772;

const NEW: u32 = 8;
const ESTABLISHED: u32 = 2;

/// A connection to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::firewall) struct Flow {
    /// The server's address.
    pub(in crate::firewall) to: IpAddr,
    pub(in crate::firewall) port: u16,
    /// A port such as the client's end gets.
    pub(in crate::firewall) client: u16,
    /// Whether the server is on this machine, so that both ends pass the loopback interface.
    pub(in crate::firewall) is_local: bool,
    /// The user of this program.
    pub(in crate::firewall) uid: u32,
    /// Bytes of a packet with data; the packets of the handshake are small.
    pub(in crate::firewall) length: Option<u32>,
}

/// One of its packets at one place of its way.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) flow: Flow,
    /// Whether it goes back to the client.
    pub(super) is_reply: bool,
    pub(super) hook: Hook,
    /// The port it goes to by now, when a rule changed it.
    pub(super) redirected: Option<u16>,
}

/// Bytes, each of which may be unknown.
pub(super) type Bytes = Vec<Option<u8>>;

fn known(bytes: &[u8]) -> Bytes {
    bytes.iter().copied().map(Some).collect()
}

fn unknown(length: usize) -> Bytes {
    vec![None; length]
}

impl Packet {
    pub(super) fn is_four(&self) -> bool {
        self.flow.to.is_ipv4()
    }

    /// The value of a key; unknown bytes where this packet could have any.
    pub(super) fn load(&self, key: Key) -> Bytes {
        match key {
            Key::Meta(number) => self.meta(number),
            Key::Tracked(number) => self.tracked(number),
            Key::Network(offset, length) => cut(&self.network(), offset, length),
            Key::Transport(offset, length) => cut(&self.transport(), offset, length),
            // `RTN_LOCAL` of the routing table.
            Key::DestinationKind if self.flow.is_local => known(&2_u32.to_ne_bytes()),
            Key::DestinationKind | Key::Unknown => unknown(4),
        }
    }

    fn meta(&self, number: u32) -> Bytes {
        let arrives = matches!(self.hook, Hook::Prerouting | Hook::Input | Hook::Forward);
        let leaves = matches!(self.hook, Hook::Forward | Hook::Output | Hook::Postrouting);
        let (index, name) = LOOPBACK;
        let mut padded = name.as_bytes().to_vec();
        padded.resize(16, 0);
        let here = |there: bool, value: &[u8]| match (there, self.flow.is_local) {
            (true, true) => known(value),
            (true, false) => unknown(value.len()),
            // Without an interface the kernel loads zeros.
            (false, _) => known(&vec![0; value.len()]),
        };
        match number {
            0 => match self.flow.length {
                Some(length) if !self.is_reply => known(&length.to_ne_bytes()),
                _ => known(&60_u32.to_ne_bytes()),
            },
            1 if self.is_four() => known(&0x0800_u16.to_be_bytes()),
            1 => known(&0x86dd_u16.to_be_bytes()),
            4 => here(arrives, &index.to_ne_bytes()),
            5 => here(leaves, &index.to_ne_bytes()),
            6 => here(arrives, &padded),
            7 => here(leaves, &padded),
            8 => here(arrives, &LOOPBACK_KIND.to_ne_bytes()),
            9 => here(leaves, &LOOPBACK_KIND.to_ne_bytes()),
            10 if leaves && !self.is_reply => known(&self.flow.uid.to_ne_bytes()),
            15 => known(&[if self.is_four() { 2 } else { 10 }]),
            16 => known(&[6]),
            _ => unknown(16),
        }
    }

    fn tracked(&self, number: u32) -> Bytes {
        let is_new = !self.is_reply && self.flow.length.is_none();
        match number {
            0 => known(&(if is_new { NEW } else { ESTABLISHED }).to_ne_bytes()),
            1 => known(&[u8::from(self.is_reply)]),
            _ => unknown(16),
        }
    }

    /// Addresses: the server's, and the client's, which is the same on this machine.
    fn ends(&self) -> (Bytes, Bytes) {
        let server = match self.flow.to {
            IpAddr::V4(four) => known(&four.octets()),
            IpAddr::V6(six) => known(&six.octets()),
        };
        let client = if self.flow.is_local { server.clone() } else { unknown(server.len()) };
        if self.is_reply { (server, client) } else { (client, server) }
    }

    fn network(&self) -> Bytes {
        let (source, destination) = self.ends();
        let mut header = if self.is_four() {
            let mut header = unknown(12);
            set(&mut header, 0, &[0x45, 0]);
            set(&mut header, 9, &[6]);
            header
        } else {
            let mut header = unknown(8);
            set(&mut header, 6, &[6]);
            header
        };
        header.extend(source);
        header.extend(destination);
        header
    }

    fn transport(&self) -> Bytes {
        let mut header = unknown(20);
        let port = self.redirected.unwrap_or(self.flow.port).to_be_bytes();
        set(&mut header, if self.is_reply { 0 } else { 2 }, &port);
        let client = self.flow.client.to_be_bytes();
        set(&mut header, if self.is_reply { 2 } else { 0 }, &client);
        let flags = match (self.is_reply, self.flow.length) {
            (_, Some(_)) => 0x18,
            (false, None) => 0x02,
            (true, None) => 0x12,
        };
        set(&mut header, 13, &[flags]);
        header
    }
}

fn set(bytes: &mut Bytes, at: usize, values: &[u8]) {
    for (slot, value) in bytes.iter_mut().skip(at).zip(values) {
        *slot = Some(*value);
    }
}

fn cut(bytes: &Bytes, offset: usize, length: usize) -> Bytes {
    (offset..offset.saturating_add(length)).map(|at| bytes.get(at).copied().flatten()).collect()
}
