//! Server-sent events: what the standard asks, at every cut.

use super::*;

/// Reads `text` cut at every byte pair and expects the same events each time.
#[track_caller]
fn check(text: &str, expected: &[(Option<&str>, &str, Option<&str>)]) {
    let expected: Vec<SseEvent> = expected
        .iter()
        .map(|(event, data, id)| SseEvent {
            event: event.map(str::to_owned),
            data: (*data).to_owned(),
            id: id.map(str::to_owned),
        })
        .collect();
    let bytes = text.as_bytes();
    for cut in 0..=bytes.len() {
        let (mut decoder, mut out) = (Decoder::new(1024), Vec::new());
        decoder.push(&bytes[..cut], &mut out).unwrap();
        decoder.push(&bytes[cut..], &mut out).unwrap();
        assert_eq!(out, expected, "cut at {cut}");
    }
    let (mut decoder, mut out) = (Decoder::new(1024), Vec::new());
    for byte in bytes {
        decoder.push(&[*byte], &mut out).unwrap();
    }
    assert_eq!(out, expected, "byte by byte");
}

#[test]
fn every_kind_of_line_end_ends_a_line() {
    check(
        "data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\r\n\n",
        &[(None, "a", None), (None, "b", None), (None, "c", None), (None, "d", None)],
    );
}

#[test]
fn data_lines_are_joined_and_one_leading_blank_is_dropped() {
    check("data:a\ndata:  b\ndata\ndata: c\n\n", &[(None, "a\n b\n\nc", None)]);
}

#[test]
fn comments_unknown_fields_and_events_without_data_are_ignored() {
    check(": hi\nfoo: bar\nevent: empty\n\n:\n\nevent: x\ndata:\n\n", &[(Some("x"), "", None)]);
}

#[test]
fn an_id_belongs_to_its_event_and_a_bad_one_is_ignored() {
    check("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n", &[(None, "a", Some("7")), (None, "b", None)]);
}

#[test]
fn a_byte_order_mark_is_skipped_only_at_the_beginning() {
    check(
        "\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n",
        &[(None, "a", None), (None, "c", None)],
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    let (mut decoder, mut out) = (Decoder::new(64), Vec::new());
    decoder.push(b"data: a\xff\n\n", &mut out).unwrap();
    assert_eq!(out[0].data, "a\u{fffd}");
}

#[test]
fn the_retry_field_is_kept_and_nonsense_does_not_replace_it() {
    let (mut decoder, mut out) = (Decoder::new(64), Vec::new());
    decoder.push(b"retry: 1500\n\nretry: soon\nretry:\n\n", &mut out).unwrap();
    assert_eq!(decoder.retry(), Some(Duration::from_millis(1500)));
    assert!(out.is_empty());
}

#[test]
fn the_end_of_input_gives_the_event_that_was_not_dispatched() {
    let (mut decoder, mut out) = (Decoder::new(64), Vec::new());
    decoder.push(b"data: a\n\ndata: [DONE]", &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(decoder.finish().unwrap().data, "[DONE]");
    assert_eq!(decoder.finish(), None);
}

#[test]
fn an_event_beyond_the_limit_is_an_error_that_stays() {
    let (mut decoder, mut out) = (Decoder::new(16), Vec::new());
    decoder.push(b"data: 0123456789\n\n", &mut out).unwrap();
    let error = SseError::TooLong { limit: 16 };
    assert_eq!(decoder.push(b"data: 0123456789a\n\n", &mut out), Err(error));
    assert_eq!(decoder.push(b"data: b\n\n", &mut out), Err(error));
    assert_eq!(out.len(), 1);
    // Many small lines count together.
    let mut decoder = Decoder::new(16);
    assert_eq!(decoder.push(&b"data: 12\n".repeat(9), &mut out), Err(error));
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = encode(Some("a\nb"), Some(3), "one\ntwo\r\n\rthree\n");
    let (mut decoder, mut out) = (Decoder::new(64), Vec::new());
    decoder.push(&comment("still\nhere"), &mut out).unwrap();
    decoder.push(&bytes, &mut out).unwrap();
    let expected = SseEvent {
        event: Some("a b".to_owned()),
        data: "one\ntwo\n\nthree\n".to_owned(),
        id: Some("3".to_owned()),
    };
    assert_eq!(out, [expected]);
}
