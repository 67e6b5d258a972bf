//! HTTP/1 as it stands on the wire: heads that keep their bytes, bodies that know where they end.

mod head;
mod unpack;

pub use head::{Broken, Head, Side, Version, find_end};
pub use unpack::{UNPACKED_BYTES_MAX, Unpacker};
pub use wire::frame::body::{Framing, Meter};

/// Limit: bytes of a head.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;
