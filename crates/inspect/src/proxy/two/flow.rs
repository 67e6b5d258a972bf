//! What goes through a stream, written down as it passes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::super::Duplex;
use super::super::forward::STALL;
use super::Refused;
use crate::capture::{Ending, Entry, Way};

/// How long the last bytes before a cut have to go out: a reset takes back what was not sent.
const FLUSH: Duration = Duration::from_millis(100);

/// Where an answer ends before its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// After so many bytes.
    pub(super) bytes: u64,
    /// It stands still there, instead of being broken off.
    pub(super) stalls: bool,
}

/// A body, as it comes or as it was made.
pub(super) enum Flow {
    /// All of it.
    Whole(Option<Bytes>),
    /// What the other side says.
    Passing(Box<Passing>),
}

pub(super) struct Passing {
    body: Incoming,
    entry: Arc<Entry>,
    way: Way,
    until: Option<Until>,
    passed: u64,
    /// The time until the end that a rule makes.
    end: Option<Pin<Box<Sleep>>>,
}

impl Flow {
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }

    pub(super) fn passing(
        body: Incoming,
        (entry, way): (Arc<Entry>, Way),
        until: Option<Until>,
    ) -> Self {
        let passing = Passing { body, entry, way, until, passed: 0, end: None };
        if passing.body.is_end_stream() {
            passing.over();
        }
        Self::Passing(Box::new(passing))
    }
}

impl Passing {
    /// The side has said all.
    fn over(&self) {
        if self.way == Way::Answered {
            self.entry.end(Ending::Whole);
            return;
        }
        let sent = self.entry.elapsed();
        self.entry.change(|page| page.times.sent = page.times.sent.or(Some(sent)));
    }

    /// Writes a piece down, and gives what of it goes on.
    fn piece(&mut self, mut piece: Bytes) -> Bytes {
        self.entry.push(self.way, &piece);
        if self.way == Way::Answered {
            let now = self.entry.elapsed();
            self.entry.change(|page| page.times.first_body = page.times.first_body.or(Some(now)));
        }
        if let Some(until) = self.until {
            let room = usize::try_from(until.bytes.saturating_sub(self.passed));
            piece.truncate(room.unwrap_or(usize::MAX));
            self.passed = self.passed.saturating_add(piece.len() as u64);
            if self.passed >= until.bytes {
                let wait = if until.stalls { STALL } else { FLUSH };
                self.end = Some(Box::pin(tokio::time::sleep(wait)));
            }
        }
        piece
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        if let Some(end) = &mut self.end {
            ready!(end.as_mut().poll(cx));
            let text = format!("cut after {} bytes", self.passed);
            self.entry.end(Ending::ByRule(text));
            return Poll::Ready(Some(Err(Refused("a rule cut the answer"))));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let frame = match frame.into_data() {
                    Ok(piece) => Frame::data(self.piece(piece)),
                    Err(frame) => {
                        if let Some(trailers) = frame.trailers_ref() {
                            let lines = super::stream::lines(trailers);
                            self.entry.change(|page| page.trailers = lines);
                        }
                        frame
                    }
                };
                if self.end.is_none() && self.body.is_end_stream() {
                    self.over();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => {
                let by = match self.way {
                    Way::Answered => Ending::CutByTarget,
                    _ => Ending::CutByCaller,
                };
                self.entry.end(by);
                Poll::Ready(Some(Err(Refused("the other side broke off"))))
            }
            None => {
                self.over();
                Poll::Ready(None)
            }
        }
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = Refused;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(passing) => passing.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Passing(passing) => passing.end.is_none() && passing.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            // Headers say how long it is; a rule may make it shorter.
            Self::Passing(_) => SizeHint::default(),
        }
    }
}

/// The caller's connection, its bytes written down as they are on the wire.
pub(super) struct Recorded {
    stream: Box<dyn Duplex>,
    ahead: BytesMut,
    entry: Arc<Entry>,
}

impl Recorded {
    pub(super) fn new(stream: Box<dyn Duplex>, ahead: BytesMut, entry: Arc<Entry>) -> Self {
        entry.push(Way::Asked, &ahead);
        Self { stream, ahead, entry }
    }
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(into.remaining());
            into.put_slice(self.ahead.get(..length).unwrap_or_default());
            self.ahead.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        let piece = into.filled().get(before..).unwrap_or_default();
        self.entry.push(Way::Asked, piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.entry.push(Way::Answered, bytes.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
