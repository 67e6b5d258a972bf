//! A recording as a packet capture: what a reader of packets makes of it.

use std::collections::BTreeMap;
use std::process::Command;

use inspect::export::{Secrets, pcap};
use inspect::{Exchange, Room};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::house::{Server, over, proxy, read_until, say, with_room};

/// What a packet says.
struct Packet {
    at_us: u64,
    from: u16,
    to: u16,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    data: Vec<u8>,
    length: usize,
    comment: String,
}

fn le(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// The sum of a receiver, which is nothing when no byte was changed.
fn sum(parts: &[&[u8]]) -> u32 {
    let bytes = parts.concat();
    let sum: u32 = bytes.chunks(2).map(|pair| be(&[pair[0], *pair.get(1).unwrap_or(&0)])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    0xffff - ((sum & 0xffff) + (sum >> 16))
}

/// Reads a capture, block by block.
fn packets(capture: &[u8]) -> Vec<Packet> {
    assert_eq!(le(&capture[..4]), 0x0a0d_0d0a);
    let (mut rest, mut packets, mut kinds) = (capture, Vec::new(), Vec::new());
    while !rest.is_empty() {
        let length = le(&rest[4..8]);
        assert!(
            length.is_multiple_of(4) && le(&rest[length - 4..length]) == length,
            "both lengths agree"
        );
        kinds.push(le(&rest[..4]));
        if kinds.last() == Some(&6) {
            packets.push(packet(&rest[8..length - 4]));
        }
        rest = &rest[length..];
    }
    assert_eq!(kinds[1], 1, "one interface: {kinds:?}");
    packets
}

fn packet(block: &[u8]) -> Packet {
    let kept = le(&block[12..16]);
    let frame = &block[20..20 + kept];
    let options = &block[20 + kept.next_multiple_of(4)..];
    let comment = match options {
        [] => String::new(),
        _ => String::from_utf8(options[4..4 + le(&options[2..4])].to_vec()).unwrap(),
    };
    assert_eq!(&frame[12..14], [8, 0]);
    let (ip, tcp) = frame[14..].split_at(20);
    assert_eq!(sum(&[ip]), 0, "the sum of the address");
    let length = le(&block[16..20]) - 34;
    assert_eq!(be(&ip[2..4]) as usize, length + 20);
    if length == tcp.len() {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        assert_eq!(sum(&[&ip[12..20], &length, &[0, 6], tcp]), 0, "the sum of the segment");
    }
    Packet {
        at_us: (le(&block[4..8]) as u64) << 32 | le(&block[8..12]) as u64,
        from: u16::try_from(be(&tcp[..2])).unwrap(),
        to: u16::try_from(be(&tcp[2..4])).unwrap(),
        sequence: be(&tcp[4..8]),
        acknowledged: be(&tcp[8..12]),
        flags: tcp[13],
        data: tcp[20..].to_vec(),
        length: length - 20,
        comment,
    }
}

/// What each side said, put together by sequence numbers alone, and checked on the way.
fn streams(packets: &[Packet]) -> BTreeMap<(u16, u16), Vec<u8>> {
    let mut streams: BTreeMap<(u16, u16), Vec<u8>> = BTreeMap::new();
    let (mut before, mut ended) = (0, Vec::new());
    for packet in packets {
        assert!(packet.at_us >= before, "in the order of time");
        before = packet.at_us;
        let said = streams.entry((packet.from, packet.to)).or_default();
        let is_first = packet.flags & 2 != 0;
        let place = usize::try_from(packet.sequence).unwrap();
        // Beginning and end count as a byte each.
        let after = usize::from(ended.contains(&packet.from));
        assert_eq!(place, if is_first { 0 } else { 1 + said.len() + after });
        if packet.flags & 1 != 0 {
            ended.push(packet.from);
        }
        said.extend_from_slice(&packet.data);
        said.resize(said.len() + packet.length - packet.data.len(), b'?');
        if packet.flags & 0x10 != 0 {
            let other = streams.get(&(packet.to, packet.from)).map_or(0, Vec::len);
            let acknowledged = usize::try_from(packet.acknowledged).unwrap();
            let after = usize::from(ended.contains(&packet.to));
            assert_eq!(acknowledged, 1 + other + after);
        }
    }
    streams
}

async fn two_on_one_connection() -> (Vec<Exchange>, u16) {
    let answer =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let server = Server::start(b"\r\n\r\n", answer, false).await;
    let proxy = proxy(server.address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    for path in ["/first?key=sk-0123456789012345678901", "/second"] {
        let key = "x-api-key: sk-0123456789012345678901";
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        read_until(&mut stream, b"{}").await;
    }
    let caller = stream.local_addr().unwrap().port();
    (vec![over(&proxy, 1).await, over(&proxy, 2).await], caller)
}

#[tokio::test]
async fn one_connection_becomes_packets_that_add_up() {
    let (exchanges, caller) = two_on_one_connection().await;
    let (capture, count) = pcap(&exchanges, Secrets::Kept);
    assert_eq!(count, 2);
    let packets = packets(&capture);
    let flags: Vec<u8> = packets.iter().map(|packet| packet.flags).collect();
    assert_eq!(flags[..3], [0x02, 0x12, 0x10], "a handshake");
    assert_eq!(flags[flags.len() - 3..], [0x11, 0x11, 0x10], "an end on both sides");
    assert_eq!(flags.iter().filter(|flags| **flags == 0x02).count(), 1, "one connection");
    let streams = streams(&packets);
    let bytes =
        |way: fn(&Exchange) -> &[u8]| exchanges.iter().map(way).collect::<Vec<_>>().concat();
    let said = |from_caller: bool| {
        streams.iter().find(|((from, _), _)| (*from == caller) == from_caller).unwrap().1.clone()
    };
    assert_eq!(said(true), bytes(|exchange| exchange.asked.bytes()));
    assert_eq!(said(false), bytes(|exchange| exchange.answered.bytes()));
    let comments: Vec<&str> =
        packets.iter().map(|p| p.comment.as_str()).filter(|text| !text.is_empty()).collect();
    assert_eq!(comments[1], "exchange 2: GET /second, whole");
}

#[tokio::test]
async fn secrets_are_not_in_it_and_it_still_adds_up() {
    let (exchanges, _) = two_on_one_connection().await;
    let (capture, _) = pcap(&exchanges, Secrets::Hidden);
    let text = String::from_utf8_lossy(&capture);
    assert!(!text.contains("sk-0123") && text.contains("/first?key=[hidden]"), "{text}");
    streams(&packets(&capture));
}

#[tokio::test]
async fn what_was_too_long_to_be_kept_is_counted() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 150_000, b'x');
    let length = answer.len();
    let server = Server::start(b"\r\n\r\n", answer.leak(), false).await;
    let room = Room { way_bytes: 1000, ..Room::default() };
    let proxy = with_room(server.address, &[], room).await;
    say(proxy.address(), b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let exchange = over(&proxy, 1).await;
    let streams = streams(&packets(&pcap(&[exchange], Secrets::Kept).0));
    assert!(streams.values().any(|said| said.len() == length), "{length}");
}

#[tokio::test]
async fn wireshark_finds_nothing_wrong() {
    if Command::new("tshark").arg("--version").output().is_err() {
        return;
    }
    let (exchanges, _) = two_on_one_connection().await;
    let folder = std::env::temp_dir().join(format!("rapport-packets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("calls.pcapng");
    std::fs::write(&file, pcap(&exchanges, Secrets::Hidden).0).unwrap();
    let tshark = |arguments: &[&str]| {
        let mut command = Command::new("tshark");
        command.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r"]);
        let output = command.arg(&file).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let paths = tshark(&["-Y", "http.request", "-T", "fields", "-e", "http.request.uri"]);
    let wrong = tshark(&["-Y", "_ws.expert.severity >= 6291456 or tcp.analysis.flags"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(paths.lines().collect::<Vec<_>>(), ["/first?key=[hidden]", "/second"]);
    assert_eq!(wrong, "");
}
