//! Streams that are held back, stuck, cut or malformed on their way, and mended.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doctor::Request;

use super::servers::{Server, read_some, serve};
use super::switch::{http, json};
use super::{broken, fix, request, well};

/// What is sent: after a pause in milliseconds, these bytes.
type Pieces = Vec<(u64, Vec<u8>)>;

const SSE: &str = "Content-Type: text/event-stream\r\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const REASON: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A server whose pieces can be exchanged; after them it closes, or stays when the last is empty.
struct Paced {
    server: Server,
    pieces: Arc<Mutex<Pieces>>,
}

impl Paced {
    fn new(pieces: Pieces) -> Self {
        let pieces = Arc::new(Mutex::new(pieces));
        let held = Arc::clone(&pieces);
        let server = serve("127.0.0.1:0", move |mut stream| {
            if read_some(&mut stream).is_empty() {
                return;
            }
            let pieces = held.lock().unwrap().clone();
            send(&mut stream, &pieces);
        });
        Self { server, pieces }
    }

    fn mend(&self, pieces: Pieces) {
        *self.pieces.lock().unwrap() = pieces;
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.server.port)
    }
}

fn send(stream: &mut TcpStream, pieces: &Pieces) {
    for (pause, bytes) in pieces {
        // What is tested is how bytes come in time.
        std::thread::park_timeout(Duration::from_millis(*pause));
        if stream.write_all(bytes).is_err() {
            return;
        }
        if bytes.is_empty() {
            while !read_some(stream).is_empty() {}
        }
    }
}

/// Head and events, each after its pause.
fn events(headers: &str, events: &[(u64, &str)]) -> Pieces {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes();
    let rest = events.iter().map(|(pause, text)| (*pause, text.as_bytes().to_vec()));
    std::iter::once((0, head)).chain(rest).collect()
}

fn good() -> Pieces {
    events(SSE, &[(30, WORD), (100, WORD), (100, WORD), (100, REASON), (0, DONE)])
}

/// Each is broken as it should be, and a good stream in its place is well.
async fn each(cases: Vec<(Pieces, &str, &str, &str)>) {
    let server = Paced::new(good());
    for (pieces, id, evidence, words) in cases {
        server.mend(pieces);
        let report = broken(&request(&server.url("/v1/events")), id, evidence).await;
        fix(&report, words);
        server.mend(good());
        well(&request(&server.url("/v1/events"))).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_stuck_or_cut_is_named() {
    let chunked = format!("{SSE}Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{WORD}\r\n", WORD.len());
    let stuck = events(SSE, &[(0, WORD), (100, WORD), (0, "")]);
    let cut = events(&chunked, &[(0, &chunk), (50, &chunk), (50, "ff\r\ndata: {")]);
    let half = events(SSE, &[(0, WORD), (50, "data: {\"choi")]);
    let clean = events(&chunked, &[(0, &chunk), (50, &chunk), (50, "0\r\n\r\n")]);
    each(vec![
        (stuck, "stream.stalled", "after 2 events", "waits for"),
        (cut, "stream.cut", "after 2 events", "proxy_read_timeout"),
        (half, "stream.cut", "not whole", "proxy"),
        (clean, "stream.no_end", "[DONE]", "at the end"),
    ])
    .await;
}

#[tokio::test]
async fn a_stream_in_a_form_that_no_client_reads_is_named() {
    let words = "data: {\"choices\":[]}\ndata: {\"choices\":[]}\ndata: [DONE]\n";
    let bare = "{\"a\":1}\n{\"a\":2}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
                 \"message\":\"Overloaded\"}}\n\n";
    let as_json = "Content-Type: application/json\r\n";
    each(vec![
        (events(SSE, &[(0, words)]), "stream.bad_framing", "empty line", "after each event"),
        (events(SSE, &[(0, bare)]), "stream.bad_framing", "{\"a\":1}", "data: "),
        (events(SSE, &[(0, WORD), (0, error)]), "stream.error_event", "Overloaded", "try again"),
        (
            events(as_json, &[(0, WORD), (0, DONE)]),
            "stream.wrong_content_type",
            "`application/json`",
            "text/event-stream",
        ),
        (
            vec![(0, http("200 OK", "Content-Type: text/html\r\n", "<html>"))],
            "http.html_not_json",
            "web page",
            "API",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_page_where_a_stream_was_meant_is_named() {
    let page = http("200 OK", "Content-Type: text/html\r\n", "<html>Log in</html>");
    let server = Paced::new(vec![(0, page)]);
    let report = broken(&request(&server.url("/events")), "stream.html", "web page").await;
    fix(&report, "API's own port");
    server.mend(good());
    well(&request(&server.url("/events"))).await;
}

/// A reverse proxy; it may collect the whole answer, or compress it when it is asked for that.
fn proxy(to: u16, collects: fn(&str) -> bool) -> Server {
    serve("127.0.0.1:0", move |mut stream| {
        let asked = read_some(&mut stream);
        let text = String::from_utf8_lossy(&asked).to_ascii_lowercase();
        let mut behind = TcpStream::connect(("127.0.0.1", to)).unwrap();
        drop(behind.write_all(&asked));
        if collects(&text) {
            let mut all = Vec::new();
            drop(behind.read_to_end(&mut all));
            if text.contains("accept-encoding: gzip") {
                let head = format!("HTTP/1.1 200 OK\r\n{SSE}Content-Encoding: gzip\r\n\r\n");
                all = [head.as_bytes(), &[0x1f, 0x8b, 8, 0], &all].concat();
            }
            drop(stream.write_all(&all));
            return;
        }
        let mut piece = [0_u8; 1024];
        while let Ok(length @ 1..) = behind.read(&mut piece) {
            if stream.write_all(&piece[..length]).is_err() {
                return;
            }
        }
    })
}

#[tokio::test]
async fn a_proxy_that_holds_a_stream_back_is_named() {
    let slow = events(SSE, &[(0, WORD), (350, WORD), (350, WORD), (350, REASON), (0, DONE)]);
    let origin = Paced::new(slow);
    let holding = proxy(origin.server.port, |_| true);
    let target = format!("http://localhost:{}/v1/events", holding.port);
    // Everything comes together: compressed first, which cannot be read, and then as it is.
    let report = broken(&request(&target), "stream.buffered", "at once").await;
    fix(&report, "proxy_buffering off");
    let packing = proxy(origin.server.port, |text| text.contains("accept-encoding: gzip"));
    let target = format!("http://localhost:{}/v1/events", packing.port);
    let report = broken(&request(&target), "stream.compressed", "one by one").await;
    fix(&report, "out of compression");
    let passing = proxy(origin.server.port, |_| false);
    well(&request(&format!("http://localhost:{}/v1/events", passing.port))).await;
    well(&request(&origin.url("/v1/events"))).await;
}

#[tokio::test]
async fn a_slow_first_event_is_told_from_a_slow_head() {
    let server = Paced::new(events(SSE, &[(2900, WORD), (20, REASON), (0, DONE)]));
    let ask = Request { ask: Some("m".to_owned()), ..request(&server.url("/v1")) };
    let report = broken(&ask, "stream.slow", "head of the answer").await;
    fix(&report, "longer time");
    server.mend(good());
    well(&ask).await;
}

#[tokio::test]
async fn streams_that_look_odd_and_are_right_are_well() {
    let server = Paced::new(good());
    let odd = [
        // An empty line may end with carriage returns, and be cut in the middle.
        events(SSE, &[(0, "data: a\r"), (20, "\n\r"), (20, "\ndata: b\r\n\r\n"), (0, "")]),
        // Comments keep a stream open in which nothing happens.
        events(SSE, &[(0, ": open\n\n"), (300, ": ping\n\n"), (0, "")]),
        // Nothing happens at all: a subscription.
        events(SSE, &[(0, "")]),
        // A text of several lines is one event.
        events(SSE, &[(0, "event: note\nid: 7\nretry: 10\ndata: one\ndata: two\n\n"), (0, "")]),
        // All at once is no fault when it is also soon.
        events(SSE, &[(0, "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n")]),
        // Lines of JSON are a stream of their own.
        events(
            "Content-Type: application/x-ndjson\r\n",
            &[(0, "{\"model\":\"m\",\"done\":false}\n"), (80, "{\"model\":\"m\",\"done\":true}\n")],
        ),
    ];
    for pieces in odd {
        server.mend(pieces);
        well(&request(&server.url("/events"))).await;
    }
}

#[tokio::test]
async fn a_model_is_asked_only_when_that_is_allowed() {
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let heard = Arc::clone(&asked);
    let server = serve("127.0.0.1:0", move |mut stream| {
        let text = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
        let model = text.starts_with("POST /v1/chat/completions ");
        heard.lock().unwrap().push(text.clone());
        if model && text.contains("\"model\":\"gone\"") {
            drop(stream.write_all(&json("404 Not Found", "{\"error\":\"no model gone\"}")));
        } else if model && text.contains("\"model\":\"whole\"") {
            drop(stream.write_all(&json("200 OK", "{\"choices\":[]}")));
        } else if model && text.contains("\"model\":\"mute\"") {
            send(&mut stream, &events(SSE, &[(0, "")]));
        } else if model {
            send(&mut stream, &good());
        } else {
            drop(stream.write_all(&json("200 OK", "{}")));
        }
    });
    let target = format!("http://localhost:{}/v1", server.port);
    well(&request(&target)).await;
    assert!(!asked.lock().unwrap().iter().any(|text| text.starts_with("POST")));
    let ask = |model: &str| Request { ask: Some(model.to_owned()), ..request(&target) };
    well(&ask("here")).await;
    let posts = asked.lock().unwrap().iter().filter(|text| text.starts_with("POST")).count();
    assert_eq!(posts, 1);
    broken(&ask("gone"), "stream.refused", "no model gone").await;
    broken(&ask("whole"), "stream.not_streamed", "application/json").await;
    broken(&ask("mute"), "stream.silent", "no event").await;
}
