//! Ethernet, IP and TCP around a segment, with their checksums (RFC 791, RFC 8200, RFC 9293).

use std::net::{IpAddr, SocketAddr};

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// Addresses that nobody owns, of caller and server.
const MAC: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const HOPS: u8 = 64;
const WINDOW: u16 = 0xffff;
const TCP_BYTES: usize = 20;
const IPV4_BYTES: usize = 20;

/// A segment of TCP.
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) data: &'a [u8],
    /// Bytes behind the data that are counted and not there.
    pub(super) missing: usize,
}

/// The frame, from its first byte to the last that is known.
pub(super) fn frame(segment: &Segment<'_>) -> Vec<u8> {
    let tcp = tcp(segment);
    let length = tcp.len() + segment.missing;
    let (kind, head) = match (segment.from.ip(), segment.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (IPV4, ipv4(from.octets(), to.octets(), short(IPV4_BYTES + length)))
        }
        (from, to) => (IPV6, ipv6(octets(from), octets(to), short(length))),
    };
    // The higher port is taken for the caller's, so that each way has its addresses.
    let is_up = segment.from.port() > segment.to.port();
    let [first, second] = if is_up { [MAC[1], MAC[0]] } else { MAC };
    let mut frame = Vec::with_capacity(14 + head.len() + tcp.len());
    frame.extend_from_slice(&first);
    frame.extend_from_slice(&second);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(&tcp);
    frame
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn ipv4(from: [u8; 4], to: [u8; 4], length: u16) -> Vec<u8> {
    let mut head = vec![0x45, 0];
    head.extend_from_slice(&length.to_be_bytes());
    // No identification; not to be cut.
    head.extend_from_slice(&[0, 0, 0x40, 0, HOPS, TCP, 0, 0]);
    head.extend_from_slice(&from);
    head.extend_from_slice(&to);
    let sum = checksum(&[&head]).to_be_bytes();
    head.splice(10..12, sum);
    head
}

fn ipv6(from: [u8; 16], to: [u8; 16], length: u16) -> Vec<u8> {
    let mut head = vec![0x60, 0, 0, 0];
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[TCP, HOPS]);
    head.extend_from_slice(&from);
    head.extend_from_slice(&to);
    head
}

fn tcp(segment: &Segment<'_>) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(TCP_BYTES + segment.data.len());
    tcp.extend_from_slice(&segment.from.port().to_be_bytes());
    tcp.extend_from_slice(&segment.to.port().to_be_bytes());
    tcp.extend_from_slice(&segment.sequence.to_be_bytes());
    tcp.extend_from_slice(&segment.acknowledged.to_be_bytes());
    // Five words of header.
    tcp.extend_from_slice(&[0x50, segment.flags]);
    tcp.extend_from_slice(&WINDOW.to_be_bytes());
    tcp.extend_from_slice(&[0, 0, 0, 0]);
    tcp.extend_from_slice(segment.data);
    let length = u32::try_from(tcp.len() + segment.missing).unwrap_or(u32::MAX);
    let mut pseudo = Vec::with_capacity(40);
    match (segment.from.ip(), segment.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            pseudo.extend_from_slice(&from.octets());
            pseudo.extend_from_slice(&to.octets());
        }
        (from, to) => {
            pseudo.extend_from_slice(&octets(from));
            pseudo.extend_from_slice(&octets(to));
        }
    }
    pseudo.extend_from_slice(&length.to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, TCP]);
    let sum = checksum(&[&pseudo, &tcp]).to_be_bytes();
    tcp.splice(16..18, sum);
    tcp
}

/// The checksum of the internet (RFC 1071); each part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let high = u64::from(pair.first().copied().unwrap_or_default());
            let low = u64::from(pair.get(1).copied().unwrap_or_default());
            sum += high << 8 | low;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ACK, PSH, Segment, checksum, frame};

    #[test]
    fn the_example_of_the_rfc_has_its_sum() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn a_receiver_finds_both_sums_right() {
        for (from, to, head) in
            [("127.0.0.1:50000", "192.0.2.1:80", 20), ("[::1]:50000", "[::1]:80", 40)]
        {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let (flags, data) = (PSH | ACK, &b"GET / HTTP/1.1\r\n\r\n!"[..]);
            let segment =
                Segment { from, to, sequence: 7, acknowledged: 9, flags, data, missing: 0 };
            let bytes = frame(&segment);
            let (ip, tcp) = bytes[14..].split_at(head);
            if head == 20 {
                assert_eq!(checksum(&[ip]), 0);
            }
            let length = u32::try_from(tcp.len()).unwrap().to_be_bytes();
            let addresses = if head == 20 { &ip[12..20] } else { &ip[8..40] };
            assert_eq!(checksum(&[addresses, &length, &[0, 0, 0, 6], tcp]), 0);
            assert!(bytes.ends_with(data));
        }
    }
}
