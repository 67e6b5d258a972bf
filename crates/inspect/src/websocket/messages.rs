//! The messages of a connection, fragments put together and unpacked.

use std::time::Duration;

use super::frame::{self, Frame};
use super::inflate::Inflate;
use crate::capture::Exchange;

/// The header that says how messages are packed.
pub(crate) const EXTENSIONS: &str = "Sec-WebSocket-Extensions";

/// One message, or a frame that steers the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from_caller: bool,
    /// What it is: [`frame::TEXT`] and the others.
    pub(crate) kind: u8,
    /// What it says; as it went by where it cannot be unpacked.
    pub(crate) payload: Vec<u8>,
    /// It was packed, and cannot be unpacked.
    pub(crate) is_broken: bool,
    /// When its last byte came.
    pub(crate) at: Duration,
}

impl Message {
    /// Whether the program said it, and not the protocol.
    pub(crate) fn is_data(&self) -> bool {
        self.kind < frame::CLOSE
    }
}

/// All messages of both sides, in the order in which they came.
pub(crate) fn messages(exchange: &Exchange) -> Vec<Message> {
    read(exchange).0
}

/// As [`messages`]; and whether they are all that was kept, or something stands beside them: a
/// message that was cut off, or one that began before another had ended.
pub(super) fn read(exchange: &Exchange) -> (Vec<Message>, bool) {
    let (mut all, asked) = one_way(exchange, true);
    let (answered, heard) = one_way(exchange, false);
    all.extend(answered);
    all.sort_by_key(|message| message.at);
    (all, asked && heard)
}

fn one_way(exchange: &Exchange, from_caller: bool) -> (Vec<Message>, bool) {
    let (tape, head) = if from_caller {
        (&exchange.asked, exchange.ask.as_ref())
    } else {
        (&exchange.answered, exchange.answer.as_ref())
    };
    let mut inflate = Inflate::of(exchange.answer.as_ref(), from_caller);
    let mut all = Vec::new();
    let mut begun: Option<Frame> = None;
    let mut taken = head.map_or(0, |head| head.length);
    let mut is_all = true;
    tape.each_whole(taken, frame::whole, |bytes, at| {
        taken += bytes.len();
        let Some(read) = frame::read(bytes) else { return };
        let whole = match (read.kind, begun.take()) {
            (frame::CLOSE.., waits) => {
                begun = waits;
                read
            }
            (frame::MORE, Some(mut before)) => {
                before.payload.extend_from_slice(&read.payload);
                before.is_last = read.is_last;
                before
            }
            (_, lost) => {
                is_all &= lost.is_none();
                read
            }
        };
        if !whole.is_last && whole.kind < frame::CLOSE {
            begun = Some(whole);
            return;
        }
        let unpacked = match &mut inflate {
            Some(inflate) if whole.is_packed => inflate.message(&whole.payload),
            _ => None,
        };
        let is_broken = whole.is_packed && unpacked.is_none();
        let payload = unpacked.unwrap_or(whole.payload);
        all.push(Message { from_caller, kind: whole.kind, payload, is_broken, at });
    });
    is_all &= begun.is_none() && taken >= tape.bytes().len();
    (all, is_all)
}
