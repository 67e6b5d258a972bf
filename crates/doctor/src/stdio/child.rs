//! Starts the command and exchanges messages with it; what it wrote is kept, up to a limit.

use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::Instant;

use super::{Command, DEADLINE};
use crate::mcp;

/// Limit: bytes of standard error that are kept.
const STDERR_BYTES_MAX: usize = 32 * 1024;

/// Limit: lines of standard output that are kept.
const LINES_MAX: usize = 400;

/// Limit: one line of standard output.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Limit: how long a server may take to end, or to say more, after its input was closed.
const END: Duration = Duration::from_millis(1000);

/// Everything a server said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The lines of its standard output, in order.
    pub(super) lines: Vec<String>,
    /// The line that answers `initialize`, and the one that answers `tools/list`.
    pub(super) hello: Option<serde_json::Value>,
    pub(super) tools: Option<serde_json::Value>,
    /// Whether the first answer came only after its input was closed.
    pub(super) only_at_the_end: bool,
    /// Whether it ended before it answered, and with which code (`None`: by a signal).
    pub(super) ended: Option<Option<i32>>,
    /// The same for one that ended after it had answered `initialize`, unasked.
    pub(super) died: Option<Option<i32>>,
    pub(super) stderr: String,
    pub(super) waited: Duration,
}

/// Starts the command, asks, and ends it.
pub(super) async fn talk(command: &Command) -> std::io::Result<Heard> {
    let mut starting = tokio::process::Command::new(command.words.first().map_or("", |w| w));
    starting
        .args(command.words.iter().skip(1))
        .envs(command.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(folder) = &command.folder {
        starting.current_dir(folder);
    }
    #[cfg(unix)]
    starting.process_group(0);
    let mut child = starting.spawn()?;
    // Ends with this function, and with it whatever the command has started.
    #[cfg(windows)]
    let _job = child.id().and_then(|id| native::windows::job::Job::around(id).ok());
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let stderr = child.stderr.take();
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(std::io::Error::other("the command has no pipes"));
    };
    let kept = Mutex::new(Vec::new());
    let draining = keep_tail(stderr, &kept);
    let conversation = async {
        let mut heard = Heard::default();
        let mut pipes = Pipes { stdin: Some(stdin), stdout: BufReader::new(stdout) };
        converse(command, &mut pipes, &mut heard, &mut child).await;
        drop(pipes);
        end(&mut child).await;
        heard
    };
    tokio::pin!(conversation, draining);
    // Both pipes are read all the time: a full one would stop the server.
    let mut heard = tokio::select! {
        heard = &mut conversation => {
            let _rest = tokio::time::timeout(END / 4, draining).await;
            heard
        }
        () = &mut draining => conversation.await,
    };
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    heard.stderr = String::from_utf8_lossy(&kept).into_owned();
    Ok(heard)
}

/// Reads to the end and keeps the last bytes, where programs say why they end.
async fn keep_tail(mut stderr: ChildStderr, kept: &Mutex<Vec<u8>>) {
    let mut part = vec![0_u8; 8192];
    while let Ok(length @ 1..) = stderr.read(&mut part).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(part.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..over);
    }
}

struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Pipes {
    async fn say(&mut self, message: &str) {
        let Some(stdin) = &mut self.stdin else { return };
        let line = format!("{message}\n");
        // A server that has gone does not read; its end is seen on the other pipe.
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            self.stdin = None;
        }
    }

    /// The next line; `None` at the end of the output, or when `until` is over (then false).
    async fn line(&mut self, until: Instant) -> Next {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.stdout).take(LINE_BYTES_MAX);
        match tokio::time::timeout_at(until, limited.read_until(b'\n', &mut bytes)).await {
            Err(_elapsed) if bytes.is_empty() => Next::Late,
            Ok(Ok(0) | Err(_)) => Next::End,
            Err(_) | Ok(Ok(_)) => {
                let text = String::from_utf8_lossy(&bytes);
                Next::Line(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

enum Next {
    Line(String),
    End,
    Late,
}

async fn converse(command: &Command, pipes: &mut Pipes, heard: &mut Heard, child: &mut Child) {
    let started = Instant::now();
    let until = started + command.deadline.unwrap_or(DEADLINE);
    pipes.say(&mcp::initialize()).await;
    match answer(pipes, heard, 1, until).await {
        Found::Answer(value) => heard.hello = Some(value),
        Found::End => heard.ended = Some(code(child).await),
        Found::Late => {
            // What sits in a buffer comes out when the input ends.
            pipes.stdin = None;
            if let Found::Answer(value) = answer(pipes, heard, 1, Instant::now() + END).await {
                heard.hello = Some(value);
                heard.only_at_the_end = true;
            }
        }
    }
    heard.waited = started.elapsed();
    let has_tools = heard.hello.as_ref().is_some_and(|value| {
        mcp::hello(value).is_ok_and(|hello| hello.has_tools) && !heard.only_at_the_end
    });
    if has_tools {
        pipes.say(&mcp::initialized()).await;
        pipes.say(&mcp::tools()).await;
        match answer(pipes, heard, 2, Instant::now() + 3 * END).await {
            Found::Answer(value) => heard.tools = Some(value),
            Found::End => heard.died = Some(code(child).await),
            Found::Late => {}
        }
    }
}

/// How a server whose output has ended ends itself.
async fn code(child: &mut Child) -> Option<i32> {
    let status = tokio::time::timeout(END, child.wait()).await;
    status.ok().and_then(Result::ok).and_then(|status| status.code())
}

enum Found {
    Answer(serde_json::Value),
    End,
    Late,
}

/// Reads until a line answers request `id`; everything else is kept too.
async fn answer(pipes: &mut Pipes, heard: &mut Heard, id: i64, until: Instant) -> Found {
    loop {
        match pipes.line(until).await {
            Next::End => return Found::End,
            Next::Late => return Found::Late,
            Next::Line(line) => {
                // A byte-order mark is a fault, and hides no answer.
                let text = line.trim_start_matches(mcp::BYTE_ORDER_MARK);
                let value = serde_json::from_str::<serde_json::Value>(text).ok();
                if heard.lines.len() < LINES_MAX {
                    heard.lines.push(line);
                }
                // A message with a method is a request or a notification of the server.
                let Some(value) = value.filter(|value| value.is_object()) else { continue };
                let is_other = value.get("method").is_some();
                let earlier = id == 2 && value.get("id").and_then(|id| id.as_i64()) == Some(1);
                if !is_other && !earlier {
                    return Found::Answer(value);
                }
            }
        }
    }
}

/// Waits a moment for the server to end by itself, then ends its group.
async fn end(child: &mut Child) {
    #[cfg(unix)]
    let group = child.id();
    let ended = tokio::time::timeout(END / 4, child.wait()).await.is_ok();
    #[cfg(unix)]
    if let Some(group) =
        group.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
    {
        // Children of a server that has ended may still be there.
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    if !ended {
        let _killed = child.kill().await;
    }
}
