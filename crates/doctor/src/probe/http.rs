//! Asks with HTTP/1.1 by hand and keeps the bytes, because a library hides the ones that matter.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::chunk;
use super::dial::{Dialed, classify};
use super::first::{Protocol, recognise};

/// Limit: how much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Limit: header lines of an answer.
const HEADERS_MAX: usize = 100;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There was an answer.
    Answered,
    /// The server closed without a byte.
    Closed,
    /// The server reset the connection without a byte.
    Reset,
    /// Nothing came in time.
    Silent,
}

/// The bytes that came back.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
    /// Until the first byte.
    pub(crate) elapsed: Duration,
    /// How reading stopped: `Answered` when the answer was complete.
    pub(crate) stop: End,
    /// Every arrival of bytes: when, and how many there were by then.
    pub(crate) arrivals: Vec<(Duration, usize)>,
}

impl Reply {
    /// No connection, so no byte.
    pub(crate) fn none() -> Self {
        let elapsed = Duration::ZERO;
        Self { bytes: Vec::new(), end: End::Closed, elapsed, stop: End::Closed, arrivals: vec![] }
    }

    /// Whether it begins as HTTP/1 does, well formed or not.
    pub(crate) fn looks_like_http(&self) -> bool {
        self.bytes.starts_with(b"HTTP/")
    }
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing, as text.
    pub(crate) body: String,
    /// The body without its framing, as bytes.
    pub(crate) raw: Vec<u8>,
    pub(crate) elapsed: Duration,
}

impl Answer {
    /// Reads an answer to a request for `path`; `None` when the bytes are not HTTP/1.
    pub(crate) fn read(reply: &Reply, path: &str) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let head = match parsed.parse(&reply.bytes).ok()? {
            httparse::Status::Complete(head) => head,
            httparse::Status::Partial => reply.bytes.len(),
        };
        let status = parsed.code?;
        let headers = parsed.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        let headers: Vec<(String, String)> = headers.collect();
        let framed = reply.bytes.get(head..).unwrap_or_default();
        let chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.to_ascii_lowercase().contains("chunked")
        });
        let raw = if chunked { chunk::read(framed).bytes } else { framed.to_vec() };
        let body = String::from_utf8_lossy(&raw).into_owned();
        Some(Self { path: path.to_owned(), status, headers, body, raw, elapsed: reply.elapsed })
    }

    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The content type without its parameters, in lower case; empty when there is none.
    pub(crate) fn kind(&self) -> String {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body as JSON, when it is.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.raw).ok()
    }

    /// Whether this product answered: it names itself in `Server` or in the body of `/health`.
    pub(crate) fn is_rapport(&self) -> bool {
        let names = |text: &str| text.to_ascii_lowercase().contains("rapport");
        self.header("server").is_some_and(names)
            || (self.path == "/health" && self.status == 200 && names(&self.body))
    }

    /// Whether the server says that the port is for TLS.
    pub(crate) fn wants_tls(&self) -> bool {
        let body = self.body.to_ascii_lowercase();
        self.status == 400
            && (body.contains("plain http request was sent to https port")
                || body.contains("http request to an https server"))
    }

    /// "HTTP 200 from `SimpleHTTP/0.6`".
    pub(crate) fn line(&self) -> String {
        let server =
            self.header("server").map_or_else(String::new, |name| format!(" from `{name}`"));
        let milliseconds = crate::report::milliseconds(self.elapsed);
        format!("GET {} gave HTTP {}{server} after {milliseconds} ms", self.path, self.status)
    }
}

/// The bytes of a GET request that carries no credential.
pub(crate) fn get(host: &str, path: &str) -> Vec<u8> {
    request("GET", host, path, &[("Accept", "*/*")], "")
}

/// The bytes of any request that carries no credential.
pub(crate) fn request(
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers.iter().chain(&[("User-Agent", "rapport-doctor")]) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if !headers.iter().any(|(name, _)| *name == "Connection") {
        text.push_str("Connection: close\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// The bytes of a request to change to the WebSocket protocol.
pub(crate) fn upgrade(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rapport-doctor\r\nConnection: Upgrade\
         \r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: cmFwcG9ydC1kb2N0b3IhIQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Sends `question` and reads the answer until it is complete, ends, or `limit` is over.
pub(crate) async fn exchange<S>(stream: &mut S, question: &[u8], limit: Duration) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    if !question.is_empty()
        && let Err(error) = send(stream, question, limit).await
    {
        // What the server said before it hung up may still be there to read.
        let mut reply = receive(stream, started, Duration::from_millis(50), nothing_more).await;
        if reply.bytes.is_empty() {
            reply.end = ended(&error);
            reply.stop = reply.end;
        }
        return reply;
    }
    receive(stream, started, limit, nothing_more).await
}

/// As [`exchange`]; the body of an event stream is read until `is_enough`.
pub(crate) async fn exchange_until<S>(
    stream: &mut S,
    question: &[u8],
    limit: Duration,
    is_enough: fn(&[u8]) -> bool,
) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    if send(stream, question, limit).await.is_err() {
        return receive(stream, started, Duration::from_millis(50), is_enough).await;
    }
    receive(stream, started, limit, is_enough).await
}

/// A stream of events never ends, so its head is enough.
fn nothing_more(_body: &[u8]) -> bool {
    true
}

/// Waits longer for an answer that did not begin in time.
pub(crate) async fn wait_on<S>(stream: &mut S, so_far: Duration, limit: Duration) -> Reply
where
    S: AsyncRead + Unpin,
{
    let mut reply = receive(stream, Instant::now(), limit, nothing_more).await;
    reply.elapsed += so_far;
    reply
}

async fn send<S>(stream: &mut S, question: &[u8], limit: Duration) -> std::io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let all = async {
        stream.write_all(question).await?;
        stream.flush().await
    };
    match tokio::time::timeout(limit, all).await {
        Ok(result) => result,
        Err(_elapsed) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

async fn receive<S>(
    stream: &mut S,
    started: Instant,
    limit: Duration,
    is_enough: fn(&[u8]) -> bool,
) -> Reply
where
    S: AsyncRead + Unpin,
{
    let until = started + limit;
    let mut bytes = Vec::new();
    let mut arrivals: Vec<(Duration, usize)> = Vec::new();
    let stop = loop {
        let step = tokio::time::timeout_at(until, stream.read_buf(&mut bytes)).await;
        match step {
            Err(_elapsed) => break End::Silent,
            Ok(Ok(0)) => break End::Closed,
            Ok(Err(error)) => break ended(&error),
            Ok(Ok(_)) => {
                arrivals.push((started.elapsed(), bytes.len()));
                if bytes.len() >= ANSWER_BYTES_MAX || is_complete(&bytes, is_enough) {
                    break End::Answered;
                }
            }
        }
    };
    let end = if bytes.is_empty() { stop } else { End::Answered };
    let elapsed = arrivals.first().map_or_else(|| started.elapsed(), |(when, _)| *when);
    Reply { bytes, end, elapsed, stop, arrivals }
}

fn ended(error: &std::io::Error) -> End {
    match classify(error) {
        Dialed::TimedOut => End::Silent,
        Dialed::Reset => End::Reset,
        Dialed::Connected
        | Dialed::SelfConnected
        | Dialed::Refused
        | Dialed::NoRoute
        | Dialed::Denied
        | Dialed::Forbidden
        | Dialed::NotAvailable
        | Dialed::Other => End::Closed,
    }
}

/// Whether more bytes would not change the reading; only HTTP is worth waiting for.
fn is_complete(bytes: &[u8], is_enough: fn(&[u8]) -> bool) -> bool {
    if recognise(bytes) != Some(Protocol::Http) {
        return true;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return false,
        Err(_) => return true,
    };
    let value = |name: &str| {
        let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    if parsed.code == Some(101) {
        return is_enough(bytes.get(head..).unwrap_or_default());
    }
    if matches!(parsed.code, Some(204 | 304)) {
        return true;
    }
    if value("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
        && is_enough(bytes.get(head..).unwrap_or_default())
    {
        return true;
    }
    if value("transfer-encoding").is_some() {
        let read = chunk::read(bytes.get(head..).unwrap_or_default());
        return read.is_complete || read.fault.is_some();
    }
    match value("content-length").and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => bytes.len().saturating_sub(head) >= length,
        None => false,
    }
}
