//! The lane of model calls: as the router answers, byte by byte, and nothing that is unclear.
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use gateway::lane::Terms;
use gateway::settings::{Limits, Settings};
use gateway::{Gateway, Peer};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mock::Mock;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::house::House;
use crate::lane_requests::requests;
use crate::routes::{mock, provider};

/// What takes milliseconds is waited for so long, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn terms(stop: CancellationToken) -> Terms {
    Terms {
        peer: Peer { addr: "127.0.0.1:50000".parse().unwrap(), tls: false },
        header_read: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        stop,
    }
}

/// Sends a request as a client does, on a connection of its own that the lane serves.
pub(crate) async fn send(gate: &Gateway, request: Request<Body>) -> http::Response<Incoming> {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let gate = gate.clone();
    drop(gateway::tasks::spawn("a lane", async move {
        let terms = terms(CancellationToken::new());
        let rest = Box::pin(gate.lane(theirs, BytesMut::new(), &terms)).await;
        assert!(rest.is_none(), "the lane has given a call of its own back");
    }));
    let io = TokioIo::new(ours);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    drop(gateway::tasks::spawn("a client", connection));
    sender.send_request(request).await.unwrap()
}

/// What the lane says to these bytes, sent in pieces, and what it gives back.
async fn lane(gate: &Gateway, pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>) {
    said(gate, pieces, false).await
}

/// As [`lane`], by a caller that says when it has said all.
async fn said(gate: &Gateway, pieces: &[&[u8]], ends: bool) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let terms = terms(CancellationToken::new());
    let serve = async {
        let rest = gate.lane(theirs, BytesMut::new(), &terms).await;
        // Given back, it would be served on; here it ends.
        rest.map(|(came, _stream)| came.to_vec())
    };
    let talk = async move {
        for piece in pieces {
            if ours.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if ends {
            drop(ours.shutdown().await);
        }
        let mut out = Vec::new();
        drop(ours.read_to_end(&mut out).await);
        out
    };
    let (rest, out) = timeout(PATIENCE, async { tokio::join!(serve, talk) }).await.unwrap();
    (out, rest)
}

/// What the router says to these bytes behind a general HTTP server.
async fn server(gate: &Gateway, bytes: &[u8]) -> Vec<u8> {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let router = gate.router(axum::Router::new());
    let service = hyper::service::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(terms(CancellationToken::new()).peer);
        let request = request.map(Body::new);
        tower::ServiceExt::oneshot(router.clone(), request)
    });
    let serve = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(theirs), service);
    let talk = async {
        ours.write_all(bytes).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut out = Vec::new();
        ours.read_to_end(&mut out).await.unwrap();
        out
    };
    timeout(PATIENCE, async { tokio::join!(serve, talk) }).await.unwrap().1
}

/// The answer with its header lines in order, without what differs from one moment to the next.
fn settled(answer: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(answer).into_owned();
    for (at, name) in text.clone().match_indices("mock") {
        let at = at + name.len() + 1;
        if text.get(at..at + 6).is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit())) {
            text.replace_range(at..at + 6, "000000");
        }
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (status, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut lines: Vec<&str> = lines.split("\r\n").filter(|l| !l.starts_with("date: ")).collect();
    lines.sort_unstable();
    let mut body = body.to_owned();
    for name in ["\"created\":", "\"created_at\":\"", "\"total_duration\":", "\"completed_at\":"] {
        while let Some(at) = body.find(name) {
            let end = body.get(at + name.len()..).unwrap().find([',', '}', '"']).unwrap();
            body.replace_range(at..at + name.len() + end, "");
        }
    }
    format!("{status}\n{}\n\n{body}", lines.join("\n"))
}

pub(crate) fn post(path: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Request-Id: r1\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request that may be followed by another one.
fn kept(path: &str, more: &str, body: &str) -> Vec<u8> {
    post(path, more, body).replace(b"Connection: close\r\n", b"")
}

pub(crate) fn question(model: &str, stream: bool) -> String {
    json!({"model": model, "max_tokens": 9, "stream": stream,
           "messages": [{"role": "user", "content": "hello"}]})
    .to_string()
}

async fn before(mock: &Mock) -> House {
    let providers = vec![provider("one", "anthropic", mock), provider("two", "openai_chat", mock)];
    let limits = Limits { body_bytes: 1_000_000, ..Limits::default() };
    House::with(Settings { providers, limits, ..Settings::default() }).await
}

async fn town() -> (Mock, House) {
    let mock = mock("default.text = \"a short answer of the model\"").await;
    let house = before(&mock).await;
    (mock, house)
}

/// Bytes in which other bytes are put in the place of some.
pub(crate) trait Replace {
    fn replace(self, old: &[u8], new: &[u8]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replace(self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let at = self.windows(old.len()).position(|window| window == old).unwrap();
        [&self[..at], new, &self[at + old.len()..]].concat()
    }
}

#[tokio::test]
async fn the_lane_answers_as_the_router_does() {
    let (_mock, house) = town().await;
    for request in requests() {
        let (by_lane, rest) = lane(&house.gate, &[&request]).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(400)]).into_owned();
        assert_eq!(rest, None, "{shown}");
        let by_router = server(&house.gate, &request).await;
        assert_eq!(settled(&by_lane), settled(&by_router), "{shown}");
    }
}

#[tokio::test]
async fn a_request_is_the_same_wherever_it_is_cut() {
    let (_mock, house) = town().await;
    let body = question("one-m", true);
    let (begin, rest) = body.split_at(9);
    let chunked = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Request-Id: r1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         9;a=b\r\n{}\r\n{:x}\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
        begin,
        rest.len(),
        rest
    );
    let sized = post("/v1/messages", "", &body);
    let wanted = settled(&server(&house.gate, &sized).await);
    for request in [&sized[..], chunked.as_bytes()] {
        for cut in 0..request.len() {
            let (answer, _) = lane(&house.gate, &[&request[..cut], &request[cut..]]).await;
            assert_eq!(settled(&answer), wanted, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = request.chunks(1).collect();
        assert_eq!(settled(&lane(&house.gate, &bytes).await.0), wanted, "byte by byte");
    }
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let (_mock, house) = town().await;
    let one = kept("/v1/messages", "", &question("one-m", false));
    let two = kept("/v1/messages", "", &question("nobody", false)).replace(b"r1", b"r2");
    let three = post("/v1/messages", "", &question("one-m", true));
    let three = three.replace(b"r1", b"r3");
    let all = [&one[..], &two, &three, &one].concat();
    let pieces: Vec<&[u8]> = all.chunks(700).collect();
    let (answers, _) = lane(&house.gate, &pieces).await;
    let text = String::from_utf8(answers).unwrap();
    let statuses = text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| text.get(at + 9..at + 12));
    assert_eq!(statuses.collect::<Vec<_>>(), ["200", "404", "200"]);
    let places = ["r1", "r2", "r3"].map(|id| text.find(&format!("x-request-id: {id}")).unwrap());
    assert!(places.is_sorted(), "{text}");
    assert!(text.ends_with("\r\n0\r\n\r\n"), "the stream has its end: {text}");
}

#[tokio::test]
async fn an_unclear_head_is_refused_with_words_and_ends_the_connection() {
    let (_mock, house) = town().await;
    let head = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n";
    let many = "A: b\r\n".repeat(130);
    let long = format!("A: {}\r\n", "b".repeat(70_000));
    for (more, status, word) in [
        ("Content-Length: 2\r\nContent-Length: 3\r\n", 400, "two content lengths, `2` and `3`"),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", 400, "two content lengths"),
        ("Content-Length: 2, 2\r\n", 400, "`2, 2` is no number"),
        ("Content-Length: +2\r\n", 400, "`+2` is no number"),
        ("Content-Length: 0x2\r\n", 400, "`0x2` is no number"),
        ("Content-Length:\r\n", 400, "`` is no number"),
        ("Content-Length: 99999999999999999999\r\n", 400, "is no number"),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400, "has both"),
        ("Transfer-Encoding: gzip, chunked\r\n", 400, "gzip, chunked"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400, "not read"),
        ("Transfer-Encoding: xchunked\r\n", 400, "xchunked"),
        ("Transfer-Encoding: identity\r\n", 400, "identity"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", 400, "begins with a blank"),
        ("X: y\nTransfer-Encoding: chunked\r\n", 400, "`X` of the head ends in a bare LF"),
        ("Transfer-Encoding : chunked\r\n", 400, "the header `Transfer-Encoding` is not HTTP"),
        ("X: a\rb\r\n", 400, "the header `X` is not HTTP"),
        ("X: a\0b\r\n", 400, "the header `X` is not HTTP"),
        ("no colon\r\n", 400, "the header `no colon` is not HTTP"),
        ("Host: other\r\n", 400, "two hosts, `localhost` and `other`"),
        (&many, 431, "128 headers"),
        (&long, 431, "65536 bytes"),
    ] {
        let request = format!("{head}{more}\r\n{{}}POST /v1/messages HTTP/1.1\r\n");
        let (answer, rest) = lane(&house.gate, &[request.as_bytes()]).await;
        let text = String::from_utf8(answer).unwrap();
        let more = more.get(..80).unwrap_or(more);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{more:?}: {text}");
        assert!(text.contains(word), "{more:?}: {text}");
        // As the callers of this API read errors, with what they need to ask about it.
        assert!(text.contains("\"type\":\"error\""), "{more:?}: {text}");
        assert!(text.contains("x-request-id: "), "{more:?}: {text}");
        assert!(text.contains("connection: close\r\n"), "{more:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "nothing after it is read: {text}");
        assert_eq!(rest, None);
    }
    let metrics = house.call("GET", "/metrics").await.text;
    let line = metrics.lines().find(|l| l.contains("anthropic") && l.contains("\"431\"")).unwrap();
    assert!(line.ends_with(" 2"), "every refused head is counted: {line}");
}

#[tokio::test]
async fn a_body_that_is_framed_unclearly_is_refused_and_ends_the_connection() {
    let (_mock, house) = town().await;
    let next = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    for chunks in ["5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "-1\r\n"] {
        let head = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{chunks}{next}");
        let (answer, _) = lane(&house.gate, &[request.as_bytes()]).await;
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("a chunk of the body is not framed as it says"), "{text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{chunks:?}: {text}");
    }
}

#[tokio::test]
async fn whatever_else_comes_is_given_back_untouched() {
    let (_mock, house) = town().await;
    let good = kept("/v1/messages", "", &question("one-m", false));
    for other in [
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /v1/messages HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
        "POST /v1/messages/count_tokens HTTP/1.1\r\n",
        "POST /v1/message HTTP/1.1\r\n",
        "POST /v1beta/models/two%2Fx:generateContent HTTP/1.1\r\n",
        "POST /v1beta/models/one-m:tune HTTP/1.1\r\n",
        "POST /v1/models/ HTTP/1.1\r\n",
        "POST /v1/messages/ HTTP/1.1\r\n",
        "POST //v1/messages HTTP/1.1\r\n",
        "POST /v1/%6dessages HTTP/1.1\r\n",
        "POST http://localhost/v1/messages HTTP/1.1\r\n",
        "POST /api/v1/contexts HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "PUT /v1/messages HTTP/1.1\r\n",
        "POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nExpect: a miracle\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "{\"sessionId\":1}\n",
    ] {
        let (answer, rest) = lane(&house.gate, &[&good, other.as_bytes()]).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(rest.as_deref(), Some(other.as_bytes()), "{other}");
    }
}

#[tokio::test]
async fn no_bytes_break_the_lane() {
    let (_mock, house) = town().await;
    let good = [
        kept("/v1/messages", "", &question("demo", true)),
        b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          2\r\n{}\r\n0\r\n\r\n"
            .to_vec(),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let marks = b"\r\n :,;0a\xff\0\t";
    for round in 0..3_000 {
        let mut bytes = [&good[round % 2][..], &good[(round / 2) % 2][..]].concat();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = marks[random(marks.len())],
                1 => bytes.insert(at, marks[random(marks.len())]),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let cut = random(bytes.len());
        let (answer, rest) = said(&house.gate, &[&bytes[..cut], &bytes[cut..]], true).await;
        let shown = String::from_utf8_lossy(&bytes);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{shown}");
        if let Some(rest) = rest {
            assert!(bytes.ends_with(&rest), "what is given back is what came: {shown}");
        }
    }
}

/// A connection to the lane that a test speaks on.
fn talk(house: &House, stop: &CancellationToken) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (gate, terms) = (house.gate.clone(), terms(stop.clone()));
    drop(gateway::tasks::spawn("a lane", async move {
        drop(gate.lane(theirs, BytesMut::new(), &terms).await);
    }));
    ours
}

async fn until(stream: &mut DuplexStream, mark: &str) -> String {
    let mut said = String::new();
    let read = async {
        while !said.contains(mark) {
            let mut some = [0; 1024];
            match stream.read(&mut some).await.unwrap() {
                0 => break,
                count => said.push_str(&String::from_utf8_lossy(&some[..count])),
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    said
}

#[tokio::test]
async fn who_waits_for_a_word_before_the_body_gets_it_unless_the_body_is_not_wanted() {
    let (_mock, house) = town().await;
    let body = question("one-m", false);
    let request = post("/v1/messages", "Expect: 100-continue\r\n", &body);
    let head = &request[..request.len() - body.len()];
    let mut stream = talk(&house, &CancellationToken::new());
    stream.write_all(head).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let said = until(&mut stream, "short answer").await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");

    for (old, new, status) in [
        ("Host: localhost", "Host: evil.example", "403 Forbidden"),
        (&*format!("Length: {}", body.len()), "Length: 1000001", "413 Payload Too Large"),
    ] {
        let head = head.to_vec().replace(old.as_bytes(), new.as_bytes());
        let mut stream = talk(&house, &CancellationToken::new());
        stream.write_all(&head).await.unwrap();
        let said = until(&mut stream, "nothing: the connection is closed").await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
    }
}

#[tokio::test]
async fn who_leaves_a_stream_ends_the_upstreams_work() {
    let mock = mock("default.fragments = [\"once \", \"upon \"]\ndefault.pause_ms = 600000").await;
    let house = before(&mock).await;
    let mut stream = talk(&house, &CancellationToken::new());
    stream.write_all(&post("/v1/messages", "", &question("one-m", true))).await.unwrap();
    assert!(until(&mut stream, "once").await.contains("once"));
    drop(stream);
    timeout(PATIENCE, mock.left(1)).await.expect("the upstream works for nobody");
}

#[tokio::test]
async fn who_only_closes_its_own_side_still_gets_the_answer() {
    // Long enough that it is looked whether the caller is still there.
    let slow = "default.fragments = [\"once \", \"upon a time\"]\ndefault.pause_ms = 300";
    let mock = mock(slow).await;
    let house = before(&mock).await;
    for stream in [false, true] {
        let request = kept("/v1/messages", "", &question("one-m", stream));
        let (answer, _) = said(&house.gate, &[&request], true).await;
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("upon a time"), "{text}");
    }
}

#[tokio::test]
async fn a_stop_ends_a_silent_connection_at_once_and_another_after_its_answer() {
    let (_mock, house) = town().await;
    let stop = CancellationToken::new();
    let (mut silent, mut busy) = (talk(&house, &stop), talk(&house, &stop));
    let request = kept("/v1/messages", "", &question("one-m", false));
    for stream in [&mut silent, &mut busy] {
        stream.write_all(&request).await.unwrap();
        assert!(until(stream, "short answer").await.contains("200 OK"));
    }
    let (first, rest) = request.split_at(request.len() - 5);
    busy.write_all(first).await.unwrap();
    stop.cancel();
    assert_eq!(until(&mut silent, "the end").await, "");
    busy.write_all(rest).await.unwrap();
    let said = until(&mut busy, "the end").await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(said.contains("connection: close\r\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_and_a_silent_connection_are_closed_without_a_word() {
    let (_mock, house) = town().await;
    for (sent, seconds) in [("", 75), ("POST /v1/mess", 10), ("\r\n", 75)] {
        let mut stream = talk(&house, &CancellationToken::new());
        let began = tokio::time::Instant::now();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!((said.as_str(), began.elapsed().as_secs()), ("", seconds), "{sent:?}");
    }
}
