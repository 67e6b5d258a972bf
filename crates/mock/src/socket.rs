//! The socket of one connection, which tells the body when everything written has left.

use futures_util::task::AtomicWaker;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Counts the moments at which nothing written was left in a buffer of ours.
///
/// The HTTP library flushes the socket only after it has emptied its own buffer; a body that waits
/// for the count to move knows that its last frame is on the wire. Cuts at a byte and events that
/// leave one by one rest on this.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicU64,
    waker: AtomicWaker,
}

impl Flushes {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Ready once the count is no longer `seen`.
    pub(crate) fn poll_past(&self, seen: u64, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.count() == seen { Poll::Pending } else { Poll::Ready(()) }
    }

    fn happened(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A TCP stream that counts its flushes.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    flushes: Arc<Flushes>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, flushes: Arc<Flushes>) -> Self {
        Self { stream, flushes }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.flushes.happened();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
