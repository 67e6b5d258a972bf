//! Heads of requests and responses.

use std::fmt;

use super::{Framing, HEAD_BYTES_MAX};

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

/// Which HTTP it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0, where a connection closes unless it is asked not to.
    Old,
    /// HTTP/1.1.
    #[default]
    One,
    /// A stream of HTTP/2, written as HTTP/1 would be.
    Two,
}

impl Version {
    /// The version as it stands in a head.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "HTTP/1.0",
            Self::One => "HTTP/1.1",
            Self::Two => "HTTP/2",
        }
    }
}

/// A head, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    first: First,
    /// The headers, in their order and spelling.
    pub headers: Vec<(String, String)>,
    /// The version.
    pub version: Version,
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
        if let Some(head) = read_two(bytes, side) {
            return head.map(Some);
        }
        Self::read_one(bytes, side)
    }

    fn read_one(bytes: &[u8], side: Side) -> Result<Option<Self>, Broken> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = match side {
            Side::Ask => {
                let mut request = httparse::Request::new(&mut lines);
                let status = request.parse(bytes).map_err(broken)?;
                let httparse::Status::Complete(length) = status else { return unfinished(bytes) };
                let method = request.method.unwrap_or_default().to_owned();
                let path = request.path.unwrap_or_default().to_owned();
                let version = version(request.version);
                (First::Ask { method, path }, version, length, headers(request.headers))
            }
            Side::Answer => {
                let mut response = httparse::Response::new(&mut lines);
                let status = response.parse(bytes).map_err(broken)?;
                let httparse::Status::Complete(length) = status else { return unfinished(bytes) };
                let status = response.code.unwrap_or_default();
                let reason = response.reason.unwrap_or_default().to_owned();
                let version = version(response.version);
                (First::Answer { status, reason }, version, length, headers(response.headers))
            }
        };
        let (first, version, length, headers) = parsed;
        Ok(Some(Self { first, headers, version, length }))
    }

    /// The head of a stream of HTTP/2, from its fields; those that begin with a colon come first.
    #[must_use]
    pub fn of_stream(fields: &[(String, String)], side: Side) -> Self {
        let pseudo = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let first = match side {
            Side::Ask => {
                let path = pseudo(":path");
                let path = if path.is_empty() { pseudo(":authority") } else { path };
                First::Ask { method: pseudo(":method"), path }
            }
            Side::Answer => First::Answer {
                status: pseudo(":status").parse().unwrap_or_default(),
                reason: String::new(),
            },
        };
        let mut headers: Vec<_> =
            fields.iter().filter(|(name, _)| !name.starts_with(':')).cloned().collect();
        let authority = pseudo(":authority");
        if !authority.is_empty() {
            headers.insert(0, ("host".to_owned(), authority));
        }
        let mut head = Self { first, headers, version: Version::Two, length: 0 };
        head.length = head.write().len();
        head
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
        if self.version == Version::Old {
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
        if self.version == Version::Two {
            // Where it ends is said by its last frame.
            return Some(Framing::Close);
        }
        if self.says("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        let length = self.header("content-length")?.trim().parse().ok()?;
        Some(if length == 0 { Framing::Empty } else { Framing::Length(length) })
    }

    /// Writes the head anew, after it was changed.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let version = self.version.as_str();
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

/// A head that [`Head::of_stream`] wrote; nothing when it is one of HTTP/1.
fn read_two(bytes: &[u8], side: Side) -> Option<Result<Head, Broken>> {
    const WORD: &[u8] = b"HTTP/2 ";
    const END: &[u8] = b" HTTP/2\r\n";
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next()?;
    let mut as_one = bytes.to_vec();
    match side {
        Side::Ask if line.ends_with(END) => {
            let place = line.len().saturating_sub(3);
            drop(as_one.splice(place..place + 1, *b"1.1"));
        }
        Side::Answer if line.starts_with(WORD) => drop(as_one.splice(5..6, *b"1.1")),
        _ => return None,
    }
    let grown = as_one.len() - bytes.len();
    Some(match Head::read_one(&as_one, side) {
        Ok(Some(mut head)) => {
            head.version = Version::Two;
            head.length = head.length.saturating_sub(grown);
            Ok(head)
        }
        Ok(None) => Err(Broken("the head of a stream is not complete".to_owned())),
        Err(broken) => Err(broken),
    })
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Old } else { Version::One }
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
    fn a_stream_s_head_is_written_and_read_as_one() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let ask = [
            field(":method", "POST"),
            field(":path", "/a"),
            field(":authority", "h:1"),
            field("te", "trailers"),
        ];
        let head = Head::of_stream(&ask, Side::Ask);
        assert_eq!(head.write(), b"POST /a HTTP/2\r\nhost: h:1\r\nte: trailers\r\n\r\n");
        assert_eq!(Head::read(&head.write(), Side::Ask), Ok(Some(head.clone())));
        assert_eq!((head.ask_framing(), head.version), (Framing::Close, super::Version::Two));
        let answer = Head::of_stream(&[field(":status", "204"), field("a", "b")], Side::Answer);
        assert_eq!(Head::read(&answer.write(), Side::Answer), Ok(Some(answer.clone())));
        assert_eq!(answer.status(), 204);
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
