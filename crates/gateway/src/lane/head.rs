//! Reads the head of a request (RFC 9112), and says whether it is a call that the lane answers.
//!
//! A head that two readers could read in two ways is refused: that is how requests are smuggled
//! past whatever stands between a caller and us.

use bytes::{Buf as _, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::json;
use wire::frame::body::Framing;
use wire::{Code, Fault};

use crate::auth;
use crate::surface::vendor::{DIRECT, Direct};

/// Limit: bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Limit: header lines of a request.
const HEADERS_MAX: usize = 128;
/// Limit: bytes of something refused that are shown.
const SHOWN_BYTES_MAX: usize = 60;

/// How every call of the lane begins.
const POST: &[u8] = b"POST ";

/// What the bytes that have come are.
pub(super) enum Found {
    /// Not enough to tell.
    More,
    /// The head of a call; what follows it is still there.
    Call(Box<Head>),
    /// Something else: the bytes are all still there.
    Other,
    /// A head that is refused.
    Bad(Box<Bad>),
}

/// The head of a call.
pub(super) struct Head {
    pub(super) request: Request<()>,
    pub(super) direct: Direct,
    pub(super) framing: Framing,
    /// The caller wants no further request on this connection.
    pub(super) closes: bool,
    /// The caller waits for a word before it sends the body.
    pub(super) expects: bool,
}

/// A refused head: as much of the request as is known, and why.
pub(super) struct Bad {
    pub(super) request: Request<()>,
    pub(super) fault: Fault,
}

/// How far a head has been looked at.
#[derive(Default)]
pub(super) struct Scan {
    /// Bytes that are whole lines.
    lines: usize,
    /// Bytes that hold no further line end.
    seen: usize,
}

impl Scan {
    /// Looks at what came since the last time.
    pub(super) fn find(&mut self, came: &mut BytesMut) -> Found {
        if self.lines == 0 {
            // RFC 9112 2.2: empty lines before the request line are passed over.
            let blanks = came.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            came.advance(blanks);
        }
        let Some(direct) = direct(came) else { return Found::Other };
        let end = match self.end(came) {
            Ok(end) => end,
            Err(fault) => return bad(Request::new(()), came, fault),
        };
        match (end, direct) {
            _ if end.unwrap_or(came.len()) > HEAD_BYTES_MAX => {
                bad(Request::new(()), came, too_large())
            }
            (None, _) | (_, None) => Found::More,
            (Some(end), Some(direct)) => read(came, end, direct),
        }
    }

    /// Where the head ends, if it does.
    fn end(&mut self, came: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(at) = came.get(self.seen..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.seen.saturating_add(at);
            let line = came.get(self.lines..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                let text = format!("the line `{}` of the head ends in a bare LF", begin(line));
                return Err(unclear(text, "end every line with CR LF"));
            };
            if matches!(line.first(), Some(b' ' | b'\t')) {
                let text = format!("the header line `{}` begins with a blank", begin(line));
                return Err(unclear(text, "write every header on one line"));
            }
            self.seen = end.saturating_add(1);
            self.lines = self.seen;
            if line.is_empty() {
                return Ok(Some(self.seen));
            }
        }
        self.seen = came.len();
        Ok(None)
    }
}

/// The call that the bytes begin, `Some(None)` while they could still become one.
#[expect(clippy::option_option, reason = "none, not yet and one are three answers")]
fn direct(came: &[u8]) -> Option<Option<Direct>> {
    let begins = |start: &[u8]| came.starts_with(start) || start.starts_with(came);
    if !begins(POST) {
        return None;
    }
    let Some(target) = came.get(POST.len()..) else { return Some(None) };
    let end = target.iter().position(|byte| matches!(byte, b' ' | b'?'));
    let Some(path) = end.and_then(|end| target.get(..end)) else {
        return DIRECT.iter().any(|direct| direct.may_be_at(target)).then_some(None);
    };
    DIRECT.iter().find(|direct| direct.is_at(path)).map(|direct| Some(*direct))
}

fn read(came: &mut BytesMut, end: usize, direct: Direct) -> Found {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    let parsed = match parsed.parse(came) {
        Ok(httparse::Status::Complete(length)) if length == end => parsed,
        // Neither happens: the same bytes were looked at line by line.
        Ok(_) => return Found::Other,
        Err(error) => {
            let fault = broken(error, came);
            return bad(named(direct), came, fault);
        }
    };
    if parsed.version != Some(1) {
        return Found::Other;
    }
    let target = parsed.path.unwrap_or_default();
    let Ok(uri) = target.parse::<Uri>() else {
        let text = format!("`{}` is no path that HTTP allows", shown(target.as_bytes()));
        let fault = unclear(text, "write other characters as % and two digits");
        return bad(named(direct), came, fault);
    };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line.value)) else {
            let text = format!("the header `{}` is not HTTP", shown(line.name.as_bytes()));
            return bad(named(direct), came, unclear(text, "leave control characters away"));
        };
        headers.append(name, value);
    }
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    *request.headers_mut() = headers;
    let headers = request.headers();
    let framing = match framing(headers).and_then(|framing| one_host(headers).map(|()| framing)) {
        Ok(framing) => framing,
        Err(fault) => return bad(request, came, fault),
    };
    let is_odd = headers.contains_key(UPGRADE) || says(headers, "upgrade");
    let expects = headers.get(EXPECT).map(|value| value.as_bytes());
    if is_odd || expects.is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Found::Other;
    }
    let (closes, expects) = (says(headers, "close"), expects.is_some());
    came.advance(end);
    Found::Call(Box::new(Head { request, direct, framing, closes, expects }))
}

/// How the body is framed, where the head says it once and clearly.
fn framing(headers: &HeaderMap) -> Result<Framing, Fault> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Empty),
        (Some(_), Some(_)) => Err(unclear(
            "the head has both `content-length` and `transfer-encoding`",
            "send one of them",
        )),
        (None, Some(coding)) => {
            if codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Ok(Framing::Chunked);
            }
            let text = format!("`transfer-encoding: {}` is not read", shown(coding.as_bytes()));
            Err(unclear(text, "send `chunked` alone, or a `content-length`"))
        }
        (Some(length), None) => {
            if let Some(second) = lengths.next() {
                let (one, two) = (shown(length.as_bytes()), shown(second.as_bytes()));
                let text = format!("the head has two content lengths, `{one}` and `{two}`");
                return Err(unclear(text, "send one of them"));
            }
            let digits = length.to_str().unwrap_or("?");
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let length = digits.parse().ok().filter(|_| is_number);
            length.map(Framing::Length).ok_or_else(|| {
                let text =
                    format!("the content length `{}` is no number", shown(digits.as_bytes()));
                unclear(text, "send the number of bytes of the body")
            })
        }
    }
}

fn one_host(headers: &HeaderMap) -> Result<(), Fault> {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if first.is_none() {
        return Err(auth::no_host());
    }
    let (Some(one), Some(two)) = (first, second) else { return Ok(()) };
    let (one, two) = (shown(one.as_bytes()), shown(two.as_bytes()));
    Err(unclear(format!("the head has two hosts, `{one}` and `{two}`"), "send one of them"))
}

/// Whether a `Connection` line has this word.
fn says(headers: &HeaderMap, token: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// What the parser could not read, with the name of the header where it is one.
fn broken(error: httparse::Error, came: &[u8]) -> Fault {
    let text = match error {
        httparse::Error::TooManyHeaders => return too_large(),
        httparse::Error::HeaderName | httparse::Error::HeaderValue => {
            let lines = came.split(|byte| *byte == b'\n').skip(1);
            let is_bad = |line: &&[u8]| {
                let one = [*line, b"\n\r\n"].concat();
                httparse::parse_headers(&one, &mut [httparse::EMPTY_HEADER]).is_err()
            };
            let name = lines.into_iter().find(is_bad).map(begin).unwrap_or_default();
            format!("the header `{name}` is not HTTP")
        }
        httparse::Error::Version => "the request line does not end in an HTTP version".to_owned(),
        _ => "the request line is not HTTP".to_owned(),
    };
    unclear(text, "write `POST PATH HTTP/1.1`, then lines `name: value`, then an empty line")
}

fn unclear(text: impl Into<String>, hint: &'static str) -> Fault {
    Fault::new(Code::InvalidInput, text).hint(hint).details(json!({"part": "head"}))
}

fn too_large() -> Fault {
    let text = format!(
        "the head of the request is larger than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} headers"
    );
    Fault::new(Code::PayloadTooLarge, text)
        .hint("send fewer or shorter headers")
        .details(json!({"part": "head", "limit_bytes": HEAD_BYTES_MAX, "limit": HEADERS_MAX}))
}

/// As much of the request as its first line told.
fn named(direct: Direct) -> Request<()> {
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, Uri::from_static(direct.path));
    request
}

fn bad(request: Request<()>, came: &mut BytesMut, fault: Fault) -> Found {
    let is_unnamed = request.method() != Method::POST;
    let request = match direct(came).flatten() {
        Some(direct) if is_unnamed => named(direct),
        _ => request,
    };
    Found::Bad(Box::new(Bad { request, fault }))
}

/// The beginning of a line: what comes after a colon may be a secret.
fn begin(line: &[u8]) -> String {
    shown(line.split(|byte| *byte == b':').next().unwrap_or_default())
}

fn shown(bytes: &[u8]) -> String {
    let bytes = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    bytes.trim_ascii().escape_ascii().to_string()
}
