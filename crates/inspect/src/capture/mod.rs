//! What is remembered of the traffic.

mod book;
mod exchange;
mod tape;

pub use book::{Book, Entry, News, Room, Way};
pub(crate) use exchange::unpacked;
pub use exchange::{Ending, Exchange, Kind, Times};
pub use tape::{Arrival, Tape};
