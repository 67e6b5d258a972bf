//! A caller that reads exactly what arrives, complete or not.

use mock::{Mock, Reply, Script};
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back on one connection until it closed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    /// The body without its chunk framing.
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub(crate) is_complete: bool,
    /// The sizes of the chunks, in order; empty for a body with a length.
    pub(crate) chunks: Vec<usize>,
}

impl Seen {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The events as name and data; the name is empty where the dialect has none.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        let text = self.text();
        let events = text.split("\n\n").filter(|event| !event.is_empty());
        events
            .map(|event| {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                (field("event: "), field("data: "))
            })
            .collect()
    }

    /// The data of the events that are JSON.
    pub(crate) fn data(&self) -> Vec<serde_json::Value> {
        let events = self.events();
        events.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }
}

pub(crate) async fn start(script: Script) -> Mock {
    Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap()
}

pub(crate) async fn always(reply: Reply) -> Mock {
    start(Script::always(reply)).await
}

pub(crate) async fn scripted(text: &str) -> Mock {
    start(Script::parse(text).unwrap()).await
}

/// Sends a request with extra header lines (each ended by CRLF) and reads until the end.
pub(crate) async fn send(mock: &Mock, start: &str, headers: &str, body: &str) -> Option<Seen> {
    let mut stream = TcpStream::connect(mock.addr()).await.unwrap();
    let request = format!(
        "{start} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\
         \r\n{body}",
        body.len(),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await.unwrap();
    if raw.is_empty() { None } else { Some(parse(&raw)) }
}

pub(crate) async fn messages(mock: &Mock, text: &str, stream: bool) -> Seen {
    let body = serde_json::json!({
        "model": "claude-sonnet-5-5", "max_tokens": 64, "stream": stream,
        "messages": [{"role": "user", "content": text}],
    });
    send(mock, "POST /v1/messages", "", &body.to_string()).await.unwrap()
}

pub(crate) async fn chat(mock: &Mock, text: &str, stream: bool) -> Seen {
    let body = serde_json::json!({
        "model": "gpt-5.5", "stream": stream, "stream_options": {"include_usage": stream},
        "messages": [{"role": "user", "content": text}],
    });
    send(mock, "POST /v1/chat/completions", "", &body.to_string()).await.unwrap()
}

fn parse(raw: &[u8]) -> Seen {
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let rest = &raw[end + 4..];
    let mut seen = Seen { status, headers, body: Vec::new(), is_complete: false, chunks: vec![] };
    if let Some(length) = seen.headers.get("content-length") {
        seen.is_complete = length.parse::<usize>().unwrap() == rest.len();
        seen.body = rest.to_vec();
    } else {
        unchunk(rest, &mut seen);
    }
    seen
}

fn unchunk(mut rest: &[u8], seen: &mut Seen) {
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            seen.is_complete = rest == b"\r\n";
            return;
        }
        let got = size.min(rest.len());
        seen.body.extend_from_slice(&rest[..got]);
        seen.chunks.push(got);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
}
