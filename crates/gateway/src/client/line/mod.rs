//! One HTTP/1.1 connection to an upstream, driven by the request that uses it.
//!
//! A pool whose connections are tasks of their own wakes another task twice for each call; on the
//! way of a model call that costs more than everything else a gateway does. Here the request's own
//! task writes, reads and frames (RFC 9112), for upstreams in the clear: model servers on the same
//! machine or in the same house. HTTP/2 and TLS go by the pool.

mod framing;
mod kept;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use wire::frame::body::{Framing, Meter, Next, Pieces};

use self::framing::framing;
pub(super) use self::kept::Kept;

/// Limit: bytes of a response's head.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Limit: header lines of a response.
const HEADERS_MAX: usize = 256;
/// Room for one read; grows with long answers.
const READ_BYTES: usize = 16 * 1024;
/// Limit: room for one read of a long answer.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What went wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It ended, or the system said why not.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// What came is no HTTP.
    #[error("{0}")]
    Http(&'static str),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    /// What came and was not used yet.
    came: BytesMut,
    /// What is still to be sent: the head and the body.
    head: Bytes,
    body: Bytes,
    /// Sending failed: nothing more is sent, and what the other side still says is read.
    unsent: Option<io::Error>,
    /// The body of the response.
    answer: Pieces,
    /// It can carry another exchange when this one is over.
    stays: bool,
    /// Room for the next read.
    room: usize,
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            came: BytesMut::new(),
            head: Bytes::new(),
            body: Bytes::new(),
            unsent: None,
            answer: Pieces::new(Meter::new(Framing::Empty)),
            stays: true,
            room: READ_BYTES,
        }
    }

    /// Takes the bytes of a request; they go out while the response is awaited.
    pub(super) fn ask(&mut self, head: Bytes, body: Bytes) {
        self.head = head;
        self.body = body;
        self.room = READ_BYTES;
        // Until a head of a response says so.
        self.stays = false;
    }

    /// Returns when the request is out, or the other side has something to say before that.
    pub(super) async fn sent(&mut self) -> Result<(), Broken> {
        std::future::poll_fn(|cx| {
            if self.poll_push(cx) {
                return Poll::Ready(Ok(()));
            }
            self.poll_fill(cx).map(|read| match read {
                Ok(0) => Err(self.ended()),
                Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            })
        })
        .await
    }

    /// The head of the response; heads that only announce it (1xx) are passed over.
    pub(super) async fn answered(&mut self) -> Result<Head, Broken> {
        loop {
            while let Some((head, stays)) = parse(&mut self.came)? {
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(Broken::Http(
                        "the upstream switched to a protocol nobody asked for",
                    ));
                }
                if head.status.is_informational() {
                    continue;
                }
                let framing = framing(head.status, &head.headers)?;
                self.answer = Pieces::new(Meter::new(framing));
                self.stays = stays && !self.answer.is_endless();
                return Ok(head);
            }
            if self.came.len() > HEAD_BYTES_MAX {
                return Err(Broken::Http("the head of the response has no end"));
            }
            if self.fill().await? == 0 {
                return Err(self.ended());
            }
        }
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.answer.next(&mut self.came)? {
                Next::Data(bytes) => return Ok(Some(bytes)),
                Next::End => return Ok(None),
                Next::More => {}
            }
            match self.fill().await? {
                0 if self.answer.is_endless() => return Ok(None),
                0 => return Err(self.ended()),
                // Who sends a lot is read in larger pieces.
                read if read >= self.room => {
                    self.room = self.room.saturating_mul(2).min(READ_BYTES_MAX);
                }
                _ => {}
            }
        }
    }

    /// Whether the exchange is over and left the connection clean.
    pub(super) fn is_free(&self) -> bool {
        self.stays
            && self.answer.is_over()
            && self.came.is_empty()
            && self.head.is_empty()
            && self.body.is_empty()
            && self.unsent.is_none()
    }

    /// Whether the other side is still there and silent, as somebody who waits should be.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.stream.poll_peek(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    fn ended(&mut self) -> Broken {
        let early = || io::Error::from(io::ErrorKind::UnexpectedEof);
        Broken::Io(self.unsent.take().unwrap_or_else(early))
    }

    async fn fill(&mut self) -> Result<usize, Broken> {
        let read = std::future::poll_fn(|cx| {
            self.poll_push(cx);
            self.poll_fill(cx)
        });
        Ok(read.await?)
    }

    /// Sends as much as goes; true when nothing is left.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> bool {
        while !(self.head.is_empty() && self.body.is_empty()) {
            let slices = [io::IoSlice::new(&self.head), io::IoSlice::new(&self.body)];
            let stream = Pin::new(&mut self.stream);
            match stream.poll_write_vectored(cx, &slices) {
                Poll::Pending => return false,
                Poll::Ready(Ok(count)) if count > 0 => {
                    let of_head = count.min(self.head.len());
                    self.head.advance(of_head);
                    self.body.advance(count - of_head);
                }
                Poll::Ready(other) => {
                    let none = || io::Error::from(io::ErrorKind::WriteZero);
                    self.unsent = Some(other.err().unwrap_or_else(none));
                    (self.head, self.body) = (Bytes::new(), Bytes::new());
                }
            }
        }
        true
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.came.reserve(self.room);
        std::pin::pin!(self.stream.read_buf(&mut self.came)).poll(cx)
    }
}

/// Takes a whole head from the front of what came; with it, whether the connection may stay.
fn parse(came: &mut BytesMut) -> Result<Option<(Head, bool)>, Broken> {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut lines);
    let length = match parsed.parse(came) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Broken::Http("the response has more than 256 headers"));
        }
        Err(_) => return Err(Broken::Http("the response is not HTTP/1.1")),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Broken::Http("the response has no status"))?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Broken::Http("a header of the response is not HTTP"));
        };
        headers.append(name, value);
    }
    let says = |token: &str| says(&headers, token);
    let stays = if parsed.version == Some(1) { !says("close") } else { says("keep-alive") };
    came.advance(length);
    Ok(Some((Head { status, headers }, stays)))
}

/// Whether a `Connection` line has this word.
fn says(headers: &HeaderMap, token: &str) -> bool {
    let lines = headers.get_all(http::header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
