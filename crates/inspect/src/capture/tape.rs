//! Bytes as they went by, and when each piece of them came.

use std::time::Duration;

/// One way of an exchange: the bytes, up to a limit, with the times of their arrival.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    bytes: Vec<u8>,
    arrivals: Vec<Arrival>,
    total: u64,
    /// Where it is not `total`: what went by, before something was taken out of it.
    passed: Option<u64>,
}

/// A piece that arrived: where it ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Bytes of this way so far, this piece included.
    pub end: u64,
    /// When it came, counted from the beginning of the exchange.
    pub at: Duration,
}

/// Limit: arrivals that are told apart on one tape; later ones only move the last.
const ARRIVALS_MAX: usize = 20_000;

impl Tape {
    /// Takes a piece; keeps of it what `limit` leaves room for, and gives how much that was.
    pub(crate) fn push(&mut self, piece: &[u8], at: Duration, limit: usize) -> usize {
        if piece.is_empty() {
            return 0;
        }
        self.total = self.total.saturating_add(piece.len() as u64);
        let room = limit.saturating_sub(self.bytes.len());
        let kept = piece.get(..piece.len().min(room)).unwrap_or_default();
        self.bytes.extend_from_slice(kept);
        let arrival = Arrival { end: self.total, at };
        let is_full = self.arrivals.len() >= ARRIVALS_MAX;
        match self.arrivals.last_mut() {
            Some(last) if is_full => *last = arrival,
            _ => self.arrivals.push(arrival),
        }
        kept.len()
    }

    /// Forgets the bytes; what went by stays counted.
    pub(crate) fn forget(&mut self) {
        self.bytes = Vec::new();
        self.arrivals = Vec::new();
    }

    /// Bytes in memory, room that is kept for more included.
    pub(crate) fn room(&self) -> usize {
        let arrivals = self.arrivals.capacity().saturating_mul(size_of::<Arrival>());
        self.bytes.capacity().saturating_add(arrivals)
    }

    /// A tape as it was stored.
    pub(crate) fn restore(bytes: Vec<u8>, arrivals: Vec<Arrival>, total: u64) -> Self {
        Self { bytes, arrivals, total, passed: None }
    }

    /// The tape of something that went by in so many bytes, whatever was taken out of it since.
    pub(crate) fn passing(mut self, bytes: u64) -> Self {
        self.passed = Some(bytes).filter(|bytes| *bytes != self.total);
        self
    }

    /// The bytes that were kept, from the beginning.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes there are to read here, those that were not kept included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many bytes went by; others than [`total`](Self::total) where secrets were taken out.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.unwrap_or(self.total)
    }

    /// Whether all that went by was kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.total == self.bytes.len() as u64
    }

    /// The pieces in which it came.
    #[must_use]
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// Calls `each` with every piece behind the first `skip` bytes, and the time it came.
    pub(crate) fn each_piece(&self, skip: usize, mut each: impl FnMut(&[u8], Duration)) {
        let mut from = skip;
        for arrival in &self.arrivals {
            let end = usize::try_from(arrival.end).unwrap_or(usize::MAX).min(self.bytes.len());
            if let Some(piece) = self.bytes.get(from..end).filter(|piece| !piece.is_empty()) {
                each(piece, arrival.at);
                from = end;
            }
        }
    }

    /// Calls `each` with every whole frame behind the first `skip` bytes, and the time its last
    /// byte came; `length` says how long the frame is that begins with these bytes.
    pub(crate) fn each_whole(
        &self,
        skip: usize,
        length: impl Fn(&[u8]) -> Option<usize>,
        mut each: impl FnMut(&[u8], Duration),
    ) {
        let mut held = Vec::new();
        self.each_piece(skip, |piece, at| {
            held.extend_from_slice(piece);
            let mut from = 0;
            while let Some(rest) = held.get(from..).filter(|rest| !rest.is_empty()) {
                let Some(end) = length(rest).filter(|end| *end > 0) else { break };
                let Some(frame) = rest.get(..end) else { break };
                each(frame, at);
                from += end;
            }
            held.drain(..from.min(held.len()));
        });
    }

    /// When the byte before this place had come.
    #[must_use]
    pub fn at(&self, end: u64) -> Duration {
        let place = self.arrivals.partition_point(|arrival| arrival.end < end);
        self.arrivals.get(place).or(self.arrivals.last()).map_or(Duration::ZERO, |a| a.at)
    }
}

#[cfg(test)]
mod tests {
    use super::Tape;
    use std::time::Duration;

    #[test]
    fn what_is_over_the_limit_is_counted_and_not_kept() {
        let mut tape = Tape::default();
        assert_eq!(tape.push(b"abc", Duration::from_millis(1), 5), 3);
        assert_eq!(tape.push(b"defg", Duration::from_millis(2), 5), 2);
        assert_eq!((tape.bytes(), tape.total(), tape.is_whole()), (&b"abcde"[..], 7, false));
    }

    #[test]
    fn a_place_knows_when_it_came() {
        let mut tape = Tape::default();
        tape.push(b"abc", Duration::from_millis(1), 100);
        tape.push(b"def", Duration::from_millis(5), 100);
        let at = |end| tape.at(end).as_millis();
        assert_eq!((at(1), at(3), at(4), at(6), at(99)), (1, 1, 5, 5, 5));
    }
}
