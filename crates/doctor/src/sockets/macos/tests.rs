//! What the kernel of macOS says, about records with the offsets of its headers.

use super::facts::{folder, short, whole, words};
use super::rows::{read, tcp_into, udp_into};
use crate::sockets::Table;

/// A record: its length, its kind, and fields at their places; the rest is noise.
fn record(length: usize, kind: u32, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0xee; length.next_multiple_of(8)];
    bytes[..4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    bytes[4..8].copy_from_slice(&kind.to_le_bytes());
    for (at, value) in fields {
        bytes[*at..at + value.len()].copy_from_slice(value);
    }
    bytes
}

fn header() -> Vec<u8> {
    record(24, 9, &[])
}

/// The records of one socket, as the kernel writes them: 104, 108, 32, 32, 264 and 208 bytes.
fn socket(
    families: u8,
    local: [u8; 16],
    (port, remote): (u16, u16),
    state: Option<u32>,
) -> Vec<u8> {
    let place = [
        (16_usize, remote.to_be_bytes().to_vec()),
        (18, port.to_be_bytes().to_vec()),
        (44, vec![families]),
        (64, local.to_vec()),
    ];
    let place: Vec<(usize, &[u8])> = place.iter().map(|(at, v)| (*at, v.as_slice())).collect();
    let handle = u64::from(port) << 32;
    let mut bytes = record(104, 0x10, &place);
    bytes.extend(record(
        108,
        0x01,
        &[
            (8, &handle.to_le_bytes()),
            (44, &3_u16.to_le_bytes()),
            (48, &128_u16.to_le_bytes()),
            (64, &501_u32.to_le_bytes()),
            (68, &4711_u32.to_le_bytes()),
        ],
    ));
    bytes.extend(record(32, 0x02, &[(8, &7_u32.to_le_bytes())]));
    bytes.extend(record(32, 0x04, &[(8, &9_u32.to_le_bytes())]));
    bytes.extend(record(264, 0x08, &[]));
    if let Some(state) = state {
        bytes.extend(record(206, 0x20, &[(36, &state.to_le_bytes())]));
    }
    bytes
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&[a, b, c, d]);
    bytes
}

#[test]
fn sockets_of_every_state_are_read_from_one_list() {
    let any = [0; 16];
    let one = std::net::Ipv6Addr::LOCALHOST.octets();
    let list = [
        header(),
        socket(1, v4(127, 0, 0, 1), (61900, 0), Some(1)),
        socket(3, any, (8080, 0), Some(1)),
        socket(2, one, (8081, 0), Some(1)),
        socket(1, v4(127, 0, 0, 1), (61900, 50000), Some(4)),
        socket(1, v4(127, 0, 0, 1), (50001, 61900), Some(10)),
        socket(1, v4(127, 0, 0, 1), (9000, 0), Some(0)),
        header(),
        socket(1, v4(1, 2, 3, 4), (1, 0), Some(1)),
    ]
    .concat();
    let mut table = Table::default();
    let pids = tcp_into(&mut table, read(&list));
    let seen: Vec<(String, Option<bool>)> =
        table.listeners.iter().map(|row| (row.place(), row.v6_only)).collect();
    let place = |text: &str| text.to_owned();
    assert_eq!(
        seen,
        [
            (place("127.0.0.1:61900"), None),
            (place("[::]:8080"), Some(false)),
            (place("[::1]:8081"), Some(true))
        ],
        "what follows the last record is not read"
    );
    let first = &table.listeners[0];
    assert_eq!((first.uid, first.waiting, first.queue_limit), (501, 3, Some(128)));
    assert_eq!(first.is_full(), Some(false));
    assert!(pids.contains(&(first.inode, 4711)));
    let [open, waits] = table.connections.as_slice() else { panic!("{:?}", table.connections) };
    assert!(open.is_established && !open.is_time_wait && waits.is_time_wait);
    assert_eq!((open.port, open.remote_port, open.unread, open.unsent), (61900, 50000, 7, 9));
    assert_eq!(table.bound[0].port, 9000);
}

#[test]
fn udp_sockets_that_are_joined_to_somebody_are_left_out() {
    let list = [
        header(),
        socket(1, v4(0, 0, 0, 0), (5353, 0), None),
        socket(1, v4(10, 0, 0, 1), (50000, 443), None),
        socket(1, v4(0, 0, 0, 0), (0, 0), None),
        header(),
    ];
    let mut table = Table::default();
    udp_into(&mut table, read(&list.concat()));
    let [one] = table.udp.as_slice() else { panic!("{:?}", table.udp) };
    assert_eq!((one.place().as_str(), one.queue_limit), ("0.0.0.0:5353", None));
}

#[test]
fn a_list_that_is_cut_or_lies_about_lengths_is_read_as_far_as_it_goes() {
    let list = [header(), socket(1, v4(127, 0, 0, 1), (80, 0), Some(1)), header()].concat();
    for cut in 0..list.len() {
        let mut table = Table::default();
        tcp_into(&mut table, read(&list[..cut]));
        assert!(table.listeners.len() <= 1);
    }
    for length in [0_u32, 1, 7, 23, 25, 0x7fff_ffff, u32::MAX] {
        let mut broken = list.clone();
        broken[..4].copy_from_slice(&length.to_le_bytes());
        assert!(read(&broken).len() <= 1, "{length}");
        let mut broken = list.clone();
        broken[24..28].copy_from_slice(&length.to_le_bytes());
        assert!(read(&broken).is_empty(), "{length}");
    }
}

#[test]
fn the_owner_is_told_more_of_a_process_than_others() {
    let mut bytes = vec![0_u8; 136];
    for (at, value) in [(4_usize, 4_u32), (12, 4711), (16, 1), (20, 501), (96, 33)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes[48..54].copy_from_slice(b"python");
    bytes[120..128].copy_from_slice(&1_763_779_200_u64.to_le_bytes());
    let facts = whole(&bytes).unwrap();
    assert_eq!((facts.parent, facts.uid, facts.state, facts.open), (1, 501, Some('T'), Some(33)));
    assert_eq!((facts.name.as_str(), facts.started), ("python", Some(1_763_779_200)));
    assert_eq!(whole(&bytes[..127]), None);
    let mut bytes = vec![0_u8; 64];
    for (at, value) in [(4_usize, 1_u32), (12, 5), (36, 0)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes[16..32].copy_from_slice(b"sixteen-letters!");
    let facts = short(&bytes).unwrap();
    assert_eq!((facts.uid, facts.state, facts.started), (0, Some('Z'), None));
    assert_eq!(facts.name, "sixteen-letters!");
    assert_eq!(short(&bytes[..20]), None);
}

#[test]
fn the_words_of_a_process_end_before_its_variables() {
    let mut bytes = 3_u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"/usr/bin/python3\0\0\0\0python3\0-m\0http.server\0HOME=/x\0");
    assert_eq!(words(&bytes), ["python3", "-m", "http.server"]);
    assert!(words(&[]).is_empty());
    assert!(words(&u32::MAX.to_le_bytes()).iter().all(String::is_empty));
}

#[test]
fn the_folder_of_a_process_is_a_path() {
    let mut bytes = vec![0_u8; 2352];
    bytes[152..160].copy_from_slice(b"/Users/a");
    assert_eq!(folder(&bytes).as_deref(), Some("/Users/a"));
    assert_eq!(folder(&[0; 2352]), None);
    assert_eq!(folder(&[]), None);
}
