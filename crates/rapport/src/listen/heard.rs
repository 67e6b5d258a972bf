//! Hears of a caller that leaves while its request is answered, from below the general server.
//!
//! hyper does not read while it answers a caller that may end its own side and still wait. Here
//! what comes meanwhile is read and kept for it, and a caller that has ended its side is shown
//! signs without a meaning: who is gone answers them with a reset ([`Gone`]).
//!
//! Signs go out with a flush alone: hyper flushes whenever it has done what it could, and then all
//! that it had to say before is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use gateway::lane::Gone;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::pace::Pace;

/// Limit: bytes that are kept for hyper.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Room for a read.
const ROOM: usize = 1024;

/// A stream that fails when its caller is gone.
#[derive(Debug)]
pub(super) struct Heard<S> {
    inner: S,
    pace: Pace,
    /// What came while nobody read.
    ahead: BytesMut,
    /// The caller has said all it will say.
    ended: bool,
    gone: Gone,
    /// What is left to write of a sign.
    sign: &'static [u8],
}

impl<S> Heard<S> {
    /// Listens to `inner` while the pace says that there is a sign for its caller.
    pub(super) fn new(inner: S, pace: Pace) -> Self {
        let (ahead, gone) = (BytesMut::new(), Gone::default());
        Self { inner, pace, ahead, ended: false, gone, sign: b"" }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Heard<S> {
    /// Reads what is there. Whoever waits for it is woken: it is here now, not on the socket.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut is_new = false;
        while !self.ended && self.ahead.len() < AHEAD_BYTES_MAX {
            self.ahead.reserve(ROOM);
            let read = std::pin::pin!(self.inner.read_buf(&mut self.ahead)).poll(cx);
            match read {
                Poll::Ready(Ok(count)) => self.ended = count == 0,
                // TLS that ends without a word of farewell: the signs tell.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
            is_new = true;
        }
        if is_new {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Writes what is left of a sign.
    fn poll_sign(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sign.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, self.sign))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sign.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Finds out whether the caller is gone, as far as that can be told now.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sign) = self.pace.sign() else { return Poll::Ready(Ok(())) };
        self.poll_ahead(cx)?;
        while self.ended
            && let Some(look) = self.gone.next_look()
        {
            if look.poll(cx).is_pending() {
                break;
            }
            self.gone.looked();
            self.sign = sign;
            ready!(self.poll_sign(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(into.remaining());
            into.put_slice(&self.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sign(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gone(cx))?;
        ready!(self.poll_sign(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sign(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sign(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;
    use crate::listen::pace::Pace;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Flushes again and again, as a server does that is woken.
    async fn flush(heard: &mut Heard<tokio::io::DuplexStream>) -> std::io::Result<()> {
        for _ in 0..12 {
            heard.flush().await?;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_meanwhile_is_read_later_in_its_order() {
        let (mut caller, ours) = tokio::io::duplex(64);
        let pace = Pace::new();
        let mut heard = Heard::new(ours, pace.clone());
        pace.expect(Some(b"sign "));
        caller.write_all(b"one ").await.unwrap();
        flush(&mut heard).await.unwrap();
        caller.write_all(b"two").await.unwrap();
        caller.shutdown().await.unwrap();
        flush(&mut heard).await.unwrap();
        pace.expect(None);
        let mut came = String::new();
        heard.read_to_string(&mut came).await.unwrap();
        assert_eq!(came, "one two");
        heard.write_all(b"answer").await.unwrap();
        drop(heard);
        let mut said = String::new();
        caller.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "sign sign sign sign sign answer", "who still listens gets everything");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_gone_is_found_out_while_it_is_answered_alone() {
        let (caller, ours) = tokio::io::duplex(64);
        let pace = Pace::new();
        let mut heard = Heard::new(ours, pace.clone());
        drop(caller);
        flush(&mut heard).await.unwrap();
        pace.expect(Some(b"sign"));
        flush(&mut heard).await.unwrap_err();
    }
}
