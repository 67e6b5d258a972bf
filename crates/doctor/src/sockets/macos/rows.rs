//! The kernel's list of sockets (`net.inet.tcp.pcblist_n`), read from its bytes.
//!
//! After a header come records, each with its length and kind first and begun at a multiple of
//! eight bytes. A socket is several of them in a row, the first of which is its `INPCB`. Fields are
//! packed to four bytes; records of newer systems are longer at the end, and what is unknown is
//! stepped over. `netstat` reads the same list, without any right of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sockets::{Bound, Connection, Listener, Table};

/// The header and the last record, which repeats it.
const HEADER_BYTES: usize = 24;

const SOCKET: u32 = 0x001;
const RECEIVE_BUFFER: u32 = 0x002;
const SEND_BUFFER: u32 = 0x004;
const INPCB: u32 = 0x010;
const TCPCB: u32 = 0x020;

/// States of TCP, in the numbers of BSD.
const CLOSED: u32 = 0;
const LISTEN: u32 = 1;
const ESTABLISHED: u32 = 4;
const TIME_WAIT: u32 = 10;

/// Bits of `inp_vflag`; a socket of IPv6 that takes IPv4 as well has both.
const IPV4: u8 = 1;

/// A socket, from its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::sockets) struct Row {
    pub(in crate::sockets) address: Option<IpAddr>,
    pub(in crate::sockets) port: u16,
    pub(in crate::sockets) remote_port: u16,
    /// Whether a socket of IPv6 leaves IPv4 out.
    pub(in crate::sockets) v6_only: Option<bool>,
    /// The kernel's handle, made unreadable and still different for each socket.
    pub(in crate::sockets) handle: u64,
    pub(in crate::sockets) uid: u32,
    /// The process that used it last; 0 when none does.
    pub(in crate::sockets) pid: u32,
    pub(in crate::sockets) waiting: u32,
    pub(in crate::sockets) queue_limit: u32,
    pub(in crate::sockets) unread: u32,
    pub(in crate::sockets) unsent: u32,
    /// The state of TCP; none for UDP.
    pub(in crate::sockets) state: Option<u32>,
}

/// The sockets of a list. Bytes that end early, or lengths that lie, end it.
pub(in crate::sockets) fn read(bytes: &[u8]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let Some(first) = length(bytes) else { return rows };
    let mut rest = bytes.get(round_up(first)..).unwrap_or_default();
    while let Some(own) = length(rest).filter(|own| *own > HEADER_BYTES)
        && let Some(record) = rest.get(..own)
    {
        match (number(record, 4), rows.last_mut()) {
            (Some(INPCB), _) => rows.push(place(record)),
            (Some(SOCKET), Some(row)) => of_socket(row, record),
            (Some(RECEIVE_BUFFER), Some(row)) => row.unread = number(record, 8).unwrap_or(0),
            (Some(SEND_BUFFER), Some(row)) => row.unsent = number(record, 8).unwrap_or(0),
            (Some(TCPCB), Some(row)) => row.state = number(record, 36),
            _ => {}
        }
        rest = rest.get(round_up(own)..).unwrap_or_default();
    }
    rows.retain(|row| row.address.is_some());
    rows
}

/// Puts sockets of TCP into the table.
pub(in crate::sockets) fn tcp_into(table: &mut Table, rows: Vec<Row>) -> Vec<(u64, u32)> {
    let mut pids = Vec::new();
    for row in rows {
        let Some(address) = row.address else { continue };
        let (port, uid, inode) = (row.port, row.uid, row.handle);
        pids.push((inode, row.pid));
        match row.state {
            Some(LISTEN) => table.listeners.push(listener(address, &row)),
            Some(CLOSED) if port != 0 => {
                table.bound.push(Bound { address, port, uid, inode, owner: None });
            }
            Some(CLOSED) | None => {}
            Some(state) => table.connections.push(Connection {
                port,
                remote_port: row.remote_port,
                is_established: state == ESTABLISHED,
                is_time_wait: state == TIME_WAIT,
                unread: row.unread,
                unsent: row.unsent,
                retransmits: 0,
                inode,
            }),
        }
    }
    pids
}

/// Puts sockets of UDP that are joined to nobody into the table.
pub(in crate::sockets) fn udp_into(table: &mut Table, rows: Vec<Row>) -> Vec<(u64, u32)> {
    let open = rows.into_iter().filter(|row| row.port != 0 && row.remote_port == 0);
    let mut pids = Vec::new();
    for row in open {
        let Some(address) = row.address else { continue };
        pids.push((row.handle, row.pid));
        let listener = Listener { waiting: 0, queue_limit: None, ..listener(address, &row) };
        table.udp.push(listener);
    }
    pids
}

fn listener(address: IpAddr, row: &Row) -> Listener {
    Listener {
        address,
        port: row.port,
        inode: row.handle,
        uid: row.uid,
        waiting: row.waiting,
        queue_limit: Some(row.queue_limit),
        v6_only: row.v6_only,
        owner: None,
        guess: None,
    }
}

/// `xinpcb_n`: ports at 16, flags at 44, remote address at 48, local address at 64.
fn place(record: &[u8]) -> Row {
    let port = |at: usize| {
        let two = record.get(at..at + 2).and_then(|two| two.try_into().ok());
        two.map_or(0, u16::from_be_bytes)
    };
    let families = record.get(44).copied().unwrap_or(0);
    let bytes: Option<[u8; 16]> = record.get(64..80).and_then(|bytes| bytes.try_into().ok());
    let (address, v6_only) = match bytes {
        // An address of IPv4 stands in the last quarter.
        Some([.., a, b, c, d]) if families == IPV4 => {
            (Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))), None)
        }
        Some(bytes) if families != 0 => {
            let address = IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical();
            (Some(address), Some(families & IPV4 == 0))
        }
        _ => (None, None),
    };
    Row { address, port: port(18), remote_port: port(16), v6_only, ..Row::default() }
}

/// `xsocket_n`: handle at 8, queue at 44, its limit at 48, user at 64, process at 68.
fn of_socket(row: &mut Row, record: &[u8]) {
    let half = |at: usize| {
        let two = record.get(at..at + 2).and_then(|two| two.try_into().ok());
        two.map_or(0, |two| u32::from(u16::from_le_bytes(two)))
    };
    let handle = record.get(8..16).and_then(|eight| eight.try_into().ok());
    row.handle = handle.map_or(0, u64::from_le_bytes);
    row.waiting = half(44);
    row.queue_limit = half(48);
    row.uid = number(record, 64).unwrap_or(u32::MAX);
    row.pid = number(record, 68).unwrap_or(0);
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(number(bytes, 0)?).ok().filter(|length| *length >= 8)
}

fn round_up(length: usize) -> usize {
    length.saturating_add(7) & !7
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
