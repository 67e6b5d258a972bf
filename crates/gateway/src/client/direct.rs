//! Calls to upstreams in the clear, each over a [`Line`] that the call's own task drives.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use tower::Service as _;

use super::after;
use super::answer::{Answer, Coming};
use super::connect::Stream;
use super::line::{Broken, Head, Kept, Line};
use super::pool::{Client, Ended, Request};

/// A line under way, and where it goes when it is free again.
pub(super) struct Lent {
    /// Nothing only while this drops.
    line: Option<Line>,
    home: Kept,
}

impl Lent {
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        match &mut self.line {
            Some(line) => line.chunk().await,
            None => Ok(None),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A line whose answer is not over is closed by this: that is how an upstream learns that
        // nobody listens any more.
        if let Some(line) = self.line.take() {
            self.home.put(line);
        }
    }
}

impl Client {
    /// Sends a request and waits for the head of its response.
    pub(super) async fn call_directly(&self, request: Request) -> Result<Answer, Ended> {
        let (until, deadlines) = (request.until, self.deadlines());
        let mut line = match self.kept().take() {
            Some(line) => line,
            None => self.open(&request, until).await?,
        };
        line.ask(head_of(&request), request.body);
        let late = |stage, after| self.late(stage, after);
        timeout_at(until, line.sent())
            .await
            .map_err(|cause| late("total", deadlines.total).because(cause))?
            .map_err(|broken| self.unheard(broken))?;
        let first = after(deadlines.first_byte);
        let answered = timeout_at(first.min(until), line.answered()).await;
        let head = match answered {
            Ok(head) => head.map_err(|broken| self.unheard(broken))?,
            Err(_) if first < until => return Err(late("first_byte", deadlines.first_byte)),
            Err(_) => return Err(late("total", deadlines.total)),
        };
        let Head { status, headers } = head;
        let lent = Lent { line: Some(line), home: self.kept().clone() };
        Ok(self.answer((status, headers), Coming::Line(Box::new(lent)), until))
    }

    async fn open(&self, request: &Request, until: Instant) -> Result<Line, Ended> {
        let opened = timeout_at(until, self.connector().call(request.uri.clone())).await;
        let opened =
            opened.map_err(|cause| self.late("total", self.deadlines().total).because(cause))?;
        match opened {
            Ok(Stream::Plain(tcp)) => Ok(Line::new(TokioIo::into_inner(tcp))),
            Ok(Stream::Tls(_)) => Err(self.unheard(Broken::Http("TLS where none was asked for"))),
            Err(why) => Err(self.unconnected(&why).because(why)),
        }
    }

    /// Why no answer came over a connection that stood.
    fn unheard(&self, broken: Broken) -> Ended {
        match broken {
            Broken::Http(_) => self.not_http().because(broken),
            Broken::Io(_) => self.closed().because(broken),
        }
    }
}

/// The bytes of a request's head.
fn head_of(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(512);
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(b"POST ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut put = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    if !request.headers.contains_key(HOST)
        && let Some(authority) = request.uri.authority()
    {
        put(b"host", authority.as_str().as_bytes());
    }
    for (name, value) in &request.headers {
        // How the body is framed is said here and nowhere else.
        if ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name) {
            put(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    put(b"content-length", request.body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.into()
}
