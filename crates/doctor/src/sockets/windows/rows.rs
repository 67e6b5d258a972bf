//! Rows of the four tables, read from their bytes.
//!
//! A table is the count of its rows in four bytes, then the rows (`iphlpapi.h`, `OWNER_PID`).
//! Numbers are little-endian; an address and the low half of a port are in the network's order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sockets::{Connection, Listener, Table};

const LISTEN: u32 = 2;
const ESTABLISHED: u32 = 5;
const TIME_WAIT: u32 = 11;

/// Which table the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sockets) enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

impl Kind {
    /// Bytes of a row.
    fn row(self) -> usize {
        match self {
            Self::Tcp4 => 24,
            Self::Tcp6 => 56,
            Self::Udp4 => 12,
            Self::Udp6 => 28,
        }
    }
}

/// Puts what the bytes say into the table. Bytes that end early end it.
pub(in crate::sockets) fn read_into(table: &mut Table, kind: Kind, bytes: &[u8]) {
    let count = number(bytes, 0).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let rows = bytes.get(4..).unwrap_or_default().chunks_exact(kind.row());
    for row in rows.take(count) {
        let read = match kind {
            Kind::Tcp4 => tcp4(table, row),
            Kind::Tcp6 => tcp6(table, row),
            Kind::Udp4 => udp(table, v4(row, 0), port(row, 4), number(row, 8)),
            Kind::Udp6 => udp(table, v6(row, 0), port(row, 20), number(row, 24)),
        };
        debug_assert!(read.is_some(), "a row has all its fields");
    }
}

/// State, local address and port, remote address and port, process.
fn tcp4(table: &mut Table, row: &[u8]) -> Option<()> {
    let (address, local, remote) = (v4(row, 4)?, port(row, 8)?, port(row, 16)?);
    tcp(table, number(row, 0)?, (address, local, remote), number(row, 20)?);
    Some(())
}

/// Local address, scope and port, remote address, scope and port, state, process.
fn tcp6(table: &mut Table, row: &[u8]) -> Option<()> {
    let (address, local, remote) = (v6(row, 0)?, port(row, 20)?, port(row, 44)?);
    tcp(table, number(row, 48)?, (address, local, remote), number(row, 52)?);
    Some(())
}

fn tcp(table: &mut Table, state: u32, (address, port, remote): (IpAddr, u16, u16), pid: u32) {
    if state == LISTEN {
        table.listeners.push(listener(address, port, pid));
        return;
    }
    table.connections.push(Connection {
        port,
        remote_port: remote,
        is_established: state == ESTABLISHED,
        is_time_wait: state == TIME_WAIT,
        unread: 0,
        unsent: 0,
        retransmits: 0,
        inode: u64::from(pid),
    });
}

fn udp(
    table: &mut Table,
    address: Option<IpAddr>,
    port: Option<u16>,
    pid: Option<u32>,
) -> Option<()> {
    table.udp.push(listener(address?, port?, pid?));
    Some(())
}

/// Sockets have no number of their own here, so the number of the process stands for it.
fn listener(address: IpAddr, port: u16, pid: u32) -> Listener {
    Listener {
        address,
        port,
        inode: u64::from(pid),
        uid: 0,
        waiting: 0,
        queue_limit: None,
        v6_only: None,
        owner: None,
        guess: None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn v4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(four)))
}

fn v6(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let sixteen: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(sixteen)).to_canonical())
}
