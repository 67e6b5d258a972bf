//! A command that is started and watched: its output, its socket calls when asked for, its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use doctor::trace::{self, Traced};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

/// Limit: calls that wait to be printed; what is beyond them is counted nowhere and lost.
const CALLS_MAX: usize = 1024;

/// Limit: bytes of a line of its output; a longer one is more than one.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long it may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// The command, as long as it runs.
pub(super) struct Kid {
    pub(super) pid: u32,
    pub(super) out: Option<Pipe<ChildStdout>>,
    pub(super) err: Option<Pipe<ChildStderr>>,
    /// Its calls, when they are followed.
    pub(super) calls: Option<mpsc::Receiver<Traced>>,
    life: Life,
}

enum Life {
    Child(Child),
    /// The thread that follows it says how it ended.
    Followed(oneshot::Receiver<io::Result<ExitStatus>>),
}

/// What a followed command has when it runs.
type Started = (u32, Option<std::process::ChildStdout>, Option<std::process::ChildStderr>);

impl Kid {
    /// Starts it in a process group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(words: &[String]) -> anyhow::Result<Self> {
        let program = words.first().map_or("", String::as_str);
        let mut command = Command::from(command(words));
        let child = command.kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("`{program}` cannot be started"))?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            out: child.stdout.take().map(Pipe::new),
            err: child.stderr.take().map(Pipe::new),
            calls: None,
            life: Life::Child(child),
        })
    }

    /// As [`Kid::start`], and follows its socket calls.
    ///
    /// # Errors
    /// When it cannot be started, or this system does not let it be followed.
    pub(super) async fn follow(words: &[String]) -> anyhow::Result<Self> {
        let (tell, calls) = mpsc::channel(CALLS_MAX);
        let (starts, started) = oneshot::channel::<Started>();
        let (ends, mut ended) = oneshot::channel();
        let mut command = command(words);
        // Only the thread that started a process may follow it.
        let thread = std::thread::Builder::new().name("trace".to_owned());
        thread.spawn(move || {
            let begun = |child: &mut std::process::Child| {
                let _heard = starts.send((child.id(), child.stdout.take(), child.stderr.take()));
            };
            // The command must never wait for whoever prints its calls.
            let each = |call| drop(tell.try_send(call));
            let _heard = ends.send(trace::run(&mut command, begun, each));
        })?;
        let Ok((pid, out, err)) = started.await else {
            let error = (&mut ended).await.ok().and_then(Result::err);
            return Err(refused(words, error));
        };
        let out = out.map(ChildStdout::from_std).transpose()?;
        let err = err.map(ChildStderr::from_std).transpose()?;
        Ok(Self {
            pid,
            out: out.map(Pipe::new),
            err: err.map(Pipe::new),
            calls: Some(calls),
            life: Life::Followed(ended),
        })
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        match &mut self.life {
            Life::Child(child) => Ok(child.try_wait()?),
            Life::Followed(ended) => match ended.try_recv() {
                Ok(status) => Ok(Some(status?)),
                Err(oneshot::error::TryRecvError::Empty) => Ok(None),
                Err(closed) => Err(closed.into()),
            },
        }
    }

    /// Ends it and what it started.
    pub(super) async fn end(&mut self) {
        self.signal(false);
        let is_over = match &mut self.life {
            Life::Child(child) => tokio::time::timeout(PATIENCE, child.wait()).await.is_ok(),
            Life::Followed(ended) => {
                ended.is_terminated() || tokio::time::timeout(PATIENCE, ended).await.is_ok()
            }
        };
        if !is_over {
            self.signal(true);
            if let Life::Child(child) = &mut self.life {
                let _killed = child.kill().await;
            }
        }
    }

    #[cfg(unix)]
    fn signal(&self, kill: bool) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let signal = if kill { Signal::KILL } else { Signal::TERM };
        let _gone = group.map(|group| kill_process_group(group, signal));
    }

    #[cfg(not(unix))]
    fn signal(&self, _kill: bool) {}
}

fn command(words: &[String]) -> std::process::Command {
    let program = words.first().map_or("", String::as_str);
    let mut command = std::process::Command::new(program);
    command
        .args(words.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn refused(words: &[String], error: Option<io::Error>) -> anyhow::Error {
    let program = words.first().map_or("", String::as_str);
    let error = error.unwrap_or_else(|| io::Error::other("its thread ended"));
    let why = match error.kind() {
        io::ErrorKind::Unsupported => {
            "calls are followed on Linux (x86-64, ARM64) alone: leave --trace out"
        }
        io::ErrorKind::PermissionDenied => {
            "where the system does not let processes be followed (ptrace), leave --trace out"
        }
        _ => "leave --trace out to start it without being followed",
    };
    anyhow::anyhow!("`{program}` cannot be started with --trace: {error}; {why}")
}

/// The lines that it writes, whatever bytes they have: one that reads no more would end it.
pub(super) struct Pipe<R> {
    reader: BufReader<R>,
    /// What came of a line that is not whole.
    held: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), held: Vec::new() }
    }

    /// The next line; `None` at the end. Dropping it loses nothing.
    async fn next(&mut self) -> Option<String> {
        loop {
            let bytes = self.reader.fill_buf().await.unwrap_or_default();
            if bytes.is_empty() {
                return (!self.held.is_empty()).then(|| self.taken());
            }
            let room = LINE_BYTES_MAX.saturating_sub(self.held.len()).min(bytes.len());
            let part = bytes.get(..room).unwrap_or(bytes);
            let end = part.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(part.len(), |end| end + 1);
            self.held.extend_from_slice(part.get(..length).unwrap_or_default());
            self.reader.consume(length);
            if end.is_some() || self.held.len() >= LINE_BYTES_MAX {
                return Some(self.taken());
            }
        }
    }

    fn taken(&mut self) -> String {
        let bytes = std::mem::take(&mut self.held);
        String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// The next line of a pipe; a pipe that has ended is put away and never ready again.
pub(super) async fn line<R: AsyncRead + Unpin>(pipe: &mut Option<Pipe<R>>) -> String {
    loop {
        let Some(lines) = pipe else { return std::future::pending().await };
        match lines.next().await {
            Some(line) => return line,
            None => *pipe = None,
        }
    }
}

/// The next call; after the last none ever comes.
pub(super) async fn call(calls: &mut Option<mpsc::Receiver<Traced>>) -> Traced {
    loop {
        let Some(open) = calls else { return std::future::pending().await };
        match open.recv().await {
            Some(call) => return call,
            None => *calls = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, Pipe};

    #[tokio::test]
    async fn lines_of_any_bytes_and_any_length_are_read_to_the_end() {
        let mut said = b"one\r\n\xff two\n\n".to_vec();
        said.resize(said.len() + LINE_BYTES_MAX + 3, b'x');
        let mut pipe = Pipe::new(said.as_slice());
        let mut lines = Vec::new();
        while let Some(line) = pipe.next().await {
            lines.push(line);
        }
        let lengths: Vec<usize> = lines.iter().map(String::len).collect();
        assert_eq!(&lines[..3], ["one", "\u{fffd} two", ""]);
        assert_eq!(&lengths[3..], [LINE_BYTES_MAX, 3]);
    }
}
