//! Where the body of a response ends, as its head says (RFC 9112, section 6).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use wire::frame::body::{Framing, Meter};

use super::Broken;

/// Limit: bytes between two pieces of a body: lengths, their extensions, trailers.
const BARE_BYTES_MAX: usize = 64 * 1024;

/// Reads the framing from a response's head.
pub(super) fn framing(status: StatusCode, headers: &HeaderMap) -> Result<Framing, Broken> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Empty);
    }
    if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        // What else may be named before it was not asked for.
        let text = last.to_str().unwrap_or_default();
        let is_last = text.rsplit(',').next().unwrap_or_default().trim();
        let is_chunked = is_last.eq_ignore_ascii_case("chunked");
        return Ok(if is_chunked { Framing::Chunked } else { Framing::Close });
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
    Ok(length.map_or(Framing::Close, Framing::Length))
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Body {
    meter: Meter,
    /// Payload that was found and not asked for yet.
    ready: VecDeque<Bytes>,
    /// Where payload stands in what is looked at; kept for its room.
    found: Vec<Range<usize>>,
    /// Bytes that were no payload, since the last that were.
    bare: usize,
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

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        let (ready, found) = (VecDeque::new(), Vec::new());
        Self { meter: Meter::new(framing), ready, found, bare: 0 }
    }

    /// Whether it is complete and was taken.
    pub(super) fn is_over(&self) -> bool {
        self.meter.is_over() && self.ready.is_empty()
    }

    /// Whether the end of the connection is its end.
    pub(super) fn is_endless(&self) -> bool {
        self.meter.is_endless()
    }

    /// Takes what belongs to the body from the front of what came.
    pub(super) fn next(&mut self, came: &mut BytesMut) -> Result<Next, Broken> {
        if self.ready.is_empty() && !came.is_empty() {
            self.look(came)?;
        }
        Ok(match self.ready.pop_front() {
            Some(bytes) => Next::Data(bytes),
            None if self.meter.is_over() => Next::End,
            None => Next::More,
        })
    }

    fn look(&mut self, came: &mut BytesMut) -> Result<(), Broken> {
        let found = &mut self.found;
        found.clear();
        let taken = self.meter.take(came, &mut |piece, end| {
            found.push(end.saturating_sub(piece.len())..end);
        });
        if self.meter.is_broken() {
            return Err(Broken::Http("a chunk of the response is not framed as it says"));
        }
        self.bare = match self.found.last() {
            Some(last) => taken.saturating_sub(last.end),
            None => self.bare.saturating_add(taken),
        };
        if self.bare > BARE_BYTES_MAX {
            return Err(Broken::Http("a line between two chunks, or the trailers, have no end"));
        }
        let bytes = came.split_to(taken).freeze();
        self.ready.extend(self.found.drain(..).map(|place| bytes.slice(place)));
        Ok(())
    }
}
