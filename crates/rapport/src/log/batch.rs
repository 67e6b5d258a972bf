//! Log lines on their way out: gathered where they are made, written many at a time by a thread.
//!
//! A line costs its maker one copy under a lock. Waking a thread and calling the system for every
//! line would cost a busy server more than the requests that the lines are about.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Limit: bytes of log that wait for the terminal or the disk.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// Limit: how long the end of the program waits for a terminal or disk that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that found no room since it was last told.
    dropped: u64,
    closed: bool,
    /// All that came before the end was written.
    over: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    change: Condvar,
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes.len().saturating_add(line.len()) > WAITING_BYTES_MAX {
            waiting.dropped += 1;
            return;
        }
        let was_empty = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            self.change.notify_all();
        }
    }

    /// Waits for lines, gathers more, and swaps them against `empty`; how many were dropped.
    /// `None` when there will be no more.
    fn take(&self, empty: &mut Vec<u8>) -> Option<u64> {
        let mut waiting = self.waiting.lock();
        while waiting.bytes.is_empty() {
            if waiting.closed {
                waiting.over = true;
                drop(waiting);
                self.change.notify_all();
                return None;
            }
            self.change.wait(&mut waiting);
        }
        if !waiting.closed {
            // Makers wake nobody while there are lines; only the end of the program does.
            self.change.wait_for(&mut waiting, GATHER);
        }
        std::mem::swap(&mut waiting.bytes, empty);
        Some(std::mem::take(&mut waiting.dropped))
    }
}

/// Where log lines go; a copy goes to the same place.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Queue>);

/// The thread behind a sink: when it is dropped, what waits is written.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    _thread: JoinHandle<()>,
}

impl Sink {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let queue = Arc::new(Queue::default());
        let source = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_out(&source, out))?;
        Ok((Self(Arc::clone(&queue)), Writer { queue, _thread: thread }))
    }
}

fn write_out(queue: &Queue, mut out: impl Write) {
    let mut lines = Vec::new();
    while let Some(dropped) = queue.take(&mut lines) {
        // A log that cannot be written has nowhere to say so.
        let _lost = out.write_all(&lines).and_then(|()| out.flush());
        lines.clear();
        if dropped > 0 {
            tracing::warn!(dropped, "log lines were dropped: they came faster than they go out");
        }
        if lines.capacity() > WAITING_BYTES_MAX / 8 {
            lines = Vec::new();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        waiting.closed = true;
        self.queue.change.notify_all();
        while !waiting.over {
            if self.queue.change.wait_for(&mut waiting, LAST_WORDS).timed_out() {
                break;
            }
        }
    }
}

/// Which lines a sink takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    /// All.
    All,
    /// Those that were not printed already.
    Unsaid,
    /// Errors alone.
    Errors,
}

impl Takes {
    fn takes(self, line: &Metadata<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Unsaid => line.target() != super::SAID,
            Self::Errors => *line.level() == Level::ERROR,
        }
    }
}

/// Several sinks that share one wording of a line.
#[derive(Debug, Default)]
pub(super) struct Tee(Vec<(Sink, Takes)>);

impl Tee {
    /// Adds a sink.
    pub(super) fn add(&mut self, sink: Sink, takes: Takes) {
        self.0.push((sink, takes));
    }

    /// Whether no line goes anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line on its way to those sinks that take it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    tee: &'a Tee,
    /// A bit for each sink, the first lowest.
    taken: u8,
}

impl<'a> MakeWriter<'a> for Tee {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { tee: self, taken: u8::MAX }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line<'a> {
        let bits =
            self.0.iter().enumerate().map(|(at, (_, takes))| u8::from(takes.takes(line)) << at);
        Line { tee: self, taken: bits.sum() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for (at, (sink, _)) in self.tee.0.iter().enumerate() {
            if self.taken & (1 << at) != 0 {
                sink.0.push(line);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Sink, WAITING_BYTES_MAX};
    use parking_lot::Mutex;
    use std::io::{self, Write};
    use std::sync::Arc;

    /// Holds what is written, and takes nothing while somebody holds its lock.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_in_their_order_and_the_last_before_the_end() {
        let paper = Paper::default();
        let (sink, writer) = Sink::start("log-test", paper.clone()).unwrap();
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
        for line in &lines {
            sink.0.push(line.as_bytes());
        }
        drop(writer);
        assert_eq!(String::from_utf8(paper.0.lock().clone()).unwrap(), lines.concat());
    }

    #[test]
    fn a_disk_that_stands_still_holds_nobody_up_and_costs_no_more_than_its_room() {
        let paper = Paper::default();
        let stuck = paper.0.lock();
        let (sink, writer) = Sink::start("log-test", paper.clone()).unwrap();
        let line = [b'x'; 1024];
        sink.0.push(&line);
        // Once the thread has taken the first line it stands before the disk and takes no more.
        while !sink.0.waiting.lock().bytes.is_empty() {
            std::thread::yield_now();
        }
        let room = WAITING_BYTES_MAX / line.len();
        for _ in 0..3 * room {
            sink.0.push(&line);
        }
        let waiting = sink.0.waiting.lock();
        assert_eq!(waiting.bytes.len(), WAITING_BYTES_MAX);
        assert_eq!(waiting.dropped, 2 * room as u64);
        drop(waiting);
        drop(stuck);
        drop(writer);
        assert_eq!(paper.0.lock().len(), line.len() + WAITING_BYTES_MAX);
    }
}
