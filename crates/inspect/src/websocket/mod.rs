//! WebSocket (RFC 6455): its frames, and the messages that they make.

mod frame;
mod hide;
mod inflate;
mod messages;

pub(crate) use frame::{BINARY, CLOSE, PING, PONG, TEXT, read, whole, write};
pub(crate) use hide::hidden;
pub(crate) use messages::{EXTENSIONS, Message, messages};
