//! One TCP connection as packets: handshake, data with acknowledgements, end.

use std::net::SocketAddr;
use std::time::Duration;

use super::frame::{ACK, FIN, PSH, SYN, Segment, frame};
use crate::capture::{Ending, Exchange, Tape};

/// Limit: bytes of a segment.
const SEGMENT_MAX: usize = 16 * 1024;
/// Limit: bytes of a segment of which only the length is known.
const MISSING_MAX: u64 = 60_000;

/// A packet as it goes into a capture.
pub(super) struct Packet {
    /// Microseconds since the epoch.
    pub(super) at_us: i64,
    /// What was kept of it.
    pub(super) bytes: Vec<u8>,
    /// How long it was.
    pub(super) length: usize,
    /// A remark for its reader.
    pub(super) comment: Option<String>,
}

/// A piece of one way.
struct Piece {
    at_us: i64,
    from_caller: bool,
    bytes: Vec<u8>,
    /// Bytes that went by and were not kept.
    missing: u64,
    comment: Option<String>,
}

/// A connection, as far as it is known.
pub(super) struct Connection {
    ends: (SocketAddr, SocketAddr),
    pieces: Vec<Piece>,
    begun_us: i64,
    over_us: i64,
    server_ends: bool,
    /// The next sequence numbers of caller and server.
    next: (u32, u32),
}

impl Connection {
    pub(super) fn new(ends: (SocketAddr, SocketAddr)) -> Self {
        Self {
            ends,
            pieces: Vec::new(),
            begun_us: i64::MAX,
            over_us: i64::MIN,
            server_ends: false,
            next: (0, 0),
        }
    }

    /// Adds an exchange that was said on it.
    pub(super) fn add(&mut self, exchange: &Exchange) {
        let begun = exchange.begun.as_microsecond();
        let at = |time: Duration| begun.saturating_add(micros(time));
        let why = match &exchange.ending {
            Ending::Unreached(why) | Ending::ByRule(why) => format!(": {why}"),
            _ => String::new(),
        };
        let ending = exchange.ending.as_str();
        let mut title: String = exchange.title().chars().take(200).collect();
        title = format!("exchange {}: {}, {ending}{why}", exchange.number, title);
        let first = self.pieces.len();
        for (tape, from_caller) in [(&exchange.asked, true), (&exchange.answered, false)] {
            self.pieces.extend(pieces(tape).map(|(bytes, missing, time)| Piece {
                at_us: at(time),
                from_caller,
                bytes: bytes.to_vec(),
                missing,
                comment: None,
            }));
        }
        if let Some(piece) = self.pieces.get_mut(first) {
            piece.comment = Some(title);
        }
        self.begun_us = self.begun_us.min(begun);
        let over = at(exchange.times.over.unwrap_or_default());
        if over >= self.over_us {
            self.over_us = over;
            self.server_ends = exchange.ending == Ending::CutByTarget;
        }
    }

    /// All packets, in their order.
    pub(super) fn packets(&mut self) -> Vec<Packet> {
        self.pieces.sort_by_key(|piece| piece.at_us);
        let pieces = std::mem::take(&mut self.pieces);
        let last = pieces.last().map_or(self.begun_us, |piece| piece.at_us);
        self.over_us = self.over_us.max(last);
        let mut packets = Vec::new();
        self.say(&mut packets, self.begun_us, (true, SYN));
        self.say(&mut packets, self.begun_us, (false, SYN | ACK));
        self.say(&mut packets, self.begun_us, (true, ACK));
        for piece in pieces {
            self.piece(&mut packets, piece);
        }
        let first = !self.server_ends;
        self.say(&mut packets, self.over_us, (first, FIN | ACK));
        self.say(&mut packets, self.over_us, (!first, FIN | ACK));
        self.say(&mut packets, self.over_us, (first, ACK));
        packets
    }

    fn piece(&mut self, packets: &mut Vec<Packet>, piece: Piece) {
        let mut comment = piece.comment;
        for part in piece.bytes.chunks(SEGMENT_MAX) {
            let what = (piece.from_caller, PSH | ACK);
            self.segment(packets, piece.at_us, what, (part, 0));
            if let Some(packet) = packets.last_mut() {
                packet.comment = comment.take();
            }
            self.say(packets, piece.at_us, (!piece.from_caller, ACK));
        }
        let mut missing = piece.missing;
        while missing > 0 {
            let length = missing.min(MISSING_MAX);
            missing -= length;
            let what = (piece.from_caller, PSH | ACK);
            self.segment(packets, piece.at_us, what, (&[], length));
            self.say(packets, piece.at_us, (!piece.from_caller, ACK));
        }
    }

    /// A segment without data.
    fn say(&mut self, packets: &mut Vec<Packet>, at_us: i64, what: (bool, u8)) {
        self.segment(packets, at_us, what, (&[], 0));
    }

    fn segment(
        &mut self,
        packets: &mut Vec<Packet>,
        at_us: i64,
        (from_caller, flags): (bool, u8),
        (data, missing): (&[u8], u64),
    ) {
        let (caller, server) = self.ends;
        let (from, to) = if from_caller { (caller, server) } else { (server, caller) };
        let (own, other) = match from_caller {
            true => (self.next.0, self.next.1),
            false => (self.next.1, self.next.0),
        };
        let missing = usize::try_from(missing).unwrap_or_default();
        let acknowledged = if flags & ACK == 0 { 0 } else { other };
        let segment = Segment { from, to, sequence: own, acknowledged, flags, data, missing };
        let bytes = frame(&segment);
        let length = bytes.len() + missing;
        packets.push(Packet { at_us, bytes, length, comment: None });
        // The beginning and the end count as a byte each.
        let more = data.len() + missing + usize::from(flags & (SYN | FIN) != 0);
        let next = own.wrapping_add(u32::try_from(more).unwrap_or_default());
        if from_caller {
            self.next.0 = next;
        } else {
            self.next.1 = next;
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The pieces of a tape: bytes that were kept, how many were not, and when.
fn pieces(tape: &Tape) -> impl Iterator<Item = (&[u8], u64, Duration)> {
    let mut from = 0_u64;
    let last = tape.arrivals().len().saturating_sub(1);
    let arrivals = tape.arrivals().iter().enumerate();
    arrivals.map(move |(place, arrival)| {
        let end = if place == last { tape.total() } else { arrival.end.min(tape.total()) };
        let end = end.max(from);
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(tape.bytes().len());
        let kept = tape.bytes().get(at(from)..at(end)).unwrap_or_default();
        let missing = (end - from).saturating_sub(kept.len() as u64);
        from = end;
        (kept, missing, arrival.at)
    })
}
