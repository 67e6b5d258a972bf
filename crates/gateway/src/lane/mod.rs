//! HTTP/1.1 calls of models, answered by the task of their connection from the first byte to the
//! last.
//!
//! A general HTTP server and router cost more CPU time than everything else that happens to a call
//! that is passed on. Here the connection's own task reads the head, runs the same
//! [`door`] and the same handlers as the router, and writes the answer. What
//! is not such a call is given back with the bytes that came, for the general server.
//!
//! Invariants:
//! - what is answered, to whom and how it is recorded, is decided by the door alone;
//! - a head or a body that two readers could read in two ways is refused, and ends the connection;
//! - every wait, head, body and queue has a limit.

mod answer;
mod date;
mod gone;
mod head;
mod intake;
mod outbox;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use wire::frame::body::Framing;

pub use self::gone::Gone;

use self::answer::Answer;
use self::date::Date;
use self::head::{Bad, Found, Head, Scan};
use self::intake::{Intake, Need};
use self::outbox::Outbox;
use crate::about::Peer;
use crate::gate::Gateway;
use crate::surface::{answer_directly, door};

/// Room for a read; grows with long bodies.
const READ_BYTES: usize = 8 * 1024;
/// Limit: room for a read.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Limit: bytes of further requests that are read while one is answered.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Limit: bytes of a body that are copied out of the room for reads, which is then used again.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Limit: how long a caller that was answered in the middle of its body may go on sending.
const LINGER: Duration = Duration::from_secs(2);

/// What tells a caller that its body is wanted.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// What says nothing to a caller that waits for an answer, and shows whether it is still there.
pub const PROCESSING: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// What a connection may do, and for how long.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The other end.
    pub peer: Peer,
    /// Limit: how long a head may take, from its first byte.
    pub header_read: Duration,
    /// Limit: silence between two requests.
    pub keep_alive: Duration,
    /// Cancelled when no further request is taken.
    pub stop: CancellationToken,
}

impl Gateway {
    /// Answers the model calls at the front of an HTTP connection; `first` was read already.
    ///
    /// Gives the connection back, with what came and was not answered, when something else comes on
    /// it; nothing when it is over.
    pub async fn lane<S>(&self, stream: S, first: BytesMut, terms: &Terms) -> Option<(BytesMut, S)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let line = Line {
            gate: self,
            stream,
            came: first,
            room: READ_BYTES,
            ended: false,
            out: Outbox::default(),
            date: Date::default(),
            gone: Gone::default(),
        };
        line.run(terms).await
    }
}

/// What comes next on a connection.
enum Start {
    Call(Box<Head>),
    Bad(Box<Bad>),
    Other,
    Over,
}

/// A connection.
struct Line<'g, S> {
    gate: &'g Gateway,
    stream: S,
    /// What came and was not used yet.
    came: BytesMut,
    /// Room for the next read.
    room: usize,
    /// The other end has said all it will say.
    ended: bool,
    out: Outbox,
    date: Date,
    gone: Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line<'_, S> {
    async fn run(mut self, terms: &Terms) -> Option<(BytesMut, S)> {
        // One timer and one place in the queue of those who wait for the stop, for all requests.
        let mut timer = std::pin::pin!(sleep_until(Instant::now() + terms.header_read));
        let mut stopped = std::pin::pin!(terms.stop.cancelled());
        loop {
            let start = self.start(terms, timer.as_mut(), stopped.as_mut()).await;
            let stays = match start {
                Start::Over => return None,
                Start::Other => return Some((self.came, self.stream)),
                Start::Call(head) => self.call(*head, terms).await,
                Start::Bad(bad) => {
                    let request = with_peer(bad.request, Body::empty(), terms.peer);
                    let response = door::refuse(self.gate, &request, bad.fault);
                    let answer = Answer::new(response, (true, self.date.now()), &mut self.out);
                    self.write(answer).await.ok().map(|()| Stays::Unread)
                }
            };
            match stays {
                Some(Stays::Open) => {}
                Some(Stays::Unread) => {
                    self.linger().await;
                    return None;
                }
                Some(Stays::Closed) => {
                    // Who is gone need not be told.
                    let _gone = self.stream.shutdown().await;
                    return None;
                }
                None => return None,
            }
        }
    }

    /// Waits for the next head.
    async fn start(
        &mut self,
        terms: &Terms,
        mut timer: Pin<&mut Sleep>,
        mut stopped: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Start {
        let mut scan = Scan::default();
        let mut hurries = false;
        loop {
            match scan.find(&mut self.came) {
                Found::Call(head) => return Start::Call(head),
                Found::Bad(bad) => return Start::Bad(bad),
                Found::Other => return Start::Other,
                Found::More if self.ended => return Start::Over,
                Found::More => {}
            }
            let is_silent = self.came.is_empty();
            if is_silent {
                timer.as_mut().reset(Instant::now() + terms.keep_alive);
            } else if !std::mem::replace(&mut hurries, true) {
                timer.as_mut().reset(Instant::now() + terms.header_read);
            }
            let came = std::future::poll_fn(|cx| {
                if let Poll::Ready(read) = self.poll_fill(cx, READ_BYTES) {
                    return Poll::Ready(read.is_ok_and(|count| count > 0));
                }
                if is_silent && stopped.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                timer.as_mut().poll(cx).map(|()| false)
            });
            if !came.await {
                return Start::Over;
            }
        }
    }

    /// Answers a call; nothing when the caller is gone.
    async fn call(&mut self, head: Head, terms: &Terms) -> Option<Stays> {
        let Head { request, direct, framing, closes, expects } = head;
        self.room = READ_BYTES;
        let (body, mut asked) = self.body(framing, expects);
        let request = with_peer(request, body, terms.peer);
        let response = {
            let answering = answer_directly(self.gate, request, direct);
            let mut answering = std::pin::pin!(answering);
            std::future::poll_fn(|cx| self.poll_call(cx, answering.as_mut(), &mut asked))
                .await
                .ok()?
        };
        let is_read = asked.is_none_or(|asked| asked.intake.is_over());
        let closes = closes || !is_read || terms.stop.is_cancelled();
        let answer = Answer::new(response, (closes, self.date.now()), &mut self.out);
        self.write(answer).await.ok()?;
        Some(match (is_read, closes) {
            (true, false) => Stays::Open,
            (true, true) => Stays::Closed,
            (false, _) => Stays::Unread,
        })
    }

    /// The body as the handler reads it; small ones are here already.
    fn body(&mut self, framing: Framing, expects: bool) -> (Body, Option<Asked>) {
        let here = match framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= self.came.len())
            }
            Framing::Chunked | Framing::Close => None,
        };
        match here {
            Some(0) => (Body::empty(), None),
            Some(length) if length <= COPIED_BYTES_MAX => {
                let bytes = Bytes::copy_from_slice(self.came.get(..length).unwrap_or_default());
                self.came.advance(length);
                (Body::from(bytes), None)
            }
            Some(length) => (Body::from(self.came.split_to(length).freeze()), None),
            None => {
                let intake = Intake::new(framing);
                (Body::new(intake.reader()), Some(Asked { intake, expects }))
            }
        }
    }

    /// Runs the handler, and reads for it what it asks for.
    fn poll_call(
        &mut self,
        cx: &mut Context<'_>,
        mut answering: Pin<&mut impl Future<Output = Response>>,
        asked: &mut Option<Asked>,
    ) -> Poll<io::Result<Response>> {
        loop {
            if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                return Poll::Ready(Ok(response));
            }
            let need = asked.as_ref().map_or(Need::Nothing, |a| a.intake.feed(&mut self.came));
            match (need, asked.as_mut()) {
                (Need::Fed, _) => {}
                (Need::Room(room), Some(asked)) => {
                    if std::mem::take(&mut asked.expects) && self.came.is_empty() {
                        self.out.put(CONTINUE);
                    }
                    // It goes out before anything else; who does not take it, sends no body.
                    let _told = self.out.poll_write(&mut self.stream, cx)?;
                    let room = if room == 0 { self.room } else { room };
                    let count = if self.ended { 0 } else { ready!(self.poll_fill(cx, room))? };
                    if count == 0 {
                        asked.intake.cut();
                    }
                }
                (Need::Nothing | Need::Room(_), _) => {
                    ready!(self.poll_ahead(cx, PROCESSING))?;
                }
            }
        }
    }

    /// Reads what comes while a request is answered: bytes of the next, or the end. Never ready
    /// but for a caller that is gone.
    fn poll_ahead(&mut self, cx: &mut Context<'_>, sign: &[u8]) -> Poll<io::Result<()>> {
        while !self.ended && self.came.len() < AHEAD_BYTES_MAX {
            ready!(self.poll_fill(cx, READ_BYTES))?;
        }
        if !self.ended {
            return Poll::Pending;
        }
        while let Some(look) = self.gone.next_look() {
            ready!(look.poll(cx));
            self.gone.looked();
            self.out.put(sign);
            ready!(self.out.poll_write(&mut self.stream, cx))?;
            // TLS may hold what the socket did not take.
            let _flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
        }
        Poll::Pending
    }

    /// Writes an answer whole.
    async fn write(&mut self, mut answer: Answer) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            loop {
                answer.poll_into(&mut self.out, cx);
                if !self.out.is_empty() {
                    ready!(self.out.poll_write(&mut self.stream, cx))?;
                    continue;
                }
                if let Some(error) = answer.broken() {
                    return Poll::Ready(Err(error));
                }
                if answer.is_over() {
                    return Poll::Ready(Ok(()));
                }
                // TLS may hold what the socket did not take.
                let _flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
                // Nothing to write and nothing to be had: the caller may leave meanwhile.
                let sign = answer.sign();
                return self.poll_ahead(cx, sign);
            }
        })
        .await?;
        self.stream.flush().await
    }

    /// Reads once, with this room; how many bytes came, 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.came.capacity().saturating_sub(self.came.len()) < room {
            self.came.reserve(room);
        }
        let room = self.came.capacity().saturating_sub(self.came.len());
        let count = {
            let read = std::pin::pin!(self.stream.read_buf(&mut self.came));
            ready!(read.poll(cx))?
        };
        self.ended |= count == 0;
        if count == room {
            self.room = self.room.saturating_mul(2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(count))
    }

    /// Closes a connection on which more may come: unread bytes would turn the close into a reset,
    /// which throws the answer away.
    async fn linger(&mut self) {
        let rest = async {
            self.stream.shutdown().await?;
            let mut waste = vec![0; 4 * 1024];
            while self.stream.read(&mut waste).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Who is gone, or never stops, has had its answer.
        let _left = timeout(LINGER, rest).await;
    }
}

/// A body that the handler may ask for.
struct Asked {
    intake: Intake,
    /// The caller waits for a word before it sends it.
    expects: bool,
}

/// What becomes of a connection after an answer.
enum Stays {
    /// It waits for the next request.
    Open,
    /// It is closed.
    Closed,
    /// It is closed, and the caller may still be sending.
    Unread,
}

fn with_peer(request: Request<()>, body: Body, peer: Peer) -> Request<Body> {
    let mut request = request.map(|()| body);
    request.extensions_mut().insert(peer);
    request
}
