//! The tables of TCP and UDP sockets with the process behind each, as bytes.

use std::io;

use windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER;
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, TCP_TABLE_OWNER_PID_ALL, UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

/// Limit: how often a table is asked for again because it grew meanwhile.
const TRIES_MAX: usize = 8;

/// Limit: bytes of one table; a row has at most 56.
const BYTES_MAX: u32 = 64 * 1024 * 1024;

/// One of the system's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `MIB_TCPTABLE_OWNER_PID`.
    Tcp4,
    /// `MIB_TCP6TABLE_OWNER_PID`.
    Tcp6,
    /// `MIB_UDPTABLE_OWNER_PID`.
    Udp4,
    /// `MIB_UDP6TABLE_OWNER_PID`.
    Udp6,
}

/// The bytes of a table: the count of its rows in four bytes, then the rows.
///
/// # Errors
/// The system's own, when it refuses the question.
pub fn table(which: Table) -> io::Result<Vec<u8>> {
    let mut size = 16 * 1024_u32;
    for _try in 0..TRIES_MAX {
        // Words, so that the rows are aligned as the system expects.
        let mut words = vec![0_u32; usize::try_from(size).unwrap_or_default().div_ceil(4)];
        match ask(which, &mut words, &mut size) {
            0 => return Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect()),
            ERROR_INSUFFICIENT_BUFFER if size < BYTES_MAX => size = size.saturating_add(4096),
            code => return Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }
    Err(io::Error::other("the table grows faster than it can be read"))
}

fn ask(which: Table, words: &mut [u32], size: &mut u32) -> u32 {
    let to = words.as_mut_ptr().cast();
    let family = u32::from(match which {
        Table::Tcp4 | Table::Udp4 => AF_INET,
        Table::Tcp6 | Table::Udp6 => AF_INET6,
    });
    match which {
        Table::Tcp4 | Table::Tcp6 => {
            // SAFETY: `words` has at least `size` bytes, and the system writes no more than that.
            unsafe { GetExtendedTcpTable(to, size, 0, family, TCP_TABLE_OWNER_PID_ALL, 0) }
        }
        Table::Udp4 | Table::Udp6 => {
            // SAFETY: as above.
            unsafe { GetExtendedUdpTable(to, size, 0, family, UDP_TABLE_OWNER_PID, 0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, table};

    #[test]
    fn each_table_holds_as_many_rows_as_it_says() {
        let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (which, row) in
            [(Table::Tcp4, 24), (Table::Tcp6, 56), (Table::Udp4, 12), (Table::Udp6, 28)]
        {
            let bytes = table(which).unwrap();
            let count = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
            assert!(bytes.len() >= 4 + count as usize * row, "{which:?}: {count} rows");
            assert!(which != Table::Tcp4 || count > 0);
        }
    }
}
