//! AWS's event stream: binary frames of headers and a payload, read from bytes cut anywhere, and
//! written.
//!
//! A frame is its length, the length of its headers, the checksum of both, the headers, the
//! payload and the checksum of all before; numbers have four bytes, highest first.

mod crc;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use crc::crc32;

/// Bytes of the two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// Bytes of a frame around its headers and payload.
const FRAME_BYTES: usize = 16;

/// Limit: bytes of the headers of one frame, as the format has it.
pub const HEADERS_BYTES_MAX: usize = 128 << 10;

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The headers that are texts, such as `:event-type`; others are read and left out.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
}

impl Frame {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The stream is none of this format, or broke a limit; nothing more is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// One frame is larger than the limit.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A checksum is not that of the bytes.
    Checksum,
    /// The lengths or the headers contradict each other.
    Malformed,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "a frame is larger than `{limit}` bytes"),
            Self::Checksum => f.write_str("the checksum of a frame is wrong"),
            Self::Malformed => f.write_str("a frame cannot be read"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads frames, however the bytes are cut.
///
/// The lengths are trusted only after their checksum, so damaged bytes make no memory grow.
///
/// ```
/// use wire::frame::eventstream::{Decoder, encode};
/// let bytes = encode(&[(":event-type", "messageStart")], br#"{"role":"assistant"}"#);
/// let (mut decoder, mut out) = (Decoder::new(1024), Vec::new());
/// decoder.push(&bytes[..5], &mut out).unwrap();
/// decoder.push(&bytes[5..], &mut out).unwrap();
/// assert_eq!(out[0].header(":event-type"), Some("messageStart"));
/// ```
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    held: Vec<u8>,
    /// The length of the frame that is being read, once its prelude was checked.
    wanted: Option<usize>,
    failed: Option<FrameError>,
}

impl Decoder {
    /// Makes a decoder of frames of at most `frame_bytes_max` bytes.
    #[must_use]
    pub fn new(frame_bytes_max: usize) -> Self {
        Self { limit: frame_bytes_max, held: Vec::new(), wanted: None, failed: None }
    }

    /// Takes the next bytes and appends the frames they complete to `out`.
    ///
    /// # Errors
    /// What is wrong with a frame; those before it are in `out`, and every later call gives the
    /// same error.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let goal = self.wanted.unwrap_or(PRELUDE_BYTES);
            let room = goal.saturating_sub(self.held.len());
            let (part, after) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.held.extend_from_slice(part);
            rest = after;
            if self.held.len() < goal {
                break;
            }
            if let Err(error) = self.step(out) {
                self.failed = Some(error);
                self.held = Vec::new();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether a frame has begun that is not complete.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.held.is_empty()
    }

    /// The prelude or the frame is complete.
    fn step(&mut self, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        if self.wanted.is_none() {
            self.wanted = Some(self.prelude()?);
            return Ok(());
        }
        out.push(self.frame()?);
        self.wanted = None;
        self.held.clear();
        Ok(())
    }

    /// Checks the prelude; gives the length of the frame.
    fn prelude(&self) -> Result<usize, FrameError> {
        let total = number(&self.held, 0)?;
        let headers = number(&self.held, 4)?;
        let sum = number(&self.held, 8)?;
        let lengths = self.held.get(..8).ok_or(FrameError::Malformed)?;
        if crc32(lengths) != sum {
            return Err(FrameError::Checksum);
        }
        let total = usize::try_from(total).map_err(|_cause| FrameError::Malformed)?;
        let headers = usize::try_from(headers).map_err(|_cause| FrameError::Malformed)?;
        if total > self.limit {
            return Err(FrameError::TooLong { limit: self.limit });
        }
        if headers > HEADERS_BYTES_MAX {
            return Err(FrameError::TooLong { limit: HEADERS_BYTES_MAX });
        }
        if headers.saturating_add(FRAME_BYTES) > total {
            return Err(FrameError::Malformed);
        }
        Ok(total)
    }

    /// Reads the complete frame.
    fn frame(&self) -> Result<Frame, FrameError> {
        let malformed = || FrameError::Malformed;
        let end = self.held.len().saturating_sub(4);
        let (body, _) = self.held.split_at_checked(end).ok_or_else(malformed)?;
        if crc32(body) != number(&self.held, end)? {
            return Err(FrameError::Checksum);
        }
        let length = usize::try_from(number(&self.held, 4)?).map_err(|_cause| malformed())?;
        let rest = body.get(PRELUDE_BYTES..).ok_or_else(malformed)?;
        let (headers, payload) = rest.split_at_checked(length).ok_or_else(malformed)?;
        Ok(Frame { headers: read_headers(headers)?, payload: Bytes::copy_from_slice(payload) })
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u32, FrameError> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    four.map(|four| u32::from_be_bytes(*four)).ok_or(FrameError::Malformed)
}

/// Reads headers: the name with its length, the type, the value.
fn read_headers(mut rest: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
    let mut headers = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (name, after) = take(after, usize::from(*length))?;
        let (kind, after) = after.split_first().ok_or(FrameError::Malformed)?;
        let (value, after) = match kind {
            // True and false are their own type.
            0 | 1 => take(after, 0)?,
            2 => take(after, 1)?,
            3 => take(after, 2)?,
            4 => take(after, 4)?,
            // Whole numbers and points in time.
            5 | 8 => take(after, 8)?,
            6 | 7 => {
                let (length, after) = take(after, 2)?;
                let length = length.first_chunk::<2>().map(|two| u16::from_be_bytes(*two));
                take(after, usize::from(length.unwrap_or_default()))?
            }
            9 => take(after, 16)?,
            _ => return Err(FrameError::Malformed),
        };
        if *kind == 7 {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            headers.push((text(name), text(value)));
        }
        rest = after;
    }
    Ok(headers)
}

fn take(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), FrameError> {
    bytes.split_at_checked(length).ok_or(FrameError::Malformed)
}

/// Writes one frame. Of a name beyond 255 bytes, or a value beyond 65,535, the rest is left out.
#[must_use]
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut written: Vec<u8> = Vec::new();
    for (name, value) in headers {
        let name = name.as_bytes().get(..255).unwrap_or(name.as_bytes());
        let value = value.as_bytes().get(..65_535).unwrap_or(value.as_bytes());
        written.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        written.extend_from_slice(name);
        written.push(7);
        written.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        written.extend_from_slice(value);
    }
    let total = written.len().saturating_add(payload.len()).saturating_add(FRAME_BYTES);
    let four = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::with_capacity(total);
    out.extend(four(total));
    out.extend(four(written.len()));
    let sum = crc32(&out);
    out.extend(sum.to_be_bytes());
    out.extend(written);
    out.extend_from_slice(payload);
    let sum = crc32(&out);
    out.extend(sum.to_be_bytes());
    Bytes::from(out)
}
