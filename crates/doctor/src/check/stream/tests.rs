//! Streams that arrive in pieces, cut at the worst places, are read as they were written.

use std::time::Duration;

use super::events::{Stream, read};
use super::model::{Course, course};
use super::{by_line, looks_like_events};
use crate::probe::http::{Answer, End, Reply};

/// Reads pieces that arrived a tenth of a second apart.
fn stream(head: &str, pieces: &[&[u8]]) -> Stream {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
    let mut arrivals = vec![(Duration::ZERO, bytes.len())];
    for (number, piece) in (1_u64..).zip(pieces) {
        bytes.extend_from_slice(piece);
        arrivals.push((Duration::from_millis(100 * number), bytes.len()));
    }
    let (end, stop, elapsed) = (End::Answered, End::Closed, Duration::ZERO);
    let reply = Reply { bytes, end, elapsed, stop, arrivals };
    let answer = Answer::read(&reply, "/events").unwrap();
    let by_line = by_line(&answer);
    read(&reply, &answer, by_line)
}

const SSE: &str = "Content-Type: text/event-stream\r\n";

#[test]
fn events_are_whole_when_their_blank_line_is_there() {
    let found =
        stream(SSE, &[b"data: a\r", b"\n\r", b"\ndata: b\ndata: c\n", b"\n: ping\n\ndata: d"]);
    let seen: Vec<(&str, u128)> =
        found.events.iter().map(|event| (event.data.as_str(), event.at.as_millis())).collect();
    assert_eq!(seen, [("a", 200), ("b\nc", 400)]);
    assert_eq!((found.comments, found.rest.as_str()), (1, "data: d"));
}

#[test]
fn chunks_that_are_cut_anywhere_do_not_matter() {
    let head = format!("{SSE}Transfer-Encoding: chunked\r\n");
    let found = stream(&head, &[b"9\r\ndata: a\n\n\r", b"\n9\r\ndata: b\n", b"\n\r\n0\r\n\r\n"]);
    assert_eq!(found.events.len(), 2);
    assert!(found.ended_whole && !found.broken);
    let cut = stream(&head, &[b"9\r\ndata: a\n\n\r\n9\r\ndat"]);
    assert_eq!((cut.events.len(), cut.broken), (1, true));
}

#[test]
fn a_line_of_json_is_an_event_where_lines_are_meant() {
    let found =
        stream("Content-Type: application/x-ndjson\r\n", &[b"{\"a\":1}\n", b"{\"done\":true}\n"]);
    assert_eq!(found.events.len(), 2);
    assert_eq!(course(&found), Course::Finished);
}

#[test]
fn the_course_of_a_models_stream_is_seen() {
    let word = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let why = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(course(&stream(SSE, &[word])), Course::Unfinished);
    assert_eq!(course(&stream(SSE, &[word, why])), Course::Unmarked);
    assert_eq!(course(&stream(SSE, &[word, why, b"data: [DONE]\n\n"])), Course::Finished);
    assert_eq!(course(&stream(SSE, &[b"data: hello\n\n"])), Course::NotAModel);
}

#[test]
fn a_body_is_a_stream_by_its_lines() {
    assert!(looks_like_events("event: a\ndata: b\n\n") && looks_like_events(": hi\n\ndata: 1\n\n"));
    assert!(
        !looks_like_events("{\"data\":1}") && !looks_like_events("") && !looks_like_events("id: 1")
    );
}
