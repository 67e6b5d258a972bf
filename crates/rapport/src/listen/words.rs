//! Gives hyper's own refusals a body: it answers heads that it cannot read with a status alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refuse::{Reason, answer};
use super::sniff::Protocol;

/// A stream on which no refusal goes out without words.
#[derive(Debug)]
pub(super) struct Worded<S> {
    inner: S,
    /// What is written in the place of a refusal.
    said: Bytes,
}

impl<S> Worded<S> {
    /// Watches what is written to `inner`.
    pub(super) fn new(inner: S) -> Self {
        Self { inner, said: Bytes::new() }
    }
}

impl<S: AsyncWrite + Unpin> Worded<S> {
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.said.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.said))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.said.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// The words for a head of hyper's own: every answer of ours names itself.
fn words(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let text = std::str::from_utf8(bytes).ok()?;
    let is_bare = text.contains("content-length: 0\r\n") && text.ends_with("\r\n\r\n");
    if !is_bare || text.contains("server: rapport\r\n") {
        return None;
    }
    let reason = match status {
        b"400" => Reason::Unread,
        b"414" => Reason::LongTarget,
        b"431" => Reason::LongHead,
        _ => return None,
    };
    Some(answer(reason, Protocol::Http))
}

impl<S: AsyncRead + Unpin> AsyncRead for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Worded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_said(cx))?;
        if let Some(words) = words(bytes) {
            self.said = words.into();
            // What does not go out now goes out with the flush.
            if let Poll::Ready(Err(error)) = self.poll_said(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [one] = slices {
            return self.poll_write(cx, one);
        }
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::Worded;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_bare_refusal_gets_words_and_everything_else_stays() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\n\r\n";
        let ours = "HTTP/1.1 400 Bad Request\r\nserver: rapport\r\ncontent-length: 0\r\n\r\n";
        for (sent, wanted) in [(bare, None), (ours, Some(ours)), ("any bytes", Some("any bytes"))] {
            // Less room than the words need: what does not fit waits for the flush.
            let (mut caller, stream) = tokio::io::duplex(16);
            let write = async move {
                let mut stream = Worded::new(stream);
                stream.write_all(sent.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            };
            let mut said = String::new();
            let (read, ()) = tokio::join!(caller.read_to_string(&mut said), write);
            read.unwrap();
            match wanted {
                Some(wanted) => assert_eq!(said, wanted),
                None => {
                    assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
                    assert!(said.contains("64 KiB"), "{said}");
                }
            }
        }
    }
}
