//! Frames of WebSocket (RFC 6455) and HTTP/2 (RFC 9113).

use std::time::Duration;

use super::events::{Item, ms, pieces};
use crate::capture::{Exchange, Tape};
use crate::http2::{Frame, Frames, Hpack, PREFACE, reason};

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

/// The frames of an HTTP/2 connection, with their headers unpacked.
pub(super) fn http2(exchange: &Exchange) -> Vec<Item> {
    let mut items = Vec::new();
    for (tape, from_caller) in [(&exchange.asked, true), (&exchange.answered, false)] {
        let (mut frames, mut hpack) = (Frames::default(), Hpack::default());
        let skip = if from_caller { PREFACE.len() } else { 0 };
        pieces(tape, skip, |piece, at| {
            frames.push(piece, |frame| {
                let (name, text) = told(frame, &mut hpack);
                let name = Some(name.to_owned());
                items.push(Item { from_caller, at_ms: ms(at), name, text });
            });
        });
    }
    items
}

fn told(frame: Frame, hpack: &mut Hpack) -> (&'static str, String) {
    match frame {
        Frame::Data { stream, bytes, ends } => {
            let end = if ends { ", the end" } else { "" };
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) => format!("stream {stream}{end}: {text}"),
                Err(_) => format!("stream {stream}{end}: {} bytes", bytes.len()),
            };
            ("data", text)
        }
        Frame::Headers { stream, promised, block, ends } => {
            let end = if ends { ", the end" } else { "" };
            let fields = match hpack.read(&block) {
                Some(fields) => {
                    let lines = fields.iter().map(|(name, value)| {
                        format!("{name}: {}", crate::redact::header(name, value))
                    });
                    lines.collect::<Vec<_>>().join(", ")
                }
                None => format!("{} bytes that cannot be read", block.len()),
            };
            match promised {
                Some(promised) => {
                    ("push_promise", format!("stream {stream} promises {promised}: {fields}"))
                }
                None => ("headers", format!("stream {stream}{end}: {fields}")),
            }
        }
        Frame::Reset { stream, code } => {
            ("rst_stream", format!("stream {stream}: {}", reason(code)))
        }
        Frame::Settings(all) => {
            let all = all.iter().map(|(id, value)| format!("{} {value}", setting(*id)));
            ("settings", all.collect::<Vec<_>>().join(", "))
        }
        Frame::GoAway { last, code, text } => (
            "goaway",
            format!("after stream {last}: {} {text}", reason(code)).trim_end().to_owned(),
        ),
        Frame::Other { name, stream, length } => (name, format!("stream {stream}: {length} bytes")),
    }
}

fn setting(id: u16) -> &'static str {
    match id {
        1 => "header table",
        2 => "push",
        3 => "streams",
        4 => "window",
        5 => "frame",
        6 => "header list",
        8 => "extended connect",
        9 => "no priorities",
        _ => "unknown",
    }
}

/// The messages of gRPC, which stand in the body each behind five bytes.
pub(super) fn grpc(exchange: &Exchange) -> Vec<Item> {
    let sides = [
        (&exchange.asked, exchange.ask.as_ref(), true),
        (&exchange.answered, exchange.answer.as_ref(), false),
    ];
    let mut items = Vec::new();
    for (tape, head, from_caller) in sides {
        each_whole(tape, head.map_or(0, |head| head.length), grpc_length, |frame, at| {
            let (is_packed, message) = (frame.first() == Some(&1), frame.get(5..));
            let message = message.unwrap_or_default();
            let packed = if is_packed { ", packed" } else { "" };
            let text = match std::str::from_utf8(message) {
                Ok(text) if !is_packed && !text.chars().any(char::is_control) => text.to_owned(),
                _ => {
                    let start = message.iter().take(64).map(|byte| format!("{byte:02x}"));
                    format!("{} bytes{packed}: {}", message.len(), start.collect::<String>())
                }
            };
            items.push(Item { from_caller, at_ms: ms(at), name: Some("message".to_owned()), text });
        });
    }
    items
}

fn grpc_length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(array(bytes, 1)?)).ok()?.checked_add(5)
}

/// The name of a status of gRPC.
pub(super) fn grpc_status(code: &str) -> &'static str {
    const NAMES: &[&str] = &[
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let place: Option<usize> = code.parse().ok();
    place.and_then(|place| NAMES.get(place)).copied().unwrap_or("unknown status")
}
