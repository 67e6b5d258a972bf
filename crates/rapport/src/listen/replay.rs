//! A stream that gives back the bytes that were read to find out what it speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `inner` with `first` in front of what it still sends, and what has to live as long as it does.
#[derive(Debug)]
pub(super) struct Replay<S, K = ()> {
    first: BytesMut,
    inner: S,
    _kept: K,
}

impl<S> Replay<S> {
    /// Puts `first` in front of `inner`.
    pub(super) fn new(first: BytesMut, inner: S) -> Self {
        Self { first, inner, _kept: () }
    }
}

impl<S, K> Replay<S, K> {
    /// Puts `first` in front of `inner`, and drops `kept` with it: a WebSocket takes the stream
    /// away from the HTTP connection that it began as.
    pub(super) fn keeping(first: BytesMut, inner: S, kept: K) -> Self {
        Self { first, inner, _kept: kept }
    }
}

impl<S: AsyncRead + Unpin, K: Unpin> AsyncRead for Replay<S, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, into);
        }
        let length = self.first.len().min(into.remaining());
        into.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        if self.first.is_empty() {
            // The few bytes need no buffer for the rest of a long connection.
            self.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, K: Unpin> AsyncWrite for Replay<S, K> {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
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
