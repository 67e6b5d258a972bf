//! A recorded answer as it is said again: its pieces, and when each is due.

use std::time::Duration;

use crate::capture::{Ending, Exchange, Tape};
use crate::http::{Framing, Head, Meter, Version};

/// An answer to be said.
#[derive(Debug)]
pub(super) struct Spoken {
    /// Head and body.
    bytes: Vec<u8>,
    /// Where each piece ends, and how long after the request it is due.
    pieces: Vec<(usize, Duration)>,
    /// Whether another request may follow on the connection.
    pub(super) keeps: bool,
}

impl Spoken {
    /// The answer of an exchange; nothing when it has none.
    ///
    /// It is said as it was recorded. Where that would not be understood (a stream of HTTP/2, or a
    /// secret taken out of a body whose length was said before), its head is written anew.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let head = exchange.answer.as_ref()?;
        let raw = exchange.answer_raw();
        let is_cut = exchange.ending == Ending::CutByTarget;
        let fits = is_cut || is_framed(exchange.answer_framing, raw);
        let since = asked_at(exchange);
        let whole = exchange.answered.bytes();
        let (bytes, shift) = if fits && head.version != Version::Two {
            (whole.to_vec(), 0)
        } else {
            let payload = exchange.answer_framing.payload(raw);
            let mut bytes = rewritten(head, &payload, is_cut).write();
            let shift = signed(bytes.len()).saturating_sub(signed(head.length));
            bytes.extend_from_slice(&payload);
            (bytes, shift)
        };
        let pieces = pieces(&exchange.answered, (bytes.len(), shift), since);
        let keeps = exchange.ending == Ending::Whole
            && !matches!(exchange.answer_framing, Framing::Close)
            && head.keeps_alive();
        Some(Self { bytes, pieces, keeps: keeps && head.version != Version::Two })
    }

    /// The pieces in their order, each with the time at which it is due.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&[u8], Duration)> {
        let mut from = 0;
        self.pieces.iter().map(move |(end, due)| {
            let piece = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            (piece, *due)
        })
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// When the request was over, counted from its first byte.
fn asked_at(exchange: &Exchange) -> Duration {
    let came = exchange.asked.at(exchange.asked.total());
    exchange.times.connected.unwrap_or_default().max(came)
}

/// Whether the bytes are what the head says of them.
fn is_framed(framing: Framing, raw: &[u8]) -> bool {
    let mut meter = Meter::new(framing);
    let taken = meter.take(raw, &mut |_, _| {});
    meter.is_endless() || (meter.is_over() && taken == raw.len())
}

fn rewritten(head: &Head, payload: &[u8], is_cut: bool) -> Head {
    let mut head = head.clone();
    head.version = Version::One;
    head.set("Transfer-Encoding", "");
    // An answer that was cut is cut again: its length stays unsaid.
    let length = if is_cut { String::new() } else { payload.len().to_string() };
    head.set("Content-Length", &length);
    if is_cut {
        head.set("Connection", "close");
    }
    head
}

fn pieces(tape: &Tape, (total, shift): (usize, i64), since: Duration) -> Vec<(usize, Duration)> {
    let mut pieces: Vec<(usize, Duration)> = Vec::new();
    for arrival in tape.arrivals() {
        let end = i64::try_from(arrival.end).unwrap_or(i64::MAX).saturating_add(shift);
        let end = usize::try_from(end).unwrap_or(0).min(total);
        let due = arrival.at.saturating_sub(since);
        match pieces.last_mut() {
            Some((before, _)) if end <= *before => {}
            _ if end == 0 => {}
            _ => pieces.push((end, due)),
        }
    }
    match pieces.last_mut() {
        Some((end, _)) => *end = total,
        None => pieces.push((total, Duration::ZERO)),
    }
    pieces
}
