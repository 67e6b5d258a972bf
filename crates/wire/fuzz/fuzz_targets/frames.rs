//! Frames on any bytes: no panic, no growth beyond the limit, and the same items at any cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::eventstream;
use wire::frame::json_depth_ok;
use wire::frame::lines::{Item, Splitter};
use wire::frame::sse::Decoder;

const LIMIT: usize = 256;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0).max(1), input.1);
    let split = |pieces: std::slice::Chunks<'_, u8>| {
        let (mut splitter, mut items) = (Splitter::new(LIMIT), Vec::new());
        pieces.for_each(|piece| splitter.push(piece, &mut items));
        items.extend(splitter.finish());
        items
    };
    let items = split(bytes.chunks(size));
    assert_eq!(items, split(bytes.chunks(bytes.len().max(1))));
    for item in &items {
        if let Item::Json(text) | Item::Line(text) = item {
            assert!(text.len() <= LIMIT);
            assert!(std::str::from_utf8(text).is_ok());
        }
    }

    let decode = |pieces: std::slice::Chunks<'_, u8>| {
        let (mut decoder, mut events) = (Decoder::new(LIMIT), Vec::new());
        let mut result = Ok(());
        for piece in pieces {
            result = result.and(decoder.push(piece, &mut events));
        }
        events.extend(decoder.finish());
        (events, result)
    };
    assert_eq!(decode(bytes.chunks(size)), decode(bytes.chunks(bytes.len().max(1))));

    let frames = |pieces: std::slice::Chunks<'_, u8>| {
        let (mut decoder, mut frames) = (eventstream::Decoder::new(LIMIT), Vec::new());
        let mut result = Ok(());
        for piece in pieces {
            result = result.and(decoder.push(piece, &mut frames));
        }
        (frames, result)
    };
    assert_eq!(frames(bytes.chunks(size)), frames(bytes.chunks(bytes.len().max(1))));

    if serde_json_accepts(bytes) {
        assert!(json_depth_ok(bytes, 128));
    }
});

fn serde_json_accepts(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
}
