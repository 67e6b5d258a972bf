//! The body of a reply as a list of steps: send, pause, cut, stall.

use crate::script::Reply;
use crate::server::State;
use crate::socket::Flushes;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// One step of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// One write; the next step begins when it has left.
    Send(Bytes),
    Pause(Duration),
    /// The connection closes.
    Cut,
    /// Nothing more comes until the caller leaves.
    Stall,
}

/// Turns a body, given as pieces with the pause before each, into steps.
pub(crate) fn plan(pieces: Vec<(Duration, Bytes)>, reply: &Reply) -> VecDeque<Step> {
    let pieces = match reply.chunk_bytes {
        Some(bytes) => rechunked(pieces, bytes.max(1), reply.chunk_pause_ms),
        None => pieces,
    };
    let end = match (reply.cut_at, reply.stall_at) {
        (Some(cut), Some(stall)) if stall < cut => Some((stall, Step::Stall)),
        (Some(cut), _) => Some((cut, Step::Cut)),
        (None, Some(stall)) => Some((stall, Step::Stall)),
        (None, None) => None,
    };
    let mut room = end.as_ref().map_or(usize::MAX, |(at, _)| *at);
    let mut steps = VecDeque::new();
    for (pause, mut bytes) in pieces {
        if room == 0 {
            break;
        }
        if !pause.is_zero() {
            steps.push_back(Step::Pause(pause));
        }
        bytes.truncate(room);
        room -= bytes.len();
        steps.push_back(Step::Send(bytes));
    }
    // A body that ends before the place is left alone.
    if let Some((_, step)) = end.filter(|_| room == 0) {
        steps.push_back(step);
    }
    steps
}

/// Joins what has no pause in between and cuts it anew, without regard to events.
fn rechunked(pieces: Vec<(Duration, Bytes)>, size: usize, pause_ms: u64) -> Vec<(Duration, Bytes)> {
    let mut runs: Vec<(Duration, BytesMut)> = Vec::new();
    for (pause, bytes) in pieces {
        match runs.last_mut() {
            Some((_, run)) if pause.is_zero() => run.extend_from_slice(&bytes),
            _ => runs.push((pause, BytesMut::from(&*bytes))),
        }
    }
    let mut chunks = Vec::new();
    for (mut pause, run) in runs {
        let mut run = run.freeze();
        while !run.is_empty() {
            chunks.push((pause, run.split_to(size.min(run.len()))));
            pause = Duration::from_millis(pause_ms);
        }
    }
    chunks
}

/// A body that plays its steps.
#[derive(Debug)]
pub(crate) struct Playback {
    steps: VecDeque<Step>,
    /// The bytes that the head announced and that are not sent yet; `None` for a stream.
    announced: Option<u64>,
    flushes: Arc<Flushes>,
    /// The flush count at the last write, while it may not have left yet.
    leaving: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Told when the caller leaves before the end.
    state: Arc<State>,
}

impl Playback {
    pub(crate) fn new(
        steps: VecDeque<Step>,
        announced: Option<u64>,
        flushes: Arc<Flushes>,
        state: Arc<State>,
    ) -> Self {
        // A cut as the first step still lets the head leave.
        let leaving = matches!(steps.front(), Some(Step::Cut)).then(|| flushes.count());
        Self { steps, announced, flushes, leaving, sleep: None, state }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            if let Some(seen) = self.leaving {
                ready!(self.flushes.poll_past(seen, cx));
                self.leaving = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Pause(pause)) => {
                    self.sleep = Some(Box::pin(tokio::time::sleep(pause)));
                }
                Some(Step::Send(bytes)) => {
                    self.leaving = Some(self.flushes.count());
                    if let Some(announced) = &mut self.announced {
                        let sent = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                        *announced = announced.saturating_sub(sent);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Cut) => return Poll::Ready(Some(Err(Cut))),
                Some(Step::Stall) => {
                    // The connection's task ends it: the caller leaves, or the server stops.
                    self.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        if !self.steps.is_empty() {
            self.state.caller_left();
        }
    }
}

/// The scripted end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut by the script")
    }
}

impl std::error::Error for Cut {}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(text: &'static str) -> Step {
        Step::Send(Bytes::from_static(text.as_bytes()))
    }

    #[track_caller]
    fn check(reply: &Reply, expected: &[Step]) {
        let pieces = [(0, "abcd"), (0, "efg"), (5, "hi")];
        let pieces = pieces
            .map(|(ms, text)| (Duration::from_millis(ms), Bytes::from_static(text.as_bytes())));
        assert_eq!(plan(pieces.to_vec(), reply), expected);
    }

    #[test]
    fn events_leave_one_by_one() {
        let pause = Step::Pause(Duration::from_millis(5));
        check(&Reply::default(), &[send("abcd"), send("efg"), pause, send("hi")]);
    }

    #[test]
    fn pieces_split_events_but_not_pauses() {
        let reply = Reply { chunk_bytes: Some(3), chunk_pause_ms: 1, ..Reply::default() };
        let (one, five) = (Duration::from_millis(1), Duration::from_millis(5));
        check(
            &reply,
            &[
                send("abc"),
                Step::Pause(one),
                send("def"),
                Step::Pause(one),
                send("g"),
                Step::Pause(five),
                send("hi"),
            ],
        );
    }

    #[test]
    fn a_cut_keeps_exactly_the_bytes_before_it() {
        check(
            &Reply { cut_at: Some(5), ..Reply::default() },
            &[send("abcd"), send("e"), Step::Cut],
        );
        check(&Reply { cut_at: Some(0), ..Reply::default() }, &[Step::Cut]);
    }

    #[test]
    fn the_nearer_of_cut_and_stall_wins() {
        let reply = Reply { cut_at: Some(5), stall_at: Some(4), ..Reply::default() };
        check(&reply, &[send("abcd"), Step::Stall]);
    }

    #[test]
    fn a_cut_behind_the_end_changes_nothing() {
        let pause = Step::Pause(Duration::from_millis(5));
        let reply = Reply { cut_at: Some(10), ..Reply::default() };
        check(&reply, &[send("abcd"), send("efg"), pause, send("hi")]);
    }
}
