//! Where the body of a response ends (RFC 9112, section 6).

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

use super::Broken;

/// Limit: bytes of a chunk's first line, its extensions among them.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// Limit: bytes of all trailers.
const TRAILER_BYTES_MAX: usize = 64 * 1024;
/// What is still to come when an answer counts as long.
const LONG_BYTES: u64 = 64 * 1024;

/// What of a body is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Pieces that say how long they are.
    Chunked(Piece),
    /// Everything until the connection ends.
    UntilClosed,
    /// Nothing.
    Done,
}

/// Where in a chunked body we are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Before the line with a piece's length.
    Size,
    /// So many bytes of it are still to come.
    Data(u64),
    /// Before the line end after a piece.
    End,
    /// Among the trailers, of which so many bytes have come.
    Trailers(usize),
}

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Bytes of the body.
    Data(Bytes),
    /// The body is complete.
    End,
    /// More has to come first.
    More,
}

impl Framing {
    /// Reads it from a response's head.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Result<Self, Broken> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self::Done);
        }
        if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            // What else may be named before it was not asked for.
            let text = last.to_str().unwrap_or_default();
            let is_last = text.rsplit(',').next().unwrap_or_default().trim();
            return Ok(if is_last.eq_ignore_ascii_case("chunked") {
                Self::Chunked(Piece::Size)
            } else {
                Self::UntilClosed
            });
        }
        let mut length = None;
        for value in headers.get_all(CONTENT_LENGTH) {
            // A list of equal numbers is one number; different ones are an attack.
            for one in value.to_str().unwrap_or("?").split(',') {
                let one = one.trim();
                let is_number = !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit());
                let number = one.parse::<u64>().ok().filter(|_| is_number);
                let number = number.ok_or(Broken::Http("the content length is no number"))?;
                if length.is_some_and(|other| other != number) {
                    return Err(Broken::Http("the response has two content lengths"));
                }
                length = Some(number);
            }
        }
        Ok(match length {
            Some(0) => Self::Done,
            Some(length) => Self::Length(length),
            None => Self::UntilClosed,
        })
    }

    /// Whether a lot is still to come, as far as is known.
    pub(super) fn is_long(&self) -> bool {
        match self {
            Self::Length(left) | Self::Chunked(Piece::Data(left)) => *left > LONG_BYTES,
            _ => false,
        }
    }

    /// Takes what it can from the front of what came.
    pub(super) fn next(&mut self, came: &mut BytesMut) -> Result<Next, Broken> {
        loop {
            match self {
                Self::Done => return Ok(Next::End),
                _ if came.is_empty() => return Ok(Next::More),
                Self::UntilClosed => return Ok(Next::Data(came.split().freeze())),
                Self::Length(left) => {
                    let bytes = take(came, left);
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Next::Data(bytes));
                }
                Self::Chunked(Piece::Data(left)) => {
                    let bytes = take(came, left);
                    if *left == 0 {
                        *self = Self::Chunked(Piece::End);
                        // The end is often here already, and then nobody has to wait for it.
                        self.skip(came)?;
                    }
                    return Ok(Next::Data(bytes));
                }
                Self::Chunked(_) => {
                    if !self.skip(came)? {
                        return Ok(Next::More);
                    }
                }
            }
        }
    }

    /// Reads on to the next data or the end; false when more has to come first.
    fn skip(&mut self, came: &mut BytesMut) -> Result<bool, Broken> {
        loop {
            let Self::Chunked(piece) = self else { return Ok(true) };
            let Piece::Data(_) = piece else {
                let Some(line) = line(came)? else { return Ok(false) };
                *self = match piece {
                    Piece::Size => match size(&line)? {
                        0 => Self::Chunked(Piece::Trailers(0)),
                        size => Self::Chunked(Piece::Data(size)),
                    },
                    Piece::End if line.is_empty() => Self::Chunked(Piece::Size),
                    Piece::End | Piece::Data(_) => {
                        return Err(Broken::Http("a chunk is longer than it says"));
                    }
                    Piece::Trailers(_) if line.is_empty() => Self::Done,
                    Piece::Trailers(so_far) if *so_far > TRAILER_BYTES_MAX => {
                        return Err(Broken::Http("the trailers have no end"));
                    }
                    Piece::Trailers(so_far) => {
                        Self::Chunked(Piece::Trailers(so_far.saturating_add(line.len() + 1)))
                    }
                };
                continue;
            };
            return Ok(true);
        }
    }
}

/// As much as has come of the bytes that are left.
fn take(came: &mut BytesMut, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
    *left = left.saturating_sub(count as u64);
    came.split_to(count).freeze()
}

/// The line at the front, without its end.
fn line(came: &mut BytesMut) -> Result<Option<BytesMut>, Broken> {
    let Some(end) = came.iter().position(|b| *b == b'\n') else {
        if came.len() > LINE_BYTES_MAX {
            return Err(Broken::Http("a line between two chunks has no end"));
        }
        return Ok(None);
    };
    let mut line = came.split_to(end);
    came.advance(1);
    if line.last() == Some(&b'\r') {
        line.truncate(line.len().saturating_sub(1));
    }
    Ok(Some(line))
}

/// The length of a chunk; extensions after it say nothing we need.
fn size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let is_hex = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_hex);
    let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or(Broken::Http("a chunk's length is no number"))
}
