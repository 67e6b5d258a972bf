//! The tables of the older iptables, as the kernel keeps them.

use std::io;
use std::os::fd::AsRawFd as _;

use rustix::net::{AddressFamily, SocketType};

/// Limit: bytes of one table.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Limit: how often a table is asked for again because it changed meanwhile.
const TRIES_MAX: usize = 4;
/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const GET_INFO: i32 = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: i32 = 65;
/// `struct ipt_getinfo`: a name, the hooks in use, where each begins and ends, count, size.
const INFO_BYTES: usize = 84;
/// `struct ipt_get_entries` before its entries: a name, their size, room up to the next 8 bytes.
const HEAD_BYTES: usize = 40;
const NAME_BYTES: usize = 32;
const SIZE_AT: usize = 80;

/// A table: what is said of it, and its entries one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `struct ipt_getinfo`, 84 bytes.
    pub info: Vec<u8>,
    /// The entries, `struct ipt_entry` or `struct ip6t_entry` each.
    pub entries: Vec<u8>,
}

/// The protocol whose tables are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The tables of `iptables`.
    Four,
    /// The tables of `ip6tables`.
    Six,
}

/// Reads the table of this network namespace with that name, such as `filter`.
///
/// The kernel loads what a table needs when it is asked for one that is not there: ask for those
/// that `/proc/net/ip_tables_names` lists.
///
/// # Errors
/// `PermissionDenied` without the right to administer the network; `NotFound` where the kernel has
/// no such table; `Unsupported` on processors that lay it out in another way; `InvalidInput` for a
/// name of more than 31 bytes.
pub fn read(protocol: Protocol, name: &str) -> io::Result<Table> {
    if cfg!(target_pointer_width = "32") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    if name.len() >= NAME_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(protocol, name) {
            // Somebody changed the rules between the two questions.
            Err(error) if tries < TRIES_MAX && error.raw_os_error() == Some(libc::EAGAIN) => {}
            read => return read,
        }
    }
}

fn read_once(protocol: Protocol, name: &str) -> io::Result<Table> {
    let mut info = vec![0; INFO_BYTES];
    put(&mut info, 0, name.as_bytes());
    ask(protocol, GET_INFO, &mut info)?;
    let size = info.get(SIZE_AT..).and_then(|bytes| bytes.first_chunk::<4>()).copied();
    let size = usize::try_from(u32::from_ne_bytes(size.unwrap_or_default())).unwrap_or(BYTES_MAX);
    if size >= BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut entries = vec![0; HEAD_BYTES + size];
    put(&mut entries, 0, name.as_bytes());
    put(&mut entries, NAME_BYTES, &u32::try_from(size).unwrap_or_default().to_ne_bytes());
    ask(protocol, GET_ENTRIES, &mut entries)?;
    entries.drain(..HEAD_BYTES);
    Ok(Table { info, entries })
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (slot, byte) in bytes.iter_mut().skip(at).zip(value) {
        *slot = *byte;
    }
}

fn ask(protocol: Protocol, option: i32, bytes: &mut [u8]) -> io::Result<()> {
    let (family, level) = match protocol {
        Protocol::Four => (AddressFamily::INET, libc::IPPROTO_IP),
        Protocol::Six => (AddressFamily::INET6, libc::IPPROTO_IPV6),
    };
    let socket = rustix::net::socket(family, SocketType::DGRAM, None)?;
    let mut length = libc::socklen_t::try_from(bytes.len()).unwrap_or_default();
    // SAFETY: the socket is open, and `length` says how many bytes there are to read and write.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::{Protocol, read};

    #[test]
    fn a_table_that_nobody_may_have_is_an_error_and_no_guess() {
        assert!(read(Protocol::Four, "no-such-table-of-rules").is_err());
        assert!(read(Protocol::Six, &"x".repeat(32)).is_err());
    }
}
