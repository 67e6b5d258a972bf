//! What goes out for one request, kept until it was read: a client that lost its stream reads on.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Limit: messages kept per stream; the oldest go first.
const MESSAGES_MAX: usize = 4096;
/// Limit: bytes kept per stream.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// The messages of one request: notifications, questions to the client, at last the answer.
#[derive(Debug)]
pub(crate) struct Replay {
    number: u64,
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Number and text, the numbers rising from 1.
    messages: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    last: u64,
    ended: bool,
    /// How often the readers were sent away to come back later.
    cuts: u64,
}

/// What a reader gets next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// A message and its number.
    Message(u64, Arc<str>),
    /// The reader is sent away; the stream goes on.
    Cut,
    /// All was read.
    End,
}

impl Replay {
    pub(crate) fn new(number: u64) -> Arc<Self> {
        let version = watch::Sender::new(0);
        Arc::new(Self { number, state: Mutex::default(), version })
    }

    /// The stream's number within its session.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Adds a message.
    pub(crate) fn push(&self, text: String) {
        self.change(|state| state.push(text));
    }

    /// Adds the last message, or ends without one.
    pub(crate) fn end(&self, text: Option<String>) {
        self.change(|state| {
            if let Some(text) = text {
                state.push(text);
            }
            state.ended = true;
        });
    }

    /// Sends the present readers away.
    pub(crate) fn cut(&self) {
        self.change(|state| state.cuts += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.state.lock();
            if state.ended {
                return;
            }
            change(&mut state);
        }
        self.version.send_modify(|version| *version += 1);
    }

    /// Reads what comes after the message with this number.
    pub(crate) fn read_after(self: &Arc<Self>, after: u64) -> Reader {
        let cuts = self.state.lock().cuts;
        Reader { replay: Arc::clone(self), version: self.version.subscribe(), after, cuts }
    }

    /// Whether the answer is there and was read by nobody else than this message's reader.
    pub(crate) fn is_over_at(&self, number: u64) -> bool {
        let state = self.state.lock();
        state.ended && state.last <= number
    }
}

impl State {
    fn push(&mut self, text: String) {
        self.last += 1;
        self.bytes += text.len();
        self.messages.push_back((self.last, text.into()));
        while self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            let Some((_, gone)) = self.messages.pop_front() else { return };
            self.bytes -= gone.len();
            if self.messages.is_empty() {
                // A single message above the limit must still reach its reader.
                self.bytes = gone.len();
                self.messages.push_back((self.last, gone));
                return;
            }
        }
    }
}

/// One reader of a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    replay: Arc<Replay>,
    version: watch::Receiver<u64>,
    after: u64,
    cuts: u64,
}

impl Reader {
    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            self.version.mark_unchanged();
            if let Some(next) = self.look() {
                return next;
            }
            if self.version.changed().await.is_err() {
                return Next::End;
            }
        }
    }

    fn look(&mut self) -> Option<Next> {
        let state = self.replay.state.lock();
        let found = state.messages.iter().find(|(number, _)| *number > self.after);
        if let Some((number, text)) = found {
            self.after = *number;
            return Some(Next::Message(*number, Arc::clone(text)));
        }
        if state.ended {
            return Some(Next::End);
        }
        (state.cuts != self.cuts).then_some(Next::Cut)
    }

    pub(crate) fn replay(&self) -> &Arc<Replay> {
        &self.replay
    }

    /// The number of the last message that was read.
    pub(crate) fn after(&self) -> u64 {
        self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_comes_back_reads_on_where_it_was() {
        let replay = Replay::new(1);
        let mut first = replay.read_after(0);
        replay.push("a".to_owned());
        assert_eq!(first.next().await, Next::Message(1, "a".into()));
        replay.cut();
        assert_eq!(first.next().await, Next::Cut);
        replay.push("b".to_owned());
        replay.end(Some("c".to_owned()));
        replay.push("too late".to_owned());
        let mut second = replay.read_after(1);
        assert_eq!(second.next().await, Next::Message(2, "b".into()));
        assert!(!replay.is_over_at(2));
        assert_eq!(second.next().await, Next::Message(3, "c".into()));
        assert_eq!(second.next().await, Next::End);
        assert!(replay.is_over_at(3));
    }

    #[tokio::test]
    async fn old_messages_go_when_too_many_came() {
        let replay = Replay::new(1);
        for n in 0..MESSAGES_MAX + 10 {
            replay.push(n.to_string());
        }
        let mut reader = replay.read_after(0);
        assert_eq!(reader.next().await, Next::Message(11, "10".into()));
        let huge = "x".repeat(BYTES_MAX + 1);
        replay.push(huge.clone());
        let mut reader = replay.read_after(0);
        let Next::Message(_, text) = reader.next().await else { panic!("the huge one") };
        assert_eq!(text.len(), huge.len());
    }
}
