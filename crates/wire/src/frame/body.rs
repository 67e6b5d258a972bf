//! Where a body of HTTP/1 ends, and what of its bytes is payload (RFC 9112, section 6).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Limit: bytes behind the last chunk that are read for trailers.
const TRAILER_BYTES_MAX: usize = 256 * 1024;
/// Limit: bytes between two pieces of a body: lengths, their extensions, trailers.
const BARE_BYTES_MAX: usize = 64 * 1024;

/// How a body is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks (RFC 9112, section 7.1).
    Chunked,
    /// To the end of the connection.
    #[default]
    Close,
}

impl Framing {
    /// The name as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Length(_) => "length",
            Self::Chunked => "chunked",
            Self::Close => "close",
        }
    }

    /// The payload of raw bytes; what breaks the framing ends it.
    #[must_use]
    pub fn payload(self, raw: &[u8]) -> Vec<u8> {
        if self != Self::Chunked {
            return raw.to_vec();
        }
        let mut out = Vec::with_capacity(raw.len());
        Meter::new(self).take(raw, &mut |piece, _| out.extend_from_slice(piece));
        out
    }

    /// The header lines behind the last chunk.
    #[must_use]
    pub fn trailers(self, raw: &[u8]) -> Vec<(String, String)> {
        if self != Self::Chunked {
            return Vec::new();
        }
        let mut end = 0;
        Meter::new(self).take(raw, &mut |_, at| end = at);
        // After the last payload stand its line end, the line of the chunk of no bytes, the rest.
        let rest = raw.get(end..).unwrap_or_default();
        let text = String::from_utf8_lossy(rest.get(..TRAILER_BYTES_MAX).unwrap_or(rest));
        let lines = text.lines().skip_while(|line| !line.starts_with('0')).skip(1);
        let pairs =
            lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }
}

/// Follows a body and knows when it is over.
#[derive(Clone, Debug)]
pub struct Meter {
    state: State,
    /// Lines end in CRLF and in nothing else.
    strict: bool,
    /// The byte before was a carriage return of the framing.
    returned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Over,
    Broken,
    /// Bytes that are still to come.
    Left(u64),
    Forever,
    /// In the line of a chunk's size: the size so far, and whether its digits are over.
    Size {
        size: u64,
        digits: u8,
        told: bool,
    },
    Chunk(u64),
    /// After a chunk's bytes.
    ChunkEnd,
    /// In the trailer: bytes of the line so far, carriage returns not counted.
    Trailer(u32),
}

const NEW_CHUNK: State = State::Size { size: 0, digits: 0, told: false };

impl Meter {
    /// Before the first byte of the body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Left(length),
            Framing::Chunked => NEW_CHUNK,
            Framing::Close => State::Forever,
        };
        Self { state, strict: false, returned: false }
    }

    /// As [`Meter::new`], for bytes of somebody who may want two readers to disagree about where
    /// they end: a line feed or a carriage return that stands alone breaks the framing.
    #[must_use]
    pub fn strict(framing: Framing) -> Self {
        Self { strict: true, ..Self::new(framing) }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether only the end of the connection ends it.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.state == State::Forever
    }

    /// Whether its framing was broken; where it ends nobody knows then.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Takes the bytes that belong to the body and gives how many these are. `each` gets every
    /// piece of payload, and the place in `bytes` where it ended.
    pub fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8], usize)) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Over => break,
                State::Forever | State::Broken => {
                    each(rest, bytes.len());
                    return bytes.len();
                }
                State::Left(left) => {
                    let (piece, over) = piece(rest, left);
                    at = at.saturating_add(piece.len());
                    each(piece, at);
                    let rest = left.saturating_sub(piece.len() as u64);
                    self.state = if over { State::Over } else { State::Left(rest) };
                }
                State::Chunk(left) => {
                    let (piece, over) = piece(rest, left);
                    at = at.saturating_add(piece.len());
                    each(piece, at);
                    let rest = left.saturating_sub(piece.len() as u64);
                    self.state = if over { State::ChunkEnd } else { State::Chunk(rest) };
                }
                State::Size { .. } | State::ChunkEnd | State::Trailer(_) => {
                    let Some(byte) = rest.first() else { break };
                    let is_pair = self.returned == (*byte == b'\n');
                    self.returned = *byte == b'\r';
                    self.state = match self.state {
                        _ if self.strict && !is_pair => State::Broken,
                        state => step(state, *byte),
                    };
                    at = at.saturating_add(1);
                }
            }
        }
        at
    }
}

/// A body on its way, cut out of what comes without copying it.
#[derive(Debug)]
pub struct Pieces {
    meter: Meter,
    /// Payload that was found and not asked for yet.
    ready: VecDeque<Bytes>,
    /// Where payload stands in what is looked at; kept for its room.
    found: Vec<Range<usize>>,
    /// Bytes that were no payload, since the last that were.
    bare: usize,
}

/// One step through a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These bytes belong to it.
    Data(Bytes),
    /// It is complete.
    End,
    /// More has to come first.
    More,
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misframed {
    /// A chunk does not begin or end as it should.
    Chunk,
    /// A line between two chunks, or the trailers, have no end.
    Endless,
}

impl Pieces {
    /// Before the first byte of the body that `meter` follows.
    #[must_use]
    pub fn new(meter: Meter) -> Self {
        Self { meter, ready: VecDeque::new(), found: Vec::new(), bare: 0 }
    }

    /// Whether it is complete and was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.meter.is_over() && self.ready.is_empty()
    }

    /// Whether the end of the connection is its end.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.meter.is_endless()
    }

    /// Takes what belongs to the body from the front of what came.
    ///
    /// # Errors
    /// When the bytes are not framed as a body is.
    pub fn next(&mut self, came: &mut BytesMut) -> Result<Next, Misframed> {
        if self.ready.is_empty() && !came.is_empty() {
            self.look(came)?;
        }
        Ok(match self.ready.pop_front() {
            Some(bytes) => Next::Data(bytes),
            None if self.meter.is_over() => Next::End,
            None => Next::More,
        })
    }

    fn look(&mut self, came: &mut BytesMut) -> Result<(), Misframed> {
        let found = &mut self.found;
        found.clear();
        let taken = self.meter.take(came, &mut |piece, end| {
            found.push(end.saturating_sub(piece.len())..end);
        });
        if self.meter.is_broken() {
            return Err(Misframed::Chunk);
        }
        self.bare = match self.found.last() {
            Some(last) => taken.saturating_sub(last.end),
            None => self.bare.saturating_add(taken),
        };
        if self.bare > BARE_BYTES_MAX {
            return Err(Misframed::Endless);
        }
        let bytes = came.split_to(taken).freeze();
        self.ready.extend(self.found.drain(..).map(|place| bytes.slice(place)));
        Ok(())
    }
}

fn piece(bytes: &[u8], left: u64) -> (&[u8], bool) {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let piece = bytes.get(..length).unwrap_or_default();
    (piece, length as u64 == left)
}

/// One byte of the framing itself.
fn step(state: State, byte: u8) -> State {
    match (state, byte) {
        (State::Size { size, digits, .. }, b'\n') if digits > 0 => {
            if size == 0 {
                State::Trailer(0)
            } else {
                State::Chunk(size)
            }
        }
        (State::Size { size, digits, told }, b'\r') => State::Size { size, digits, told },
        (State::Size { size, digits, told: false }, byte) if byte.is_ascii_hexdigit() => {
            let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
            // More than 15 digits are a size that nobody can mean.
            if digits >= 15 {
                return State::Broken;
            }
            State::Size {
                size: size.saturating_mul(16).saturating_add(digit),
                digits: digits.saturating_add(1),
                told: false,
            }
        }
        (State::Size { size, digits, .. }, b';' | b' ' | b'\t') if digits > 0 => {
            State::Size { size, digits, told: true }
        }
        (State::Size { size, digits, told: true }, _) => State::Size { size, digits, told: true },
        (State::ChunkEnd, b'\r') => State::ChunkEnd,
        (State::ChunkEnd, b'\n') => NEW_CHUNK,
        (State::Trailer(0), b'\n') => State::Over,
        (State::Trailer(_), b'\n') => State::Trailer(0),
        (State::Trailer(length), b'\r') => State::Trailer(length),
        (State::Trailer(length), _) => State::Trailer(length.saturating_add(1)),
        _ => State::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Meter};

    #[test]
    fn chunks_are_followed_however_they_are_cut() {
        let raw = b"5;x=y\r\nhello\r\n1\r\n \r\nB\r\nbig world!!\r\n0\r\nTrailer: x\r\n\r\nNEXT";
        for cut in 1..raw.len() {
            let mut meter = Meter::new(Framing::Chunked);
            let (mut payload, mut taken) = (Vec::new(), 0);
            for piece in raw.chunks(cut) {
                taken += meter.take(piece, &mut |piece, _| payload.extend_from_slice(piece));
            }
            assert!(meter.is_over());
            assert_eq!(payload, b"hello big world!!");
            assert_eq!(&raw[taken..], b"NEXT");
        }
    }

    #[test]
    fn trailers_are_what_stands_behind_the_last_chunk() {
        let raw = b"3\r\na:b\r\n0;x\r\nGrpc-Status: 0\r\nX-Sum:  1\r\n\r\n";
        let expected = [("Grpc-Status".to_owned(), "0".to_owned()), ("X-Sum".into(), "1".into())];
        assert_eq!(Framing::Chunked.trailers(raw), expected);
        assert_eq!(Framing::Chunked.trailers(b"3\r\na:b\r\n0\r\n\r\n"), []);
        assert_eq!(Framing::Chunked.trailers(b"0\r\nA: 1\r\n\r\n").len(), 1);
        assert_eq!(Framing::Length(9).trailers(raw), []);
    }

    #[test]
    fn a_length_takes_no_byte_more() {
        let mut meter = Meter::new(Framing::Length(3));
        assert_eq!(meter.take(b"ab", &mut |_, _| {}), 2);
        assert!(!meter.is_over());
        assert_eq!(meter.take(b"cdef", &mut |_, _| {}), 1);
        assert!(meter.is_over());
    }

    #[test]
    fn a_strict_reader_takes_no_line_end_but_the_one() {
        let take = |raw: &[u8], cut: usize| {
            let mut meter = Meter::strict(Framing::Chunked);
            for piece in raw.chunks(cut) {
                meter.take(piece, &mut |_, _| {});
            }
            (meter.is_over(), meter.is_broken())
        };
        for cut in [1, 2, 3, 100] {
            let good = b"5;x=y\r\nhe\n\ro\r\n0\r\nTrailer: x\r\n\r\n";
            assert_eq!(take(good, cut), (true, false));
            for raw in [
                &b"5\nhello\r\n0\r\n\r\n"[..],
                b"5\r\nhello\n0\r\n\r\n",
                b"5\r\r\nhello\r\n0\r\n\r\n",
                b"5;a\rb\r\nhello\r\n0\r\n\r\n",
                b"5;\nx\r\nhello\r\n0\r\n\r\n",
                b"5\r\nhello\r\n0\n\r\n",
                b"5\r\nhello\r\n0\r\n\n",
                b"5\r\nhello\r\r\n0\r\n\r\n",
            ] {
                let text = String::from_utf8_lossy(raw);
                assert_eq!(take(raw, cut), (false, true), "{text:?} in pieces of {cut}");
            }
        }
    }

    #[test]
    fn broken_chunks_are_known_as_such() {
        for raw in [&b"zz\r\n"[..], b"\r\n", b"ffffffffffffffffff\r\n", b"1\r\nab"] {
            let mut meter = Meter::new(Framing::Chunked);
            meter.take(raw, &mut |_, _| {});
            assert!(meter.is_broken(), "{raw:?}");
        }
    }
}
