//! What the tables of Windows say, about rows as the system's headers describe them.

use super::rows::{Kind, read_into};
use super::words::{moment, words};
use crate::sockets::Table;

fn read(kind: Kind, count: u32, rows: &[&[u8]]) -> Table {
    let mut bytes = count.to_le_bytes().to_vec();
    rows.iter().for_each(|row| bytes.extend_from_slice(row));
    // The system's buffer is larger than what it wrote.
    bytes.extend_from_slice(&[0; 100]);
    let mut table = Table::default();
    read_into(&mut table, kind, &bytes);
    table
}

/// State, local address, port, remote address, port, process.
fn tcp4(state: u32, local: [u8; 4], port: u16, remote_port: u16, pid: u32) -> Vec<u8> {
    let wire = |port: u16| [port.to_be_bytes().as_slice(), &[0xaa, 0xaa]].concat();
    let parts = [
        state.to_le_bytes().to_vec(),
        local.to_vec(),
        wire(port),
        vec![10, 0, 0, 9],
        wire(remote_port),
        pid.to_le_bytes().to_vec(),
    ];
    parts.concat()
}

#[test]
fn listeners_and_connections_of_ipv4_are_told_apart() {
    let rows = [
        tcp4(2, [127, 0, 0, 1], 61900, 0, 4711),
        tcp4(5, [127, 0, 0, 1], 61900, 50000, 4711),
        tcp4(11, [127, 0, 0, 1], 50001, 61900, 0),
        tcp4(8, [127, 0, 0, 1], 50002, 61900, 99),
    ];
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    let table = read(Kind::Tcp4, 4, &rows);
    let [listener] = table.listeners.as_slice() else { panic!("{:?}", table.listeners) };
    assert_eq!((listener.place().as_str(), listener.inode), ("127.0.0.1:61900", 4711));
    assert_eq!(listener.is_full(), None);
    let seen: Vec<(u16, u16, bool, bool, u64)> = table
        .connections
        .iter()
        .map(|c| (c.port, c.remote_port, c.is_established, c.is_time_wait, c.inode))
        .collect();
    assert_eq!(
        seen,
        [
            (61900, 50000, true, false, 4711),
            (50001, 61900, false, true, 0),
            (50002, 61900, false, false, 99)
        ]
    );
}

#[test]
fn addresses_of_ipv6_are_read_and_mapped_ones_are_of_ipv4() {
    let row = |local: [u8; 16], port: u16, state: u32| {
        let mut row = local.to_vec();
        row.extend_from_slice(&[0; 4]);
        row.extend_from_slice(&port.to_be_bytes());
        row.extend_from_slice(&[0; 2]);
        row.extend_from_slice(&[0; 24]);
        row.extend_from_slice(&state.to_le_bytes());
        row.extend_from_slice(&7_u32.to_le_bytes());
        row
    };
    let one = row(std::net::Ipv6Addr::LOCALHOST.octets(), 8080, 2);
    let mapped = row(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets(), 8081, 2);
    assert_eq!(one.len(), 56);
    let table = read(Kind::Tcp6, 2, &[&one, &mapped]);
    let places: Vec<String> = table.listeners.iter().map(super::super::Listener::place).collect();
    assert_eq!(places, ["[::1]:8080", "127.0.0.1:8081"]);
    assert_eq!(table.listeners[0].inode, 7);
}

#[test]
fn udp_has_no_state() {
    let four = [&[0, 0, 0, 0], [20, 233, 0, 0].as_slice(), &[9, 0, 0, 0]].concat();
    assert_eq!(read(Kind::Udp4, 1, &[&four]).udp[0].place(), "0.0.0.0:5353");
    let six = [[0; 20].as_slice(), &[20, 233, 0, 0], &[9, 0, 0, 0]].concat();
    let table = read(Kind::Udp6, 1, &[&six]);
    assert_eq!((table.udp[0].place().as_str(), table.udp[0].inode), ("[::]:5353", 9));
}

#[test]
fn bytes_that_end_early_end_the_table() {
    let row = tcp4(2, [127, 0, 0, 1], 1, 0, 1);
    for cut in 0..28 {
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(&row);
        bytes.truncate(cut);
        let mut table = Table::default();
        read_into(&mut table, Kind::Tcp4, &bytes);
        assert!(table.listeners.is_empty(), "{cut}");
    }
    let table = read(Kind::Tcp4, u32::MAX, &[&row]);
    assert_eq!(table.listeners.len(), 1, "a count that lies reads what is there");
}

#[test]
fn a_command_line_is_taken_apart_as_programs_do() {
    let check = |line: &str, expected: &[&str]| assert_eq!(words(line), expected, "{line}");
    check("", &[]);
    check("python.exe", &["python.exe"]);
    check(
        r#""C:\Program Files\x.exe"  --port 8080 "#,
        &[r"C:\Program Files\x.exe", "--port", "8080"],
    );
    check(r#"a "b c" "" d"#, &["a", "b c", "", "d"]);
    check(r#"a C:\x\ "C:\y z\\" e\"f"#, &["a", r"C:\x\", r"C:\y z\", "e\"f"]);
    check(r#"a "he said ""no""" b"#, &["a", "he said \"no\"", "b"]);
    check("a\tb", &["a", "b"]);
}

#[test]
fn moments_count_from_1601() {
    assert_eq!(moment(116_444_736_000_000_000).as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(moment(134_082_000_000_000_000).as_deref(), Some("2025-11-21T12:00:00Z"));
    assert_eq!(moment(5), None);
}
