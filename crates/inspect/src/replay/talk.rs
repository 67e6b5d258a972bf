//! Says again what a caller said message by message: each when as much was answered as then.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::capture::{Ending, Entry, Exchange, Way};
use crate::proxy::Duplex;
use crate::websocket::{self, CLOSE, PING, PONG};

/// Limit: bytes of a frame that is read whole; of longer ones only the kind is.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How long an answer is waited for before the next message goes out without it.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the other side may take to close once all is said.
const CLOSING: Duration = Duration::from_secs(2);
/// The code of a normal end.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// What is said, and how much is answered.
#[derive(Debug, Default)]
pub(super) struct Talk {
    is_websocket: bool,
    steps: VecDeque<Step>,
    /// Answers in all.
    answers: usize,
}

#[derive(Debug)]
struct Step {
    bytes: Vec<u8>,
    /// So many answers had come before it.
    after: usize,
    closes: bool,
}

/// What the caller of a WebSocket said. Pongs are left out: they answer pings of then.
pub(super) fn websocket(exchange: &Exchange) -> Talk {
    let mut talk = Talk { is_websocket: true, ..Talk::default() };
    for message in websocket::messages(exchange) {
        if !message.from_caller {
            talk.answers += usize::from(message.is_data());
        } else if message.kind != PONG && !message.is_broken {
            talk.steps.push_back(Step {
                bytes: websocket::write(message.kind, &message.payload, true),
                after: talk.answers,
                closes: message.kind == CLOSE,
            });
        }
    }
    talk
}

/// What the caller of a bare connection said, piece by piece as it came.
pub(super) fn lines(exchange: &Exchange) -> Talk {
    let mut pieces = Vec::new();
    exchange.asked.each_piece(0, |piece, at| pieces.push((at, Some(piece.to_vec()))));
    exchange.answered.each_piece(0, |piece, at| {
        pieces.extend((0..answers(piece)).map(|_| (at, None)));
    });
    pieces.sort_by_key(|(at, _)| *at);
    let mut talk = Talk::default();
    for (_, said) in pieces {
        match said {
            Some(bytes) => {
                talk.steps.push_back(Step { bytes, after: talk.answers, closes: false });
            }
            None => talk.answers += 1,
        }
    }
    talk
}

/// How many answers end in these bytes.
fn answers(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| **byte == b'\n').count()
}

/// How far a talk is.
#[derive(Default)]
struct State {
    said: usize,
    heard: usize,
    closed: bool,
    /// What came of a frame that is not whole.
    held: Vec<u8>,
    /// So many bytes of a frame that is too long are still to come.
    skipped: usize,
}

impl Talk {
    /// Says everything, and listens until as much was answered as then, or nothing comes any more.
    pub(super) async fn hold(
        &self,
        entry: &Entry,
        stream: &mut Box<dyn Duplex>,
        ahead: Vec<u8>,
    ) -> Ending {
        let mut state = State::default();
        let mut buffer = vec![0; 32 * 1024];
        let mut answer = self.taken(&mut state, &ahead);
        loop {
            if self.speak(entry, stream, (&mut state, &answer)).await.is_err() {
                return Ending::CutByTarget;
            }
            let wait = if state.closed { CLOSING } else { ANSWER };
            let piece = match tokio::time::timeout(wait, stream.read(&mut buffer)).await {
                Ok(Ok(length)) => buffer.get(..length).unwrap_or_default(),
                Ok(Err(_)) => &[],
                Err(_) if state.closed => return Ending::Whole,
                Err(_) => {
                    // One that does not come holds up nothing any more.
                    let next = self.steps.get(state.said).map_or(self.answers, |step| step.after);
                    state.heard = state.heard.max(next);
                    answer.clear();
                    continue;
                }
            };
            if piece.is_empty() {
                let is_over = state.closed || state.said >= self.steps.len();
                return if is_over { Ending::Whole } else { Ending::CutByTarget };
            }
            let now = entry.elapsed();
            entry.push(Way::Answered, piece);
            entry.change(|page| page.times.first = page.times.first.or(Some(now)));
            answer = self.taken(&mut state, piece);
        }
    }

    /// Takes what came; gives what the protocol answers to it.
    fn taken(&self, state: &mut State, piece: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if !self.is_websocket {
            state.heard += answers(piece);
            return answer;
        }
        let late = state.skipped.min(piece.len());
        state.skipped -= late;
        state.held.extend_from_slice(piece.get(late..).unwrap_or_default());
        while let Some(end) = websocket::whole(&state.held) {
            let is_here = end <= state.held.len();
            if !is_here && end <= FRAME_BYTES_MAX {
                break;
            }
            // Of one that is too long nothing is kept but its head.
            state.skipped = end.saturating_sub(state.held.len());
            let frame: Vec<u8> = state.held.drain(..end.min(state.held.len())).collect();
            let Some(frame) = websocket::read(&frame) else { continue };
            match frame.kind {
                PING => answer.extend(websocket::write(PONG, &frame.payload, true)),
                CLOSE if !state.closed => {
                    state.closed = true;
                    answer.extend(websocket::write(CLOSE, &frame.payload, true));
                }
                kind if kind < CLOSE && frame.is_last => state.heard += 1,
                _ => {}
            }
        }
        answer
    }

    /// Says what is due, and closes when all is said and answered.
    async fn speak(
        &self,
        entry: &Entry,
        stream: &mut Box<dyn Duplex>,
        (state, answer): (&mut State, &[u8]),
    ) -> std::io::Result<()> {
        if !answer.is_empty() {
            stream.write_all(answer).await?;
            entry.push(Way::Asked, answer);
        }
        while let Some(step) = self.steps.get(state.said) {
            if step.after > state.heard || state.closed {
                return Ok(());
            }
            stream.write_all(&step.bytes).await?;
            entry.push(Way::Asked, &step.bytes);
            state.said += 1;
            state.closed |= step.closes;
        }
        if state.heard >= self.answers && !state.closed {
            state.closed = true;
            if self.is_websocket {
                let close = websocket::write(CLOSE, &NORMAL, true);
                stream.write_all(&close).await?;
                entry.push(Way::Asked, &close);
            } else {
                stream.shutdown().await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Talk};
    use crate::websocket::{TEXT, write};

    #[test]
    fn a_frame_that_never_ends_is_not_kept() {
        let talk = Talk { is_websocket: true, ..Talk::default() };
        let mut state = State::default();
        let mut head = vec![0x82, 127];
        head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
        talk.taken(&mut state, &head);
        for _ in 0..100 {
            talk.taken(&mut state, &[b'x'; 32 * 1024]);
        }
        assert!(state.held.is_empty());
        assert_eq!(state.heard, 1);
    }

    #[test]
    fn a_long_frame_is_counted_once_and_what_follows_is_read() {
        let talk = Talk { is_websocket: true, ..Talk::default() };
        let mut state = State::default();
        let long = write(TEXT, &vec![b'x'; super::FRAME_BYTES_MAX], false);
        for piece in [long, write(TEXT, b"next", false)].concat().chunks(100_000) {
            talk.taken(&mut state, piece);
        }
        assert_eq!((state.heard, state.skipped, state.held.len()), (2, 0, 0));
    }
}
