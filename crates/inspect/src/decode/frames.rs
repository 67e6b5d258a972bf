//! Frames of WebSocket (RFC 6455) and HTTP/2 (RFC 9113).

use std::time::Duration;

use super::events::{Item, ms, pieces};
use crate::capture::{Exchange, Tape};

/// Limit: bytes of a frame that are shown.
const SHOWN_MAX: usize = 1 << 20;

/// The messages of a WebSocket, fragments put together.
pub(super) fn websocket(exchange: &Exchange) -> Vec<Item> {
    let heads = [
        (&exchange.asked, exchange.ask.as_ref(), true),
        (&exchange.answered, exchange.answer.as_ref(), false),
    ];
    let mut items = Vec::new();
    for (tape, head, from_caller) in heads {
        let mut message: Option<(u8, Vec<u8>)> = None;
        let skip = head.map_or(0, |head| head.length);
        each_whole(tape, skip, ws_length, |frame, at| {
            let Some((first, payload)) = ws_payload(frame) else { return };
            let (last, kind) = (first & 0x80 != 0, first & 0x0f);
            let whole = match kind {
                0..=2 => {
                    let (_, held) = message.get_or_insert((kind, Vec::new()));
                    held.extend_from_slice(&payload);
                    if last { message.take() } else { None }
                }
                _ => Some((kind, payload)),
            };
            if let Some((kind, payload)) = whole {
                items.push(ws_item(kind, &payload, from_caller, at));
            }
        });
    }
    items
}

fn ws_item(kind: u8, payload: &[u8], from_caller: bool, at: Duration) -> Item {
    let name = match kind {
        1 => "text",
        2 => "binary",
        8 => "close",
        9 => "ping",
        10 => "pong",
        _ => "unknown",
    };
    let text = match (kind, payload) {
        (8, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("{code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        (2, payload) => format!("{} bytes", payload.len()),
        (_, payload) => {
            String::from_utf8_lossy(payload.get(..SHOWN_MAX).unwrap_or(payload)).into_owned()
        }
    };
    Item { from_caller, at_ms: ms(at), name: Some(name.to_owned()), text }
}

/// How long the frame is that begins here; nothing when its head is not complete.
fn ws_length(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 != 0 { 4 } else { 0 };
    let (head, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(array(bytes, 2)?))),
        127 => (10, u64::from_be_bytes(array(bytes, 2)?)),
        short => (2, u64::from(short)),
    };
    usize::try_from(length).ok()?.checked_add(head + mask)
}

fn ws_payload(frame: &[u8]) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (*frame.first()?, *frame.get(1)?);
    let head = match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    if second & 0x80 == 0 {
        return Some((first, frame.get(head..)?.to_vec()));
    }
    let mask: [u8; 4] = array(frame, head)?;
    let masked = frame.get(head + 4..)?;
    Some((first, masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
}

fn array<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..from.checked_add(N)?)?.try_into().ok()
}

/// Calls `each` with every whole frame and the time its last byte came.
fn each_whole(
    tape: &Tape,
    skip: usize,
    length: impl Fn(&[u8]) -> Option<usize>,
    mut each: impl FnMut(&[u8], Duration),
) {
    let mut held = Vec::new();
    pieces(tape, skip, |piece, at| {
        held.extend_from_slice(piece);
        let mut from = 0;
        while let Some(rest) = held.get(from..).filter(|rest| !rest.is_empty()) {
            let Some(end) = length(rest).filter(|end| *end > 0) else { break };
            let Some(frame) = rest.get(..end) else { break };
            each(frame, at);
            from += end;
        }
        held.drain(..from.min(held.len()));
    });
}

/// The frames of an HTTP/2 connection: their kinds, streams and sizes, and data that is text.
pub(super) fn http2(exchange: &Exchange) -> Vec<Item> {
    const PREFACE: usize = 24;
    let mut items = Vec::new();
    for (tape, skip, from_caller) in
        [(&exchange.asked, PREFACE, true), (&exchange.answered, 0, false)]
    {
        each_whole(tape, skip, h2_length, |frame, at| {
            if let Some(item) = h2_item(frame, from_caller, at) {
                items.push(item);
            }
        });
    }
    items
}

fn h2_length(bytes: &[u8]) -> Option<usize> {
    let length: [u8; 3] = array(bytes, 0)?;
    let [a, b, c] = length;
    usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?.checked_add(9)
}

fn h2_item(frame: &[u8], from_caller: bool, at: Duration) -> Option<Item> {
    const KINDS: &[&str] = &[
        "data",
        "headers",
        "priority",
        "rst_stream",
        "settings",
        "push_promise",
        "ping",
        "goaway",
        "window_update",
        "continuation",
    ];
    let kind = *frame.get(3)?;
    let stream = u32::from_be_bytes(array(frame, 5)?) & 0x7fff_ffff;
    let name = KINDS.get(usize::from(kind)).copied().unwrap_or("unknown");
    let payload = frame.get(9..)?;
    let text = match std::str::from_utf8(payload) {
        Ok(text) if kind == 0 => format!("stream {stream}: {text}"),
        _ => format!("stream {stream}: {} bytes", payload.len()),
    };
    Some(Item { from_caller, at_ms: ms(at), name: Some(name.to_owned()), text })
}
