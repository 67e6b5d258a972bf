//! Frames: whole, cut at every byte, damaged at every byte, and beyond the limits.

use super::*;

const LIMIT: usize = 1 << 16;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut decoder, mut out) = (Decoder::new(LIMIT), Vec::new());
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut out) {
            assert_eq!(decoder.push(b"more", &mut out), Err(error), "an error stays");
            return (out, Some(error));
        }
    }
    (out, None)
}

fn two() -> Vec<u8> {
    let first = encode(&[(":event-type", "a"), (":message-type", "event")], b"{\"p\":\"x\"}");
    let second = encode(&[(":event-type", "b")], b"");
    [&first[..], &second[..]].concat()
}

#[test]
fn a_frame_has_the_bytes_that_the_format_prescribes() {
    // Taken apart by hand: 16 around, no headers, no payload.
    let empty = [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255];
    assert_eq!(&encode(&[], b"")[..], empty);
    assert_eq!(read([&empty[..]]), (vec![Frame::default()], None));
}

#[test]
fn frames_are_the_same_at_every_cut() {
    let bytes = two();
    let (expected, error) = read([&bytes[..]]);
    assert_eq!((expected.len(), error), (2, None));
    assert_eq!(expected[0].header(":message-type"), Some("event"));
    assert_eq!(&expected[0].payload[..], b"{\"p\":\"x\"}");
    assert_eq!(expected[1].header("none"), None);
    for cut in 0..=bytes.len() {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(read([a, b]).0, expected, "cut at {cut}");
    }
    assert_eq!(read(bytes.chunks(1)).0, expected);
}

#[test]
fn a_byte_that_was_changed_anywhere_is_noticed() {
    let bytes = two();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let (frames, error) = read([&damaged[..]]);
        assert!(error.is_some(), "at {at}");
        assert!(frames.len() < 2, "at {at}");
    }
}

#[test]
fn every_type_of_header_is_read_and_texts_are_kept() {
    let mut headers = Vec::new();
    let values: [(u8, usize); 10] =
        [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 5), (7, 4), (8, 8), (9, 16)];
    for (kind, length) in values {
        headers.extend([1, b'a' + kind, kind]);
        let value = match kind {
            6 => vec![0, 3, 1, 2, 3],
            7 => vec![0, 2, b'o', b'k'],
            _ => vec![9; length],
        };
        headers.extend(value);
    }
    let frame = framed(&headers, b"p");
    let (frames, error) = read([&frame[..]]);
    assert_eq!(error, None);
    assert_eq!(frames[0].headers, [("h".to_owned(), "ok".to_owned())]);
    for broken in [&b"\x05ab"[..], b"\x01a", b"\x01a\x0a", b"\x01a\x07\x00\x09ab", b"\x01a\x05\x01"]
    {
        let (frames, error) = read([&framed(broken, b"")[..]]);
        assert_eq!((frames.len(), error), (0, Some(FrameError::Malformed)), "{broken:?}");
    }
}

/// A frame with these bytes as its headers, whatever they are.
fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let lengths = [headers.len(), payload.len(), FRAME_BYTES];
    let total = u32::try_from(lengths.iter().sum::<usize>()).unwrap();
    let length = u32::try_from(headers.len()).unwrap();
    let mut out = [total.to_be_bytes(), length.to_be_bytes()].concat();
    out.extend(crc32(&out).to_be_bytes());
    out.extend([headers, payload].concat());
    out.extend(crc32(&out).to_be_bytes());
    out
}

/// A prelude that says what it wants, with the right checksum.
fn prelude(total: u32, headers: u32) -> Vec<u8> {
    let mut out = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    out.extend(crc32(&out).to_be_bytes());
    out
}

#[test]
fn lengths_beyond_the_limits_are_refused_before_a_byte_is_held() {
    let error = |total, headers| read([&prelude(total, headers)[..]]).1;
    assert_eq!(error(u32::MAX, 0), Some(FrameError::TooLong { limit: LIMIT }));
    assert_eq!(error(16, 1), Some(FrameError::Malformed));
    assert_eq!(error(0, 0), Some(FrameError::Malformed));
    assert_eq!(error(64, 64), Some(FrameError::Malformed));
    assert_eq!(error(64, 48), None);
    let page = read([&b"<html>this is no stream at all</html>"[..]]);
    assert_eq!(page, (vec![], Some(FrameError::Checksum)));
}

#[test]
fn a_frame_that_has_begun_is_seen() {
    let bytes = two();
    let (mut decoder, mut out) = (Decoder::new(LIMIT), Vec::new());
    decoder.push(&bytes[..bytes.len() - 1], &mut out).unwrap();
    assert!(decoder.is_midway() && out.len() == 1);
    decoder.push(&bytes[bytes.len() - 1..], &mut out).unwrap();
    assert!(!decoder.is_midway() && out.len() == 2);
}
