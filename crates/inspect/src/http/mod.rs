//! HTTP/1 as it stands on the wire: heads that keep their bytes, bodies that know where they end.

mod framing;
mod head;
mod unpack;

pub use framing::{Framing, Meter};
pub use head::{Broken, Head, Side, Version, find_end};
pub use unpack::{UNPACKED_BYTES_MAX, Unpacker};

/// Limit: bytes of a head.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;
