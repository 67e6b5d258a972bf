//! TCP and UDP sockets by `NETLINK_SOCK_DIAG`: quick, without rights, and with queues and limits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SOCK_DIAG;

use super::{Row, listener};
use crate::netlink::bytes::{attributes, be16_at, u32_at};
use crate::netlink::dump;
use crate::sockets::{Bound, Connection, Table};

const BY_FAMILY: u16 = 20;
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;

/// The attribute that says whether an IPv6 socket takes IPv4 connections as well.
const V6_ONLY: u16 = 11;

/// Where the attributes begin.
const ATTRIBUTES: usize = 72;

/// All TCP sockets of this network namespace.
pub(super) fn read_into(table: &mut Table) -> io::Result<()> {
    for family in [INET, INET6] {
        match dump(Some(SOCK_DIAG), BY_FAMILY, &question(family)) {
            Ok(messages) => {
                for message in messages {
                    match read(&message.body) {
                        Some(Row::Listening(listener)) => table.listeners.push(listener),
                        Some(Row::Connected(connection)) => table.connections.push(connection),
                        Some(Row::Bound(bound)) => table.bound.push(bound),
                        None => {}
                    }
                }
            }
            // A kernel without IPv6.
            Err(error) if family == INET6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `inet_diag_req_v2`: family, protocol, no extensions, every state, and no address.
fn question(family: u8) -> Vec<u8> {
    let mut body = vec![family, TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.resize(56, 0);
    body
}

/// `inet_diag_msg`.
pub(super) fn read(body: &[u8]) -> Option<Row> {
    let (family, state) = (*body.first()?, *body.get(1)?);
    let (port, remote_port) = (be16_at(body, 4)?, be16_at(body, 6)?);
    let address = address(family, body.get(8..24)?)?;
    let (unread, unsent) = (u32_at(body, 56)?, u32_at(body, 60)?);
    let (uid, inode) = (u32_at(body, 64)?, u64::from(u32_at(body, 68)?));
    let ext = body.get(ATTRIBUTES..).unwrap_or_default();
    Some(match state {
        10 => {
            let mut row = listener((address, port), uid, inode);
            row.waiting = unread;
            row.queue_limit = Some(unsent);
            let mut found = attributes(ext);
            row.v6_only = found
                .find(|(kind, _)| *kind == V6_ONLY && family == INET6)
                .and_then(|(_, value)| Some(*value.first()? != 0));
            Row::Listening(row)
        }
        // Bound and not listening: 7 (closed), or 13 since Linux 6.8.
        7 | 13 if port != 0 => Row::Bound(Bound { address, port, uid, inode, owner: None }),
        7 | 13 => return None,
        _ => Row::Connected(Connection {
            port,
            remote_port,
            is_established: state == 1,
            is_time_wait: state == 6,
            unread,
            unsent,
            retransmits: *body.get(3)?,
            inode,
        }),
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    if family == INET {
        let four: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let six: [u8; 16] = bytes.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(six)).to_canonical())
}
