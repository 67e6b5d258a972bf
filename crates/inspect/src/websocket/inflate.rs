//! Messages that were packed for the way (RFC 7692, `permessage-deflate`).

use flate2::{Decompress, FlushDecompress, Status};

use super::messages::EXTENSIONS;
use crate::http::Head;

/// Limit: bytes of one message once it is unpacked.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Limit: bytes of all messages of one way: a thousand times as much may have been packed into what
/// is kept of a connection.
const ALL_BYTES_MAX: usize = 64 << 20;
/// Room for what is unpacked at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// What every message ends with, and what is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Unpacks the messages of one way, one after the other.
#[derive(Debug)]
pub(super) struct Inflate {
    state: Decompress,
    /// Each message stands for itself.
    is_fresh: bool,
    is_broken: bool,
    /// So many bytes may still be unpacked.
    left: usize,
}

impl Inflate {
    /// As the server's answer says; nothing where it says that nothing is packed.
    pub(super) fn of(answer: Option<&Head>, from_caller: bool) -> Option<Self> {
        let said = answer?.header(EXTENSIONS)?;
        let mut words = said.split(',').find_map(|one| {
            let mut words = one.split(';').map(|word| word.trim().to_ascii_lowercase());
            (words.next()? == "permessage-deflate").then_some(words)
        })?;
        let fresh =
            if from_caller { "client_no_context_takeover" } else { "server_no_context_takeover" };
        let is_fresh = words.any(|word| word == fresh);
        let state = Decompress::new(false);
        Some(Self { state, is_fresh, is_broken: false, left: ALL_BYTES_MAX })
    }

    /// The message as it was; nothing when it is broken, or longer than anybody reads. Those
    /// after it are lost then too, as they refer to it.
    pub(super) fn message(&mut self, packed: &[u8]) -> Option<Vec<u8>> {
        if self.is_fresh {
            self.state.reset(false);
            self.is_broken = false;
        }
        if self.is_broken {
            return None;
        }
        let unpacked = self.unpack(&[packed, &TAIL].concat());
        self.is_broken = unpacked.is_none();
        let length = unpacked.as_ref().map_or(MESSAGE_BYTES_MAX, Vec::len);
        self.left = self.left.saturating_sub(length);
        unpacked
    }

    fn unpack(&mut self, packed: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut from) = (Vec::new(), 0);
        loop {
            out.reserve(BUFFER_BYTES);
            let (read, before) = (self.state.total_in(), out.len());
            let rest = packed.get(from..)?;
            let status = self.state.decompress_vec(rest, &mut out, FlushDecompress::Sync).ok()?;
            let taken = usize::try_from(self.state.total_in() - read).ok()?;
            from += taken;
            if status == Status::StreamEnd {
                self.state.reset(false);
                return Some(out);
            }
            if out.len() > MESSAGE_BYTES_MAX.min(self.left) {
                return None;
            }
            let is_full = out.len() == out.capacity();
            if from >= packed.len() && !is_full {
                return Some(out);
            }
            if taken == 0 && out.len() == before {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::Inflate;
    use crate::http::{Head, Side};

    fn inflate(extensions: &str) -> Option<Inflate> {
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"
        );
        let head = Head::read(text.as_bytes(), Side::Answer).unwrap().unwrap();
        Inflate::of(Some(&head), false)
    }

    fn pack(state: &mut Compress, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 100);
        state.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - super::TAIL.len());
        out
    }

    #[test]
    fn messages_refer_to_those_before_them_or_not() {
        let long = "all the same ".repeat(20_000);
        for (extensions, is_fresh) in [
            ("permessage-deflate", false),
            ("x, permessage-deflate; server_no_context_takeover; server_max_window_bits=15", true),
        ] {
            let mut inflate = inflate(extensions).unwrap();
            let mut state = Compress::new(Compression::fast(), false);
            for text in ["hello", long.as_str(), "", "hello"] {
                if is_fresh {
                    state.reset();
                }
                let packed = pack(&mut state, text);
                assert_eq!(inflate.message(&packed).as_deref(), Some(text.as_bytes()));
            }
        }
        assert!(inflate("permessage-bzip2").is_none());
    }

    #[test]
    fn broken_and_endless_messages_are_given_up() {
        let mut one = inflate("permessage-deflate").unwrap();
        assert_eq!(one.message(&[0xff, 0xff, 0xff]), None);
        let mut state = Compress::new(Compression::fast(), false);
        assert_eq!(one.message(&pack(&mut state, "hello")), None);
        let mut one = inflate("permessage-deflate").unwrap();
        let mut state = Compress::new(Compression::best(), false);
        assert_eq!(one.message(&pack(&mut state, &"0".repeat(17 << 20))), None);
        // As many as one likes, each of them short enough.
        let mut many = inflate("permessage-deflate; server_no_context_takeover").unwrap();
        let packed = pack(&mut Compress::new(Compression::fast(), false), &"0".repeat(8 << 20));
        let read: usize = (0..30).filter_map(|_| many.message(&packed)).map(|one| one.len()).sum();
        assert_eq!(read, super::ALL_BYTES_MAX);
    }
}
