//! Looks whether a caller that closed its side of an HTTP/1.1 connection is still there.
//!
//! The end of a request's bytes says only that no more will come. Who is gone answers any byte with
//! a reset: so between two pieces of the answer a sign without a meaning is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway::lane::Gone;
use tokio::io::{AsyncRead, AsyncWrite};

/// Goes before the head of an answer and says nothing.
const PROCESSING: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
/// Goes before the length of a chunk and says nothing.
const ZERO: &[u8] = b"0";

/// What can be sent without changing what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sign {
    /// Nothing.
    Nothing = 0,
    /// Lines before the head of the answer.
    Processing = 1,
    /// Zeros before the length of the next chunk.
    Zero = 2,
}

impl Sign {
    /// The sign of this number.
    pub(super) fn of(number: u8) -> Self {
        match number {
            1 => Self::Processing,
            2 => Self::Zero,
            _ => Self::Nothing,
        }
    }
}

/// What is known of a connection's writes, and of who may have left it.
#[derive(Debug)]
pub(super) struct Looks {
    gone: Gone,
    /// What is left of a sign that has begun to go out.
    rest: &'static [u8],
    /// Nothing waits to be written: the place between two pieces.
    is_clean: bool,
    /// What could be sent when that was last so.
    clean_for: Sign,
}

impl Default for Looks {
    fn default() -> Self {
        let (gone, rest) = (Gone::default(), [].as_slice());
        Self { gone, rest, is_clean: true, clean_for: Sign::Nothing }
    }
}

impl Looks {
    /// Bytes of an answer go out, or wait.
    pub(super) fn writes(&mut self) {
        self.is_clean = false;
    }

    /// Everything is out.
    pub(super) fn flushed(&mut self, sign: Sign) {
        (self.is_clean, self.clean_for) = (true, sign);
    }

    /// Writes the rest of a sign, which has to go before anything else.
    pub(super) fn poll_rest<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let count = ready!(Pin::new(&mut *inner).poll_write(cx, self.rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest = self.rest.get(count..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the next look, and takes it; ready only with the error that says that nobody is
    /// there: after a reset the next sign cannot be written.
    pub(super) fn poll_left<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        sign: Sign,
        cx: &mut Context<'_>,
    ) -> Poll<io::Error> {
        while let Some(look) = self.gone.next_look() {
            ready!(look.poll(cx));
            self.gone.looked();
            if let Some(bytes) = self.bytes(sign) {
                self.rest = bytes;
            }
            let mut told = self.poll_rest(inner, cx);
            if let Poll::Ready(Ok(())) = told {
                told = Pin::new(&mut *inner).poll_flush(cx);
            }
            if let Poll::Ready(Err(error)) = told {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    fn bytes(&self, sign: Sign) -> Option<&'static [u8]> {
        let is_between = self.is_clean && self.rest.is_empty();
        match sign {
            Sign::Processing if is_between => Some(PROCESSING),
            // The head has to be out first.
            Sign::Zero if is_between && self.clean_for == Sign::Zero => Some(ZERO),
            _ => None,
        }
    }
}
