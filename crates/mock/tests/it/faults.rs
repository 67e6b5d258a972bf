//! Every way to go wrong, seen from the caller's end of the socket.

use crate::client::{always, chat, messages, scripted, send};
use mock::{ErrorText, Fault, Mock, Reply, StreamError};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const BODY: &str = r#"{"model":"claude-sonnet-5-5","max_tokens":9,"stream":true,
                       "messages":[{"role":"user","content":"x"}]}"#;

/// Opens a connection and sends one streaming request on it.
async fn open(mock: &Mock) -> TcpStream {
    let mut stream = TcpStream::connect(mock.addr()).await.unwrap();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: m\r\ncontent-length: {}", BODY.len());
    stream.write_all(format!("{head}\r\n\r\n{BODY}").as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn statuses_have_the_error_of_the_dialect() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        let mock = always(Reply::status(status)).await;
        let seen = messages(&mock, "x", true).await;
        assert_eq!((seen.status, seen.header("content-type")), (status, "application/json"));
        assert_eq!(seen.json()["type"], "error");
        assert_eq!(seen.json()["error"]["type"], kind);
        assert_eq!(seen.json()["request_id"], "req_mock_000001");
    }
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let mock = always(Reply {
        status: Some(429),
        retry_after: Some("7".into()),
        error: ErrorText { kind: Some("my_kind".into()), message: Some("slow down".into()) },
        headers: [("anthropic-ratelimit-requests-remaining".into(), "0".into())].into(),
        ..Reply::default()
    })
    .await;
    let seen = messages(&mock, "x", false).await;
    assert_eq!(seen.headers["retry-after"], "7");
    assert_eq!(seen.headers["anthropic-ratelimit-requests-remaining"], "0");
    assert_eq!(seen.json()["error"], json!({"type": "my_kind", "message": "slow down"}));
}

#[tokio::test]
async fn a_cut_comes_after_exactly_that_byte_of_a_stream() {
    let full = messages(&always(Reply::default()).await, "x", true).await.body;
    for at in [0, 1, 37, 200, full.len() - 1, full.len()] {
        let mock = always(Reply { cut_at: Some(at), ..Reply::default() }).await;
        let seen = messages(&mock, "x", true).await;
        assert!(!seen.is_complete, "cut at {at}");
        assert_eq!(seen.body, full[..at], "cut at {at}");
    }
}

#[tokio::test]
async fn a_cut_comes_after_exactly_that_byte_of_a_large_body() {
    let text = "0123456789".repeat(200_000);
    let full = messages(&always(Reply::text(text.clone())).await, "x", false).await.body;
    let at = 1_500_001;
    let mock = always(Reply { text: Some(text), cut_at: Some(at), ..Reply::default() }).await;
    let seen = messages(&mock, "x", false).await;
    assert_eq!(seen.headers["content-length"], full.len().to_string());
    assert_eq!(seen.body.len(), at);
    assert!(seen.body == full[..at] && !seen.is_complete);
}

#[tokio::test]
async fn a_dropped_connection_sends_nothing() {
    let mock = always(Reply::fault(Fault::Drop)).await;
    assert!(send(&mock, "POST /v1/messages", "", BODY).await.is_none());
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn a_hang_lasts_until_the_caller_leaves() {
    let mock = always(Reply::fault(Fault::Hang)).await;
    let mut stream = open(&mock).await;
    mock.seen(1).await;
    let mut byte = [0; 1];
    let read = timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
    assert!(read.is_err(), "nothing may come: {read:?}");
    drop(stream);
    timeout(Duration::from_secs(5), mock.left(1)).await.unwrap();
}

#[tokio::test]
async fn a_stall_keeps_the_connection_open_after_that_byte() {
    let full = messages(&always(Reply::default()).await, "x", true).await;
    let at = full.chunks[0] + 3;
    let mock = always(Reply { stall_at: Some(at), ..Reply::default() }).await;
    let mut stream = open(&mock).await;
    let mut raw = Vec::new();
    // The last three bytes travel in a chunk of their own.
    while !raw.ends_with(b"\r\n3\r\neve\r\n") {
        let read = timeout(Duration::from_secs(5), stream.read_buf(&mut raw)).await;
        assert!(read.unwrap().unwrap() > 0, "closed after {}", String::from_utf8_lossy(&raw));
    }
    let read = timeout(Duration::from_millis(50), stream.read_buf(&mut raw)).await;
    assert!(read.is_err(), "neither more nor an end may come: {read:?}");
    drop(stream);
    timeout(Duration::from_secs(5), mock.left(1)).await.unwrap();
}

#[tokio::test]
async fn malformed_json_is_half_a_body_or_half_an_event() {
    let mock = always(Reply::fault(Fault::MalformedJson)).await;
    let whole = messages(&mock, "x", false).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/json"));
    assert!(whole.is_complete && serde_json::from_slice::<serde_json::Value>(&whole.body).is_err());
    for seen in [messages(&mock, "x", true).await, chat(&mock, "x", true).await] {
        let events = seen.events();
        let is_broken = |data: &str| data.starts_with('{') && !data.ends_with('}');
        assert_eq!(events.iter().filter(|(_, data)| is_broken(data)).count(), 1);
    }
}

#[tokio::test]
async fn a_portal_answers_html_with_status_200() {
    let mock = always(Reply::fault(Fault::Html)).await;
    let seen = chat(&mock, "x", true).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(seen.text().starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn an_error_event_ends_a_stream_after_that_many_deltas() {
    let reply = |after| Reply {
        stream_error: Some(StreamError { after, kind: None, message: Some("gone".into()) }),
        ..Reply::text("a b c d")
    };
    for after in [0, 2, 4] {
        let seen = messages(&always(reply(after)).await, "x", true).await;
        let events = seen.events();
        let deltas = events.iter().filter(|(name, _)| name == "content_block_delta").count();
        assert_eq!(deltas, after);
        assert_eq!(events[events.len() - 1].0, "error");
        let last = &seen.data()[events.len() - 1];
        assert_eq!(last["error"], json!({"type": "overloaded_error", "message": "gone"}));
    }
    let seen = chat(&always(reply(2)).await, "x", true).await;
    assert!(!seen.text().contains("[DONE]"));
    assert_eq!(seen.data()[seen.data().len() - 1]["error"]["message"], "gone");
}

#[tokio::test]
async fn events_leave_one_by_one_and_pieces_split_them_anywhere() {
    let plain = messages(&always(Reply::default()).await, "x", true).await;
    assert_eq!(plain.chunks.len(), plain.events().len());
    let mock = always(Reply { chunk_bytes: Some(7), ..Reply::default() }).await;
    let split = messages(&mock, "x", true).await;
    assert!(split.is_complete);
    let (last, others) = split.chunks.split_last().unwrap();
    assert!(others.iter().all(|size| *size == 7) && *last <= 7);
    assert_eq!(split.text(), plain.text());
}

#[tokio::test]
async fn delays_and_pauses_take_their_time() {
    let mock = always(Reply {
        delay_ms: 40,
        fragments: ["a", "b", "c"].map(str::to_owned).to_vec(),
        pause_ms: 30,
        ..Reply::default()
    })
    .await;
    let began = Instant::now();
    messages(&mock, "x", true).await;
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_paused_stream_shows_what_came_before_the_pause() {
    let mock = always(Reply {
        fragments: vec!["first".into(), "second".into()],
        pause_ms: 60_000,
        ..Reply::default()
    })
    .await;
    let mut stream = open(&mock).await;
    let mut raw = Vec::new();
    while !String::from_utf8_lossy(&raw).contains("\"first\"") {
        let read = timeout(Duration::from_secs(5), stream.read_buf(&mut raw)).await;
        assert!(read.unwrap().unwrap() > 0);
    }
    assert!(!String::from_utf8_lossy(&raw).contains("second"));
}

#[tokio::test]
async fn a_verbatim_body_and_any_header_are_sent_as_they_are() {
    let mock = scripted(
        "[[rule]]\nwhen = { path = '/v1/other' }\n[rule.reply]\nbody = 'not json'\nstatus = 203\n\
         headers = { content-type = 'text/plain', x-note = 'n' }",
    )
    .await;
    let seen = send(&mock, "PUT /v1/other?x=1", "", "anything").await.unwrap();
    assert_eq!((seen.status, seen.text().as_str()), (203, "not json"));
    assert_eq!((seen.header("content-type"), seen.header("x-note")), ("text/plain", "n"));
}
