//! Netlink: what the Linux kernel itself answers about sockets, routes and packet filters.
//!
//! Invariant: only questions are sent; no message of this module changes anything.

pub(crate) mod bytes;

use std::io;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with,
};

use bytes::{padded, u16_at, u32_at};

/// Limit: how long the kernel is waited for; it answers at once or not at all.
const PATIENCE: Duration = Duration::from_millis(500);

/// Limit: bytes of one answer; more rows than this are left out.
const ANSWER_MAX: usize = 64 << 20;

/// The size of one read; the kernel never sends more in one datagram.
const READ: usize = 1 << 16;

const HEADER: usize = 16;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// One message of an answer, without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks for all rows of a table.
///
/// # Errors
/// What the kernel says: `EPERM` without the right to look, `ENOENT` and the like for a table that
/// is not there.
pub(crate) fn dump(protocol: Option<Protocol>, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
    ask(protocol, kind, REQUEST | DUMP, body)
}

/// Asks for one row.
///
/// # Errors
/// As [`dump`].
pub(crate) fn one(protocol: Option<Protocol>, kind: u16, body: &[u8]) -> io::Result<Message> {
    let found = ask(protocol, kind, REQUEST, body)?;
    found.into_iter().next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn ask(protocol: Option<Protocol>, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Message>> {
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let message = question(kind, flags, body);
    sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0_u8; READ];
    let (mut found, mut total) = (Vec::new(), 0_usize);
    loop {
        let (_, length) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        total = total.saturating_add(length);
        let ended = read(buffer.get(..length).unwrap_or_default(), &mut found)?;
        if ended || length == 0 || total > ANSWER_MAX || flags & DUMP == 0 {
            return Ok(found);
        }
    }
}

fn question(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0_u8; 8]);
    message.extend(body);
    message
}

/// Takes the messages out of one datagram; whether it ends the answer.
fn read(mut datagram: &[u8], found: &mut Vec<Message>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (u32_at(datagram, 0), u16_at(datagram, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = datagram.get(HEADER..length) else { break };
        if kind == ERROR || kind == DONE {
            let code = u32_at(body, 0).map_or(0, u32::cast_signed);
            return match code.checked_neg().unwrap_or(0) {
                code if code > 0 => Err(io::Error::from_raw_os_error(code)),
                _ => Ok(true),
            };
        }
        found.push(Message { kind, body: body.to_vec() });
        datagram = datagram.get(padded(length)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::{DONE, ERROR, Message, question, read};

    #[test]
    fn a_datagram_is_cut_into_its_messages() {
        let mut datagram = question(20, 0, b"abcde");
        datagram.extend([0; 3]);
        datagram.extend(question(20, 0, b"fg"));
        let mut found = Vec::new();
        assert!(!read(&datagram, &mut found).unwrap());
        let bodies: Vec<&[u8]> = found.iter().map(|one| one.body.as_slice()).collect();
        assert_eq!(bodies, [b"abcde".as_slice(), b"fg"]);
        assert!(read(&question(DONE, 0, &[0; 4]), &mut found).unwrap());
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_garbage_is_nothing() {
        let denied = question(ERROR, 0, &(-1_i32).to_ne_bytes());
        let error = read(&denied, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        for garbage in [&b""[..], &[1, 2, 3], &[0xff; 40], &[0; 16]] {
            let mut found: Vec<Message> = Vec::new();
            assert!(!read(garbage, &mut found).unwrap());
            assert!(found.is_empty(), "{garbage:?}");
        }
    }
}
