//! Frames of WebSocket (RFC 6455) and HTTP/2 (RFC 9113).

use super::events::{Item, ms};
use crate::capture::Exchange;
use crate::http2::{Frame, Frames, Hpack, PREFACE, reason};
use crate::websocket::{BINARY, CLOSE, Message, PING, PONG, TEXT, messages};

/// Limit: bytes of a frame that are shown.
const SHOWN_MAX: usize = 1 << 20;

/// The messages of a WebSocket, fragments put together, unpacked.
pub(super) fn websocket(exchange: &Exchange) -> Vec<Item> {
    messages(exchange).iter().map(ws_item).collect()
}

fn ws_item(message: &Message) -> Item {
    let name = match message.kind {
        TEXT => "text",
        BINARY => "binary",
        CLOSE => "close",
        PING => "ping",
        PONG => "pong",
        _ => "unknown",
    };
    let text = match (message.kind, message.payload.as_slice()) {
        (_, payload) if message.is_broken => {
            format!("{} packed bytes that cannot be unpacked", payload.len())
        }
        (CLOSE, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("{code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        (BINARY, payload) => format!("{} bytes", payload.len()),
        (_, payload) => {
            String::from_utf8_lossy(payload.get(..SHOWN_MAX).unwrap_or(payload)).into_owned()
        }
    };
    let (from_caller, at_ms) = (message.from_caller, ms(message.at));
    Item { from_caller, at_ms, name: Some(name.to_owned()), text }
}

/// The frames of an HTTP/2 connection, with their headers unpacked.
pub(super) fn http2(exchange: &Exchange) -> Vec<Item> {
    let mut items = Vec::new();
    for (tape, from_caller) in [(&exchange.asked, true), (&exchange.answered, false)] {
        let (mut frames, mut hpack) = (Frames::default(), Hpack::default());
        let skip = if from_caller { PREFACE.len() } else { 0 };
        tape.each_piece(skip, |piece, at| {
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
        tape.each_whole(head.map_or(0, |head| head.length), grpc_length, |frame, at| {
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
    let length: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(5)
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
