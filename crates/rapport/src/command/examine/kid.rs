//! A command that is started and watched: its output, its socket calls when asked for, its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use doctor::trace::{self, Traced};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

/// Limit: calls that wait to be printed; what is beyond them is counted nowhere and lost.
const CALLS_MAX: usize = 1024;

/// How long it may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// The command, as long as it runs.
pub(super) struct Kid {
    pub(super) pid: u32,
    pub(super) out: Option<Lines<BufReader<ChildStdout>>>,
    pub(super) err: Option<Lines<BufReader<ChildStderr>>>,
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
            out: child.stdout.take().map(|pipe| BufReader::new(pipe).lines()),
            err: child.stderr.take().map(|pipe| BufReader::new(pipe).lines()),
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
            out: out.map(|pipe| BufReader::new(pipe).lines()),
            err: err.map(|pipe| BufReader::new(pipe).lines()),
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

/// The next line of a pipe; a pipe that has ended is put away and never ready again.
pub(super) async fn line<R: AsyncRead + Unpin>(pipe: &mut Option<Lines<BufReader<R>>>) -> String {
    loop {
        let Some(lines) = pipe else { return std::future::pending().await };
        match lines.next_line().await {
            Ok(Some(line)) => return line,
            Ok(None) | Err(_) => *pipe = None,
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
