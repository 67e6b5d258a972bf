//! The body of a request on its way from the connection to the handler that reads it.
//!
//! The connection's own task runs the handler: nothing is read before the handler asks for it, and
//! no other task has to be woken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use wire::frame::body::{Framing, Meter, Misframed, Next, Pieces};

/// Limit: bytes of a body that come to its reader in one piece, without being copied together.
const WHOLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Both ends of a body.
#[derive(Clone, Debug)]
pub(super) struct Intake(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    coming: Coming,
    /// The next piece.
    ready: Option<Bytes>,
    broken: Option<io::Error>,
    /// Who waits for it.
    waiting: Option<Waker>,
    /// Bytes of a body of known length that have not come yet.
    left: Option<u64>,
}

#[derive(Debug)]
enum Coming {
    /// A body of known length that is gathered before it is given.
    Whole(usize),
    /// Piece by piece.
    Pieces(Pieces),
    Over,
}

/// What can be done for a reader.
pub(super) enum Need {
    /// Nothing: it does not wait.
    Nothing,
    /// It has what it waited for.
    Fed,
    /// So much room for bytes that have to be read first; 0 where it is not known how many.
    Room(usize),
}

impl Intake {
    pub(super) fn new(framing: Framing) -> Self {
        let coming = match framing {
            Framing::Length(length) if length <= WHOLE_BYTES_MAX => {
                Coming::Whole(usize::try_from(length).unwrap_or(0))
            }
            framing => Coming::Pieces(Pieces::new(Meter::strict(framing))),
        };
        let left = match framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        let (ready, broken, waiting) = (None, None, None);
        Self(Arc::new(Mutex::new(Inside { coming, ready, broken, waiting, left })))
    }

    /// The end that a handler reads.
    pub(super) fn reader(&self) -> Reader {
        Reader(self.clone())
    }

    /// Whether all of it was read from the connection.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.0.lock().coming, Coming::Over)
    }

    /// Gives a reader that waits what has come; says what it needs where that is not enough.
    pub(super) fn feed(&self, came: &mut BytesMut) -> Need {
        let mut inside = self.0.lock();
        if inside.waiting.is_none() {
            return Need::Nothing;
        }
        let room = match &mut inside.coming {
            Coming::Over => return Need::Nothing,
            Coming::Whole(length) if came.len() < *length => {
                let room = length.saturating_sub(came.len());
                inside.left = Some(room as u64);
                return Need::Room(room);
            }
            Coming::Whole(length) => {
                let bytes = came.split_to(*length).freeze();
                inside.ready = Some(bytes);
                inside.coming = Coming::Over;
                None
            }
            Coming::Pieces(pieces) => match pieces.next(came) {
                Ok(Next::More) => Some(0),
                Ok(Next::Data(bytes)) => {
                    inside.left = inside.left.map(|left| left.saturating_sub(bytes.len() as u64));
                    inside.ready = Some(bytes);
                    None
                }
                Ok(Next::End) => {
                    inside.coming = Coming::Over;
                    None
                }
                Err(why) => {
                    inside.broken = Some(io::Error::new(io::ErrorKind::InvalidData, said(why)));
                    None
                }
            },
        };
        if let Some(room) = room {
            return Need::Room(room);
        }
        let waiting = inside.waiting.take();
        drop(inside);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Need::Fed
    }

    /// The connection ended, and no more will come.
    pub(super) fn cut(&self) {
        let mut inside = self.0.lock();
        inside.broken = Some(io::ErrorKind::UnexpectedEof.into());
        let waiting = inside.waiting.take();
        drop(inside);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

fn said(why: Misframed) -> &'static str {
    match why {
        Misframed::Chunk => "a chunk of the body is not framed as it says",
        Misframed::Endless => "a line between two chunks of the body, or the trailers, have no end",
    }
}

/// The end of a body that is read.
#[derive(Debug)]
pub(super) struct Reader(Intake);

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut inside = self.0.0.lock();
        if let Some(bytes) = inside.ready.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(error) = inside.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if matches!(inside.coming, Coming::Over) {
            return Poll::Ready(None);
        }
        inside.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let inside = self.0.0.lock();
        matches!(inside.coming, Coming::Over) && inside.ready.is_none() && inside.broken.is_none()
    }

    /// What is still to come: who watches it sees that something comes before there is a piece.
    fn size_hint(&self) -> SizeHint {
        let inside = self.0.0.lock();
        match (&inside.coming, inside.left) {
            (Coming::Over, _) => {
                SizeHint::with_exact(inside.ready.as_ref().map_or(0, Bytes::len) as u64)
            }
            (Coming::Whole(_), Some(left)) => {
                let mut hint = SizeHint::default();
                hint.set_lower(left);
                hint
            }
            (Coming::Pieces(_), Some(left)) => SizeHint::with_exact(left),
            (_, None) => SizeHint::default(),
        }
    }
}
