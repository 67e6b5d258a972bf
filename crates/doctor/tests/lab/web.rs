//! What browsers demand, sockets of the web that do not open, redirects in circles, and clocks.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use doctor::Request;

use super::servers::{Server, closed_port, read_some, serve};
use super::switch::{Switch, http, json};
use super::{broken, fix, request, well};

const PAGE: &str = "http://localhost:3000";

fn from_page(target: &str) -> Request {
    Request { origin: Some(PAGE.to_owned()), ..request(target) }
}

#[tokio::test]
async fn what_a_page_may_not_do_is_named() {
    let server = Switch::new(json("200 OK", "{}"));
    let target = server.url("/v1/models");
    let answer = |headers: &str| http("200 OK", &format!("{headers}\r\n"), "{}");
    let own = format!("Access-Control-Allow-Origin: {PAGE}");
    let headers = "Access-Control-Allow-Headers: Content-Type, Authorization, X-Api-Key";
    let cases = [
        (json("200 OK", "{}"), "says nothing about other origins", PAGE),
        (answer("Access-Control-Allow-Origin: http://a.example"), "`http://a.example` only", PAGE),
        (answer(&format!("{own}\r\n{own}")), "twice", PAGE),
        (answer(&own), "content-type, authorization, x-api-key", "Access-Control-Allow-Headers"),
        (
            answer(&format!("{own}\r\nAccess-Control-Allow-Headers: *")),
            "the header authorization",
            "Access-Control-Allow-Headers",
        ),
    ];
    for (bad, evidence, words) in cases {
        server.mend(bad);
        let report = broken(&from_page(&target), "http.cors", evidence).await;
        fix(&report, words);
        server.mend(answer(&format!("{own}\r\n{headers}")));
        well(&from_page(&target)).await;
    }
    // Without a page nobody cares.
    server.mend(json("200 OK", "{}"));
    well(&request(&target)).await;
    well(&Request { origin: Some(server.url("")), ..request(&target) }).await;
}

#[tokio::test]
async fn a_question_before_the_call_that_needs_a_key_is_named() {
    let server = serve("127.0.0.1:0", |mut stream| {
        let asked = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
        let headers = "Access-Control-Allow-Origin: *\r\n";
        let status = if asked.starts_with("OPTIONS") { "405 No" } else { "200 OK" };
        drop(stream.write_all(&http(status, headers, "{}")));
    });
    let target = format!("http://localhost:{}/v1/models", server.port);
    let report = broken(&from_page(&target), "http.cors", "HTTP 405").await;
    fix(&report, "answer it with 204");
}

/// What a WebSocket's handshake is answered with; the accept is right for the doctor's key.
const OPEN: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: j8pSShqK6cInlJXRknlFhHw/UjU=\r\n";

/// A WebSocket server that answers handshakes with the bytes it holds, and stays.
struct Socket {
    server: Server,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Socket {
    fn new() -> Self {
        let answer = Arc::new(Mutex::new(Self::good()));
        let held = Arc::clone(&answer);
        let server = serve("127.0.0.1:0", move |mut stream| {
            let asked = String::from_utf8_lossy(&read_some(&mut stream)).to_ascii_lowercase();
            if asked.contains("upgrade: websocket") {
                let bytes = held.lock().unwrap().clone();
                drop(stream.write_all(&bytes));
                while !read_some(&mut stream).is_empty() {}
            } else if !asked.is_empty() {
                drop(stream.write_all(b"HTTP/1.1 426 Upgrade\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        Self { server, answer }
    }

    fn good() -> Vec<u8> {
        format!("{OPEN}\r\n").into_bytes()
    }

    fn url(&self) -> String {
        format!("ws://localhost:{}/chat", self.server.port)
    }
}

#[tokio::test]
async fn a_websocket_that_opens_wrong_or_closes_at_once_is_named() {
    let server = Socket::new();
    let closing = [OPEN.as_bytes(), b"\r\n\x88\x0f\x03\xf0missing token"].concat();
    let masked = [OPEN.as_bytes(), b"\r\n\x81\x82abcdef"].concat();
    let wrong = OPEN.replace("j8pS", "AAAA");
    let chosen = format!("{OPEN}Sec-WebSocket-Protocol: graphql-ws\r\n\r\n");
    let cases: [(Vec<u8>, &str, &str, &str); 5] = [
        (closing, "protocol.ws_closed", "missing token", "the token"),
        (masked, "protocol.ws_frame", "81 82", "masked"),
        (format!("{wrong}\r\n").into_bytes(), "protocol.ws_accept", "j8pS", "RFC 6455"),
        (chosen.into_bytes(), "protocol.ws_subprotocol", "graphql-ws", "new WebSocket"),
        (http("200 OK", "", "hi"), "protocol.not_websocket", "does not change", "http://"),
    ];
    for (bad, id, evidence, words) in cases {
        *server.answer.lock().unwrap() = bad;
        let report = broken(&request(&server.url()), id, evidence).await;
        fix(&report, words);
        *server.answer.lock().unwrap() = Socket::good();
        well(&request(&server.url())).await;
    }
}

#[tokio::test]
async fn a_proxy_that_drops_the_upgrade_is_named() {
    let origin = Socket::new();
    let behind = origin.server.port;
    let passes = Arc::new(Mutex::new(false));
    let told = Arc::clone(&passes);
    let proxy = serve("127.0.0.1:0", move |mut stream| {
        let mut asked = read_some(&mut stream);
        if !*told.lock().unwrap() {
            let text = String::from_utf8_lossy(&asked).into_owned();
            let kept = text.lines().filter(|line| !line.to_ascii_lowercase().contains("upgrade"));
            asked = format!("{}\r\n\r\n", kept.collect::<Vec<_>>().join("\r\n").trim_end()).into();
        }
        let mut server = std::net::TcpStream::connect(("127.0.0.1", behind)).unwrap();
        drop(server.write_all(&asked));
        let answer = read_some(&mut server);
        drop(stream.write_all(&answer));
        while !read_some(&mut stream).is_empty() {}
    });
    let target = format!("ws://localhost:{}/chat", proxy.port);
    let report = broken(&request(&target), "proxy.ws_upgrade_stripped", "426").await;
    fix(&report, "proxy_set_header Upgrade");
    *passes.lock().unwrap() = true;
    well(&request(&target)).await;
}

#[tokio::test]
async fn redirects_in_a_circle_or_to_nowhere_are_named() {
    let to = Arc::new(Mutex::new("/b".to_owned()));
    let held = Arc::clone(&to);
    let server = serve("127.0.0.1:0", move |mut stream| {
        let asked = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
        let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
        let place = match path.as_str() {
            "/a" => held.lock().unwrap().clone(),
            "/b" => "/a".to_owned(),
            _ => {
                drop(stream.write_all(&json("200 OK", "{}")));
                return;
            }
        };
        let headers = format!("Location: {place}\r\n");
        drop(stream.write_all(&http("302 Found", &headers, "")));
    });
    let target = format!("http://localhost:{}/a", server.port);
    let report = broken(&request(&target), "http.redirect_loop", "/a → /b → /a").await;
    fix(&report, "proxy and the server");
    *to.lock().unwrap() = format!("http://localhost:{}/c", closed_port());
    let report = broken(&request(&target), "http.redirect_broken", "nothing listens").await;
    fix(&report, "public address");
    *to.lock().unwrap() = "c".to_owned();
    well(&request(&target)).await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named() {
    let dated = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::Span::new().seconds(seconds);
        let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT");
        http("200 OK", &format!("Content-Type: application/json\r\nDate: {text}\r\n"), "{}")
    };
    let server = Switch::new(dated(3 * 3600));
    let report = broken(&request(&server.url("/")), "time.skew", "3 h ahead of").await;
    fix(&report, "timedatectl");
    server.mend(dated(-7200));
    broken(&request(&server.url("/")), "time.skew", "2 h behind").await;
    server.mend(dated(60));
    well(&request(&server.url("/"))).await;
    // An old answer that a cache has kept says nothing of the clock.
    let kept = String::from_utf8(dated(-7200)).unwrap().replace("Date:", "Age: 7200\r\nDate:");
    server.mend(kept);
    well(&request(&server.url("/"))).await;
}
