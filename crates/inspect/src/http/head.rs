//! Heads of requests and responses.

use std::fmt;

use super::HEAD_BYTES_MAX;
use super::framing::Framing;

/// Limit: header lines of a head.
const HEADERS_MAX: usize = 256;

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A request.
    Ask,
    /// A response.
    Answer,
}

/// A head, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    first: First,
    /// The headers, in their order and spelling.
    pub headers: Vec<(String, String)>,
    /// HTTP/1.0, where a connection closes unless it is asked not to.
    pub is_old: bool,
    /// Bytes of the head, the empty line included.
    pub length: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum First {
    Ask { method: String, path: String },
    Answer { status: u16, reason: String },
}

/// Why bytes are no head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Where the head ends: the place after its empty line.
#[must_use]
pub fn find_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let next = from.saturating_add(line).saturating_add(1);
        // Empty lines before the first are skipped by servers, and so here.
        match bytes.get(next..)? {
            [b'\n', ..] if from > 0 || line > 1 => return Some(next.saturating_add(1)),
            [b'\r', b'\n', ..] if from > 0 || line > 1 => return Some(next.saturating_add(2)),
            _ => from = next,
        }
    }
}

impl Head {
    /// Reads a head; nothing when it is not complete.
    ///
    /// # Errors
    /// When the bytes can become no head any more.
    pub fn read(bytes: &[u8], side: Side) -> Result<Option<Self>, Broken> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = match side {
            Side::Ask => {
                let mut request = httparse::Request::new(&mut lines);
                let status = request.parse(bytes).map_err(broken)?;
                let httparse::Status::Complete(length) = status else { return unfinished(bytes) };
                let method = request.method.unwrap_or_default().to_owned();
                let path = request.path.unwrap_or_default().to_owned();
                let is_old = request.version == Some(0);
                (First::Ask { method, path }, is_old, length, headers(request.headers))
            }
            Side::Answer => {
                let mut response = httparse::Response::new(&mut lines);
                let status = response.parse(bytes).map_err(broken)?;
                let httparse::Status::Complete(length) = status else { return unfinished(bytes) };
                let status = response.code.unwrap_or_default();
                let reason = response.reason.unwrap_or_default().to_owned();
                let is_old = response.version == Some(0);
                (First::Answer { status, reason }, is_old, length, headers(response.headers))
            }
        };
        let (first, is_old, length, headers) = parsed;
        Ok(Some(Self { first, headers, is_old, length }))
    }

    /// The method; empty for a response.
    #[must_use]
    pub fn method(&self) -> &str {
        match &self.first {
            First::Ask { method, .. } => method,
            First::Answer { .. } => "",
        }
    }

    /// The path with its query; empty for a response.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.first {
            First::Ask { path, .. } => path,
            First::Answer { .. } => "",
        }
    }

    /// The status; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        match &self.first {
            First::Ask { .. } => 0,
            First::Answer { status, .. } => *status,
        }
    }

    /// A header's first value, by any spelling of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether one of a header's words is this one.
    #[must_use]
    pub fn says(&self, name: &str, word: &str) -> bool {
        let values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.flat_map(|(_, value)| value.split(',')).any(|w| w.trim().eq_ignore_ascii_case(word))
    }

    /// The media type without its parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the connection can carry another exchange, as far as this side says.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        if self.is_old {
            return self.says("connection", "keep-alive");
        }
        !self.says("connection", "close")
    }

    /// How the body of a request with this head ends.
    #[must_use]
    pub fn ask_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Empty)
    }

    /// How the body of the response to `method` ends.
    #[must_use]
    pub fn answer_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status) {
            return Framing::Empty;
        }
        self.framing().unwrap_or(Framing::Close)
    }

    fn framing(&self) -> Option<Framing> {
        if self.says("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        let length = self.header("content-length")?.trim().parse().ok()?;
        Some(if length == 0 { Framing::Empty } else { Framing::Length(length) })
    }

    /// Writes the head anew, after it was changed.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let version = if self.is_old { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut text = match &self.first {
            First::Ask { method, path } => format!("{method} {path} {version}\r\n"),
            First::Answer { status, reason } => format!("{version} {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Gives a header this one value; an empty value takes it away.
    pub fn set(&mut self, name: &str, value: &str) {
        let place = self.headers.iter().position(|(key, _)| key.eq_ignore_ascii_case(name));
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            let place = place.unwrap_or(self.headers.len()).min(self.headers.len());
            self.headers.insert(place, (name.to_owned(), value.to_owned()));
        }
    }
}

fn unfinished(bytes: &[u8]) -> Result<Option<Head>, Broken> {
    if bytes.len() >= HEAD_BYTES_MAX {
        return Err(Broken(format!("the head is longer than {HEAD_BYTES_MAX} bytes")));
    }
    Ok(None)
}

fn broken(cause: httparse::Error) -> Broken {
    Broken(format!("this is no HTTP/1: {cause}"))
}

fn headers(lines: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    lines.iter().map(|line| (line.name.to_owned(), text(line.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Head, Side, find_end};
    use crate::http::Framing;

    #[test]
    fn a_head_keeps_order_and_spelling() {
        let bytes =
            b"POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\ncontent-LENGTH: 3\r\n\r\nabc";
        let head = Head::read(bytes, Side::Ask).unwrap().unwrap();
        assert_eq!((head.method(), head.path()), ("POST", "/v1/x?a=b"));
        assert_eq!(head.headers[1], ("X-Y".to_owned(), "z".to_owned()));
        assert_eq!(head.ask_framing(), Framing::Length(3));
        assert_eq!(&bytes[head.length..], b"abc");
        assert_eq!(find_end(bytes), Some(head.length));
    }

    #[test]
    fn half_a_head_is_waited_for_and_noise_is_none() {
        assert_eq!(Head::read(b"GET / HTTP/1.1\r\nHos", Side::Ask), Ok(None));
        assert!(Head::read(b"\x16\x03\x01\x02", Side::Ask).is_err());
        assert_eq!(find_end(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
    }

    #[test]
    fn an_answer_without_length_ends_with_its_connection() {
        let read = |text: &str| Head::read(text.as_bytes(), Side::Answer).unwrap().unwrap();
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n").answer_framing("GET"), Framing::Close);
        assert_eq!(read("HTTP/1.1 204 No\r\n\r\n").answer_framing("GET"), Framing::Empty);
        let long = read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
        assert_eq!(long.answer_framing("HEAD"), Framing::Empty);
        assert_eq!(long.answer_framing("GET"), Framing::Length(9));
    }
}
