//! Watches how fast an HTTP/1 caller sends its headers, and how long it is silent between requests.
//!
//! hyper's own timer counts the silence of a kept-alive connection as a slow header, so that a pool
//! would lose its connections after a few seconds. Here the header's time begins with its first
//! byte.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Limit: silence between two requests of one connection.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Limit: how long a caller that was answered in the middle of its body may go on sending.
const LINGER: Duration = Duration::from_secs(2);

const SILENT: u8 = 0;
const HEADER: u8 = 1;
const BUSY: u8 = 2;
const CLOSING: u8 = 3;

/// What the connection is doing; shared with the service that knows where requests begin and end.
#[derive(Clone, Debug)]
pub(super) struct Pace(Arc<Doing>);

#[derive(Debug)]
struct Doing {
    now: AtomicU8,
    /// A request was answered before its body had come.
    unread: AtomicBool,
    /// Bytes without a meaning that the caller may be sent now.
    sign: parking_lot::Mutex<Option<&'static [u8]>>,
}

impl Pace {
    /// A connection whose first bytes are there.
    pub(super) fn new() -> Self {
        let now = AtomicU8::new(HEADER);
        let unread = AtomicBool::new(false);
        Self(Arc::new(Doing { now, unread, sign: parking_lot::Mutex::new(None) }))
    }

    /// The headers are complete; the request is the gateway's to time.
    pub(super) fn begin(&self) {
        self.0.now.store(BUSY, Ordering::Relaxed);
    }

    /// The response is out, or will never be.
    pub(super) fn end(&self) {
        self.0.now.store(SILENT, Ordering::Relaxed);
        self.expect(None);
    }

    /// From now on these bytes mean nothing to the caller, between two flushes; without any it is
    /// not looked whether it is gone.
    pub(super) fn expect(&self, sign: Option<&'static [u8]>) {
        *self.0.sign.lock() = sign;
    }

    /// What means nothing to the caller now.
    pub(super) fn sign(&self) -> Option<&'static [u8]> {
        *self.0.sign.lock()
    }

    /// The rest of a request's body is of no interest; its caller may still be sending it.
    pub(super) fn leave_unread(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }
}

/// A stream that fails when its caller is too slow.
#[derive(Debug)]
pub(super) struct Paced<S> {
    inner: S,
    pace: Pace,
    header: Duration,
    /// What the timer was last set for.
    timed: u8,
    timer: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// Watches `inner`; a request's headers may take `header`.
    pub(super) fn new(inner: S, pace: Pace, header: Duration) -> Self {
        Self { inner, pace, header, timed: HEADER, timer: Box::pin(tokio::time::sleep(header)) }
    }

    fn time(&mut self, doing: u8) {
        let limit = match doing {
            HEADER => self.header,
            CLOSING => LINGER,
            _ => KEEP_ALIVE,
        };
        self.timer.as_mut().reset(Instant::now() + limit);
        self.timed = doing;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, into);
        let doing = self.pace.0.now.load(Ordering::Relaxed);
        match polled {
            Poll::Ready(result) => {
                if doing == SILENT && into.filled().len() > before {
                    self.pace.0.now.store(HEADER, Ordering::Relaxed);
                    self.time(HEADER);
                }
                return Poll::Ready(result);
            }
            Poll::Pending if doing == BUSY => {
                self.timed = BUSY;
                return Poll::Pending;
            }
            Poll::Pending => {}
        }
        if self.timed != doing {
            self.time(doing);
        }
        ready!(self.timer.as_mut().poll(cx));
        if doing == HEADER {
            let slow = io::Error::new(io::ErrorKind::TimedOut, "the request headers took too long");
            return Poll::Ready(Err(slow));
        }
        // Nothing read and no error is the end of the stream: hyper closes without complaint.
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Throws away what still comes, until the caller has hung up too or has had its time.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [MaybeUninit::uninit(); 4096];
        loop {
            let mut into = ReadBuf::uninit(&mut waste);
            match Pin::new(&mut self.inner).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    // A caller that never pauses must not keep us here.
                    if self.timer.is_elapsed() || self.timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.timer.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.timed != CLOSING {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.time(CLOSING);
        }
        // Unread bytes would turn our close into a reset, which throws the answer away.
        if self.pace.0.unread.load(Ordering::Relaxed) {
            ready!(self.poll_drain(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Paced};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_slow_header_fails_and_a_silent_pause_only_ends() {
        let (mut caller, ours) = tokio::io::duplex(64);
        let pace = Pace::new();
        let header = Duration::from_secs(10);
        let mut paced = Paced::new(ours, pace.clone(), header);
        let started = Instant::now();
        let error = paced.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 10);

        // A byte every nine seconds is a slow header too: its time began with the first.
        pace.end();
        let started = Instant::now();
        caller.write_all(b"G").await.unwrap();
        assert_eq!(paced.read_u8().await.unwrap(), b'G');
        let slow = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            caller.write_all(b"E").await.unwrap();
        };
        let (byte, ()) = tokio::join!(paced.read_u8(), slow);
        assert_eq!(byte.unwrap(), b'E');
        assert!(paced.read_u8().await.is_err());
        assert_eq!(started.elapsed().as_secs(), 10);

        pace.end();
        let mut nothing = [0];
        assert_eq!(paced.read(&mut nothing).await.unwrap(), 0);
        assert!(started.elapsed().as_secs() >= 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_not_timed_here() {
        let (mut caller, ours) = tokio::io::duplex(64);
        let pace = Pace::new();
        let mut paced = Paced::new(ours, pace.clone(), Duration::from_secs(10));
        pace.begin();
        let late = async {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            caller.write_all(b"x").await.unwrap();
        };
        let (byte, ()) = tokio::join!(paced.read_u8(), late);
        assert_eq!(byte.unwrap(), b'x');
    }
}
