//! Blocks of pcapng (draft-ietf-opsawg-pcapng), in the byte order of the file's own choice.

use std::net::IpAddr;

use super::connection::Packet;

const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;
/// The link type of Ethernet.
const ETHERNET: u16 = 1;
const COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const USER_APPLICATION: u16 = 4;
const NAME_OF_IPV4: u16 = 1;

/// A capture that is being written.
pub(super) struct Capture(Vec<u8>);

impl Capture {
    /// The beginning: who wrote it, one interface, and the names of hosts.
    pub(super) fn new(names: &[(IpAddr, String)]) -> Self {
        let mut capture = Self(Vec::new());
        let mut section = BYTE_ORDER.to_le_bytes().to_vec();
        // Version 1.0, of a length that is not said.
        section.extend_from_slice(&[1, 0, 0, 0]);
        section.extend_from_slice(&[0xff; 8]);
        let program = concat!("rapport inspect ", env!("CARGO_PKG_VERSION"));
        option(&mut section, USER_APPLICATION, program);
        end(&mut section);
        capture.block(SECTION, &section);
        let mut interface = ETHERNET.to_le_bytes().to_vec();
        // Reserved; packets of any length.
        interface.extend_from_slice(&[0; 6]);
        option(&mut interface, INTERFACE_NAME, "rapport inspect");
        end(&mut interface);
        capture.block(INTERFACE, &interface);
        if !names.is_empty() {
            let mut records = Vec::new();
            for (ip, name) in names {
                if let IpAddr::V4(ip) = ip {
                    let mut value = ip.octets().to_vec();
                    value.extend_from_slice(name.as_bytes());
                    value.push(0);
                    record(&mut records, NAME_OF_IPV4, &value);
                }
            }
            end(&mut records);
            capture.block(NAMES, &records);
        }
        capture
    }

    /// Adds a packet.
    pub(super) fn packet(&mut self, packet: &Packet) {
        let at = u64::try_from(packet.at_us).unwrap_or_default();
        let (high, low) = (at >> 32, at & 0xffff_ffff);
        let kept = packet.bytes.len();
        let mut body = vec![0; 4];
        for number in [high, low, kept as u64, packet.length as u64] {
            body.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        body.extend_from_slice(&packet.bytes);
        pad(&mut body);
        if let Some(comment) = &packet.comment {
            option(&mut body, COMMENT, comment);
            end(&mut body);
        }
        self.block(PACKET, &body);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
        self.0.extend_from_slice(&kind.to_le_bytes());
        self.0.extend_from_slice(&length);
        self.0.extend_from_slice(body);
        self.0.extend_from_slice(&length);
    }
}

fn option(into: &mut Vec<u8>, code: u16, text: &str) {
    record(into, code, text.as_bytes());
}

fn record(into: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    into.extend_from_slice(&code.to_le_bytes());
    into.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    into.extend_from_slice(value);
    pad(into);
}

/// The end of options and records.
fn end(into: &mut Vec<u8>) {
    into.extend_from_slice(&[0; 4]);
}

/// Everything ends at a place that four divides.
fn pad(into: &mut Vec<u8>) {
    into.resize(into.len().next_multiple_of(4), 0);
}
