//! The frames of one side of a connection, as they come.

/// Limit: bytes of a frame; the standard's own.
const FRAME_BYTES_MAX: usize = 1 << 24;
/// Limit: bytes of the headers of one message, over all their frames.
const BLOCK_BYTES_MAX: usize = 1 << 20;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A frame, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A part of a body, without its padding.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes.
        bytes: Vec<u8>,
        /// The side has said all on this stream.
        ends: bool,
    },
    /// A whole block of headers, its continuations put together.
    Headers {
        /// The stream.
        stream: u32,
        /// The stream that is promised, where the block is a promise.
        promised: Option<u32>,
        /// The block, packed.
        block: Vec<u8>,
        /// The side has said all on this stream.
        ends: bool,
    },
    /// The stream is broken off.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        code: u32,
    },
    /// Settings, or the word that they were taken.
    Settings(Vec<Setting>),
    /// No new streams.
    GoAway {
        /// The last stream that was looked at.
        last: u32,
        /// Why.
        code: u32,
        /// What it says beside.
        text: String,
    },
    /// Anything else: its name, its stream, its bytes.
    Other {
        /// The name of its kind.
        name: &'static str,
        /// The stream; 0 for the connection.
        stream: u32,
        /// How long it is.
        length: usize,
    },
}

/// One setting: its number and its value.
pub type Setting = (u16, u32);

/// Puts frames together.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    /// A block whose continuation is still to come: stream, promise, bytes, whether it ends.
    block: Option<(u32, Option<u32>, Vec<u8>, bool)>,
    is_lost: bool,
}

impl Frames {
    /// Takes a piece and gives the frames that are complete with it.
    pub fn push(&mut self, piece: &[u8], mut each: impl FnMut(Frame)) {
        if self.is_lost {
            return;
        }
        self.held.extend_from_slice(piece);
        let mut from = 0;
        while let Some(rest) = self.held.get(from..) {
            let Some(length) = length(rest) else { break };
            let Some(whole) = rest.get(..length + 9) else { break };
            let (kind, flags) = (whole.get(3).copied(), whole.get(4).copied());
            let stream = number(whole, 5).unwrap_or(0) & 0x7fff_ffff;
            let payload = whole.get(9..).unwrap_or_default();
            let (kind, flags) = (kind.unwrap_or(0), flags.unwrap_or(0));
            match read(&mut self.block, (kind, flags, stream), payload) {
                Ok(Some(frame)) => each(frame),
                Ok(None) => {}
                Err(()) => self.is_lost = true,
            }
            from += length + 9;
        }
        self.held.drain(..from.min(self.held.len()));
        if length(&self.held).is_some_and(|length| length > FRAME_BYTES_MAX) || self.is_lost {
            self.is_lost = true;
            self.held = Vec::new();
        }
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let [a, b, c, ..] = bytes else { return None };
    usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

type Block = Option<(u32, Option<u32>, Vec<u8>, bool)>;

fn read(
    block: &mut Block,
    (kind, flags, stream): (u8, u8, u32),
    payload: &[u8],
) -> Result<Option<Frame>, ()> {
    let ends = flags & END_STREAM != 0;
    Ok(Some(match kind {
        0 => {
            let bytes = unpadded(payload, flags).ok_or(())?.to_vec();
            Frame::Data { stream, bytes, ends }
        }
        1 | 5 => {
            let mut rest = unpadded(payload, flags).ok_or(())?;
            let mut promised = None;
            if kind == 5 {
                promised = Some(number(rest, 0).ok_or(())? & 0x7fff_ffff);
                rest = rest.get(4..).unwrap_or_default();
            } else if flags & PRIORITY != 0 {
                rest = rest.get(5..).ok_or(())?;
            }
            *block = Some((stream, promised, rest.to_vec(), ends && kind == 1));
            return Ok(whole(block, flags));
        }
        9 => {
            let (_, _, bytes, _) = block.as_mut().filter(|(of, ..)| *of == stream).ok_or(())?;
            bytes.extend_from_slice(payload);
            if bytes.len() > BLOCK_BYTES_MAX {
                return Err(());
            }
            return Ok(whole(block, flags));
        }
        3 => Frame::Reset { stream, code: number(payload, 0).ok_or(())? },
        4 if flags & ACK == 0 => {
            let one = |six: &[u8]| {
                let id = u16::from_be_bytes(six.get(..2)?.try_into().ok()?);
                Some((id, number(six, 2)?))
            };
            Frame::Settings(payload.chunks_exact(6).filter_map(one).collect())
        }
        7 => Frame::GoAway {
            last: number(payload, 0).ok_or(())? & 0x7fff_ffff,
            code: number(payload, 4).ok_or(())?,
            text: String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned(),
        },
        _ => {
            let name = match kind {
                2 => "priority",
                4 => "settings taken",
                6 if flags & ACK != 0 => "pong",
                6 => "ping",
                8 => "window_update",
                _ => "unknown",
            };
            Frame::Other { name, stream, length: payload.len() }
        }
    }))
}

fn whole(block: &mut Block, flags: u8) -> Option<Frame> {
    if flags & END_HEADERS == 0 {
        return None;
    }
    let (stream, promised, block, ends) = block.take()?;
    Some(Frame::Headers { stream, promised, block, ends })
}

fn unpadded(payload: &[u8], flags: u8) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let (length, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*length))?)
}

/// The bytes of one side with what may hold secrets written over by zeros: packed headers, and data
/// in which `is_secret` sees one. Frames stay where they are.
pub(crate) fn blanked(bytes: &[u8], skip: usize, is_secret: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = skip;
    while let Some(head) = out.get(at..at.saturating_add(9)) {
        let length = length(head).unwrap_or(0);
        let kind = head.get(3).copied().unwrap_or(0);
        let (from, to) = (at + 9, (at + 9 + length).min(out.len()));
        if let Some(payload) = out.get_mut(from..to)
            && (matches!(kind, 1 | 5 | 9) || (kind == 0 && is_secret(payload)))
        {
            payload.fill(0);
        }
        at = at.saturating_add(9 + length);
    }
    out
}

/// The name of a code of an error.
pub(crate) fn reason(code: u32) -> &'static str {
    const NAMES: &[&str] = &[
        "no error",
        "protocol error",
        "internal error",
        "flow control error",
        "settings timeout",
        "stream closed",
        "frame size error",
        "refused stream",
        "cancel",
        "compression error",
        "connect error",
        "enhance your calm",
        "inadequate security",
        "HTTP/1.1 required",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).copied().unwrap_or("unknown error")
}

#[cfg(test)]
mod tests {
    use super::{Frame, Frames};

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let bytes = [
            frame(4, 0, 0, b"\0\x03\0\0\0\x64"),
            frame(1, 0x28, 1, b"\x02\0\0\0\0\x10abc\0\0"),
            frame(9, 0x4, 1, b"def"),
            frame(0, 0x9, 1, b"\x01body\0"),
            frame(7, 0, 0, b"\0\0\0\x01\0\0\0\x0bslow"),
            frame(6, 1, 0, b"12345678"),
        ]
        .concat();
        for cut in 1..bytes.len() {
            let (mut frames, mut all) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                frames.push(piece, |frame| all.push(frame));
            }
            let block = b"abcdef".to_vec();
            assert_eq!(
                all,
                [
                    Frame::Settings(vec![(3, 100)]),
                    Frame::Headers { stream: 1, promised: None, block, ends: false },
                    Frame::Data { stream: 1, bytes: b"body".to_vec(), ends: true },
                    Frame::GoAway { last: 1, code: 11, text: "slow".to_owned() },
                    Frame::Other { name: "pong", stream: 0, length: 8 },
                ]
            );
        }
    }

    #[test]
    fn headers_and_secrets_are_written_over() {
        let bytes = [frame(1, 4, 1, b"abc"), frame(0, 0, 1, b"open"), frame(0, 1, 1, b"key")];
        let blank = super::blanked(&bytes.concat(), 0, |data| data == b"key");
        let zeros = [frame(1, 4, 1, b"\0\0\0"), frame(0, 0, 1, b"open"), frame(0, 1, 1, b"\0\0\0")];
        assert_eq!(blank, zeros.concat());
        assert_eq!(super::blanked(b"\0\0\x09\x01", 0, |_| true), b"\0\0\x09\x01");
    }

    #[test]
    fn what_is_no_frame_is_not_read_on() {
        let mut frames = Frames::default();
        frames.push(&frame(0, 0x8, 1, b"\x09ab"), |frame| panic!("{frame:?}"));
        frames.push(&frame(6, 1, 0, b"12345678"), |frame| panic!("{frame:?}"));
    }
}
