//! The single messages of a stream: events, lines, frames, each with the time it came.

use std::time::Duration;

use serde::Serialize;
use wire::frame::lines::{Item as Piece, Splitter};
use wire::frame::sse::Decoder;

use super::frames;
use crate::capture::{Exchange, Kind};
use crate::http::{Framing, Meter, Unpacker};

/// Limit: bytes of one message.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Limit: messages that are shown of one exchange.
const ITEMS_MAX: usize = 10_000;

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The caller said it.
    pub from_caller: bool,
    /// When it was complete, in milliseconds after the exchange began.
    pub at_ms: f64,
    /// The event's name, the frame's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it says; for bytes that are no text, how many they are.
    pub text: String,
}

/// The messages of an exchange, in the order in which they came.
#[must_use]
pub(super) fn items(exchange: &Exchange) -> Vec<Item> {
    let mut items = match exchange.kind {
        Kind::Http if is_grpc(exchange) => frames::grpc(exchange),
        Kind::Http => {
            match exchange.answer.as_ref().map(crate::http::Head::media_type).as_deref() {
                Some("text/event-stream") => events(exchange),
                Some("application/x-ndjson" | "application/jsonl" | "application/json-lines") => {
                    body_lines(exchange)
                }
                _ => Vec::new(),
            }
        }
        Kind::WebSocket => frames::websocket(exchange),
        Kind::Http2 => frames::http2(exchange),
        Kind::Lines | Kind::Stdio => both_ways(exchange),
        Kind::Tls => Vec::new(),
    };
    items.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    items.truncate(ITEMS_MAX);
    items
}

/// Whether the exchange is a call of gRPC.
pub(super) fn is_grpc(exchange: &Exchange) -> bool {
    let heads = [exchange.ask.as_ref(), exchange.answer.as_ref()];
    heads.into_iter().flatten().any(|head| head.media_type().starts_with("application/grpc"))
}

pub(super) fn ms(at: Duration) -> f64 {
    (at.as_secs_f64() * 1e6).round() / 1e3
}

/// Goes through the payload of an answer piece by piece, as it arrived: `each` gets the payload
/// that one arrival brought, and its time.
fn arrived(exchange: &Exchange, mut each: impl FnMut(&[u8], Duration)) {
    let head = exchange.answer.as_ref().map_or(0, |head| head.length);
    let mut meter = Meter::new(match exchange.answer_framing {
        Framing::Chunked => Framing::Chunked,
        _ => Framing::Close,
    });
    let mut unpacker = exchange.answer.as_ref().and_then(Unpacker::of);
    exchange.answered.each_piece(head, |piece, at| {
        let mut payload = Vec::new();
        meter.take(piece, &mut |part, _| payload.extend_from_slice(part));
        match &mut unpacker {
            Some(unpacker) => each(&unpacker.push(&payload), at),
            None => each(&payload, at),
        }
    });
}

fn events(exchange: &Exchange) -> Vec<Item> {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let (mut items, mut came) = (Vec::new(), Vec::new());
    arrived(exchange, |piece, at| {
        // A stream beyond the limit has no more events; its bytes are all there.
        let _over = decoder.push(piece, &mut came);
        items.extend(came.drain(..).map(|event| Item {
            from_caller: false,
            at_ms: ms(at),
            name: event.event,
            text: event.data,
        }));
    });
    items
}

fn body_lines(exchange: &Exchange) -> Vec<Item> {
    let mut splitter = Splitter::new(MESSAGE_BYTES_MAX);
    let mut items = Vec::new();
    arrived(exchange, |piece, at| {
        let mut came = Vec::new();
        splitter.push(piece, &mut came);
        items.extend(came.iter().map(|piece| item(piece, false, at)));
    });
    items
}

fn both_ways(exchange: &Exchange) -> Vec<Item> {
    let mut items = Vec::new();
    for (tape, from_caller) in [(&exchange.asked, true), (&exchange.answered, false)] {
        let mut splitter = Splitter::new(MESSAGE_BYTES_MAX);
        let mut last = Duration::ZERO;
        tape.each_piece(0, |piece, at| {
            last = at;
            let mut came = Vec::new();
            splitter.push(piece, &mut came);
            items.extend(came.iter().map(|piece| item(piece, from_caller, at)));
        });
        if let Some(rest) = splitter.finish() {
            items.push(item(&rest, from_caller, last));
        }
    }
    let mut aside = String::new();
    exchange.aside.each_piece(0, |piece, at| {
        aside.push_str(&String::from_utf8_lossy(piece));
        while let Some((line, rest)) = aside.split_once('\n') {
            items.push(Item {
                from_caller: false,
                at_ms: ms(at),
                name: Some("stderr".to_owned()),
                text: line.to_owned(),
            });
            aside = rest.to_owned();
        }
    });
    items
}

fn item(piece: &Piece, from_caller: bool, at: Duration) -> Item {
    let (name, text) = match piece {
        Piece::Json(bytes) => (None, String::from_utf8_lossy(bytes).into_owned()),
        Piece::Line(bytes) => (Some("text"), String::from_utf8_lossy(bytes).into_owned()),
        Piece::TooLong => (Some("too_long"), "a message that is too long to be shown".to_owned()),
        Piece::BadUtf8 => (Some("bytes"), "a message that is not UTF-8".to_owned()),
    };
    Item { from_caller, at_ms: ms(at), name: name.map(ToOwned::to_owned), text }
}
