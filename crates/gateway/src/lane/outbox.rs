//! What is to be written: small pieces are gathered, large ones go out as they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Limit: bytes of a piece that is copied to its neighbours.
const SMALL_BYTES_MAX: usize = 4 * 1024;
/// Limit: pieces of one write.
const SLICES_MAX: usize = 16;
/// Limit: bytes that wait before a response is asked for more of them.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Bytes on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Bytes>,
    /// What comes after the pieces.
    last: BytesMut,
    waiting: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether enough waits.
    pub(super) fn is_full(&self) -> bool {
        self.waiting >= WAITING_BYTES_MAX
    }

    /// Adds a few bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.waiting = self.waiting.saturating_add(bytes.len());
        self.last.put_slice(bytes);
    }

    /// Adds bytes of a body.
    pub(super) fn send(&mut self, bytes: Bytes) {
        if bytes.len() <= SMALL_BYTES_MAX {
            return self.put(&bytes);
        }
        self.waiting = self.waiting.saturating_add(bytes.len());
        if !self.last.is_empty() {
            self.pieces.push_back(self.last.split().freeze());
        }
        self.pieces.push_back(bytes);
    }

    /// Adds bytes of a body as a chunk.
    pub(super) fn send_chunk(&mut self, bytes: Bytes) {
        let mut line = [0_u8; 20];
        let mut rest = line.as_mut_slice();
        // Sixteen digits and a line end always fit.
        let _fits = write!(rest, "{:X}\r\n", bytes.len());
        let left = rest.len();
        self.put(line.get(..line.len().saturating_sub(left)).unwrap_or_default());
        self.send(bytes);
        self.put(b"\r\n");
    }

    /// Writes until nothing is left.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let stream = Pin::new(&mut *stream);
            let count = if self.pieces.is_empty() {
                ready!(stream.poll_write(cx, &self.last))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let pieces = self.pieces.iter().map(|piece| &**piece);
                let all = pieces.chain(std::iter::once(&*self.last));
                for (slice, piece) in slices.iter_mut().zip(all) {
                    *slice = IoSlice::new(piece);
                }
                ready!(stream.poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        self.waiting = self.waiting.saturating_sub(count);
        while let Some(first) = self.pieces.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count = count.saturating_sub(first.len());
            self.pieces.pop_front();
        }
        self.last.advance(count);
    }
}
