//! A server that is a child process: lines over its pipes, its complaints kept, its family ended.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::desk::{Back, Desk};
use super::failure::{Failure, shown};
use super::guard::{Guard, end_group};
use super::pulse::Pulse;
use super::web::Pending;
use crate::rpc::{self, Incoming};
use crate::tasks;

/// Limit: one message of a child.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Limit: lines that wait for a child that does not read.
const LINES_MAX: usize = 256;
/// Limit: lines of a child's complaints that are kept.
const COMPLAINTS_MAX: usize = 200;
/// Limit: characters of one complaint.
const COMPLAINT_MAX: usize = 1_000;
/// Limit: lines that are no messages before a child is given up.
const GARBAGE_MAX: u32 = 1_000;
/// How long a child may take to end when its input ended, and again after it was asked to.
const GRACE: Duration = Duration::from_secs(1);

/// How a child is started.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// The file, or a name that is looked up in `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment: it inherits nothing.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub folder: Option<PathBuf>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be credentials, and so may arguments.
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Program").field("command", &self.command).field("env", &names).finish()
    }
}

/// The last lines that a child wrote to standard error.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<VecDeque<String>>);

impl Complaints {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock();
        if lines.len() >= COMPLAINTS_MAX {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(COMPLAINT_MAX).collect());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}

/// The pipe to a child.
#[derive(Debug)]
pub(super) struct Pipe {
    lines: mpsc::Sender<String>,
    pub(super) complaints: Arc<Complaints>,
    garbage: Arc<Mutex<Garbage>>,
}

#[derive(Debug, Default)]
struct Garbage {
    first: Option<String>,
    count: u32,
}

#[derive(Debug)]
struct ToChild(mpsc::Sender<String>);

impl Back for ToChild {
    fn say(&self, line: String) -> Pending<'_, ()> {
        Box::pin(async move {
            // A child that is gone hears nothing any more.
            drop(self.0.send(line).await);
        })
    }
}

impl Pipe {
    /// Starts a child and reads what it says onto the desk.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        program: &Program,
        guard: Option<&Arc<Guard>>,
        desk: &Arc<Desk>,
    ) -> Result<Self, Failure> {
        let path = program.env.iter().find(|(name, _)| name.eq_ignore_ascii_case("PATH"));
        let path = path.map(|(_, value)| std::ffi::OsStr::new(value));
        let mut command = Command::new(native::program::file(&program.command, path));
        command
            .args(&program.args)
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| missing(program, &error))?;
        let group = child.id().unwrap_or_default();
        desk.pulse.follow(group);
        if let Some(guard) = guard {
            guard.add(group);
        }
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::unsent("the child has no pipes"));
        };
        let (lines, out) = mpsc::channel(LINES_MAX);
        let pipe =
            Self { lines: lines.clone(), complaints: Arc::default(), garbage: Arc::default() };
        tasks::spawn(write(input, out, Arc::clone(desk)));
        let pulse = desk.pulse.clone();
        tasks::spawn(complain(errors, (Arc::clone(&pipe.complaints), pulse)));
        let back: Arc<dyn Back> = Arc::new(ToChild(lines));
        tasks::spawn(read(output, Arc::clone(desk), back, Arc::clone(&pipe.garbage)));
        let kept = (Arc::clone(desk), Arc::clone(&pipe.complaints), guard.cloned());
        tasks::spawn(keep(child, group, kept));
        Ok(pipe)
    }

    /// Sends a line.
    pub(super) async fn send(&self, line: String) -> Result<(), Failure> {
        let closed = |_| Failure::unsent("its input is closed");
        self.lines.send(line).await.map_err(closed)
    }

    /// Sends a line if there is room: for what may be lost.
    pub(super) fn hint(&self, line: String) {
        drop(self.lines.try_send(line));
    }

    /// What it wrote that is no message, if it did.
    pub(super) fn garbage(&self) -> Option<String> {
        self.garbage.lock().first.clone()
    }
}

fn missing(program: &Program, error: &std::io::Error) -> Failure {
    let command = shown(&program.command);
    let text = match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("`{command}` is not there: write its whole path, or install it")
        }
        std::io::ErrorKind::PermissionDenied => format!("`{command}` may not be run"),
        _ => format!("`{command}` cannot be started: {error}"),
    };
    Failure::unsent(text)
}

async fn write(mut input: ChildStdin, mut out: mpsc::Receiver<String>, desk: Arc<Desk>) {
    loop {
        let line = tokio::select! {
            line = out.recv() => line,
            () = desk.gone.cancelled() => None,
        };
        let Some(mut line) = line else { return };
        line.push('\n');
        let written = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        let written = tokio::select! {
            written = written => written,
            () = desk.gone.cancelled() => return,
        };
        if written.is_err() {
            // Its end says more than its closed input.
            return;
        }
    }
}

async fn read(
    output: ChildStdout,
    desk: Arc<Desk>,
    back: Arc<dyn Back>,
    garbage: Arc<Mutex<Garbage>>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut output).take(LINE_BYTES_MAX);
        let got = tokio::select! {
            got = bounded.read_until(b'\n', &mut line) => got,
            () = desk.gone.cancelled() => return,
        };
        match got {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match rpc::read(text) {
            Ok(Incoming::One(message)) => desk.take(message, None, &back),
            Ok(Incoming::Batch(messages)) => {
                for message in messages.into_iter().flatten() {
                    desk.take(message, None, &back);
                }
            }
            Err(refusal) => {
                if desk.unreadable(text, &refusal) {
                    continue;
                }
                let first = String::from_utf8_lossy(text);
                let mut garbage = garbage.lock();
                garbage.count += 1;
                garbage.first.get_or_insert_with(|| shown(&first));
                if garbage.count >= GARBAGE_MAX {
                    let text = "it writes lines that are no messages, and nothing else";
                    return desk.lose(Failure::lost(text));
                }
            }
        }
    }
}

async fn complain(errors: impl AsyncRead + Unpin, (complaints, pulse): (Arc<Complaints>, Pulse)) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut errors).take(64 * 1024).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                pulse.beat();
                complaints.push(String::from_utf8_lossy(line.trim_ascii_end()).as_ref());
            }
        }
    }
}

type Kept = (Arc<Desk>, Arc<Complaints>, Option<Arc<Guard>>);

/// Waits for the child's end, or brings it about; nothing of its family stays.
async fn keep(mut child: Child, group: u32, (desk, complaints, guard): Kept) {
    tokio::select! {
        status = child.wait() => {
            // What it said last says why.
            tokio::task::yield_now().await;
            let last = complaints.lines().pop().map(|line| format!(": {}", shown(&line)));
            let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
            let text = format!("it ended ({how}){}", last.unwrap_or_default());
            desk.lose(Failure::lost(text));
            end_group(group, false);
        }
        () = desk.gone.cancelled() => {
            // Its input is closed now, which is how it is told to end.
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                end_group(group, false);
                drop(tokio::time::timeout(GRACE, child.wait()).await);
            }
        }
    }
    // A process of Windows that has ended gives its number away; its job ends what it has left.
    if cfg!(unix) || child.id().is_some() {
        end_group(group, true);
    }
    drop(child.wait().await);
    if let Some(guard) = guard {
        guard.remove(group);
    }
}
