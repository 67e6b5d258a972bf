//! HTTP/2 as it stands on the wire (RFC 9113): frames, packed headers, streams told apart.

mod frame;
mod hpack;
mod huffman;
mod streams;

pub use frame::{Frame, Frames, Setting};
pub(crate) use frame::{blanked, reason};
pub use hpack::Hpack;
pub(crate) use streams::Streams;

/// What every connection of HTTP/2 begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
