//! Runs other programs: their lines go through to the reader, and the last ones are kept.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::Stopwatch;
use crate::say;

// Limit: lines of a program that are kept for the report.
const TAIL_LINES_MAX: usize = 200;
// Limit: how long to read on after the program ended. A process that a test left behind may hold
// the pipe open, and must not hold us.
const AFTERGLOW: Duration = Duration::from_secs(2);

/// What became of a program.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// It exited with status 0.
    pub(crate) success: bool,
    /// Its last lines, of both streams in the order they came.
    pub(crate) tail: Vec<String>,
}

/// The full path of a program that stands in a folder of `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the one place that looks programs up")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Makes a command without standard input that runs in `folder`.
pub(crate) fn command(folder: &Path, name: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs the command; every line is printed as it comes.
///
/// # Errors
/// When the program cannot be started.
pub(crate) fn stream(mut command: Command) -> anyhow::Result<Ran> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{name}` cannot be started"))?;
    let (sender, lines) = sync_channel(256);
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender.clone());
    }
    drop(sender);
    let tail = print_all(&mut child, &lines)?;
    let status = child.wait().with_context(|| format!("`{name}` cannot be waited for"))?;
    Ok(Ran { success: status.success(), tail: tail.into() })
}

/// Runs the command and gives its standard output.
///
/// # Errors
/// When it cannot be started or does not exit with status 0; its own words are in the error.
pub(crate) fn output(mut command: Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("`{name}` cannot be started"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`{name}` ended with {}: {words}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn forward(stream: impl Read + Send + 'static, lines: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

fn print_all(child: &mut Child, lines: &Receiver<String>) -> anyhow::Result<VecDeque<String>> {
    let mut tail = VecDeque::new();
    let mut ended: Option<Stopwatch> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                say::line(&line);
                if tail.len() == TAIL_LINES_MAX {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(tail),
            Err(RecvTimeoutError::Timeout) => match ended {
                Some(since) if since.elapsed() > AFTERGLOW => return Ok(tail),
                Some(_) => {}
                None => {
                    let status = child.try_wait().context("the program cannot be waited for")?;
                    ended = status.map(|_| Stopwatch::start());
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        command(Path::new("."), "sh", &["-c", script])
    }

    #[test]
    fn both_streams_and_the_status_are_kept() {
        let ran = stream(shell("echo one; echo two >&2; exit 3")).unwrap();
        let mut tail = ran.tail;
        tail.sort();
        assert!(!ran.success);
        assert_eq!(tail, ["one", "two"]);
    }

    #[test]
    fn a_process_left_behind_does_not_hold_the_chore() {
        let watch = Stopwatch::start();
        let ran = stream(shell("sleep 30 & echo gone")).unwrap();
        assert!(ran.success);
        assert_eq!(ran.tail, ["gone"]);
        assert!(watch.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = output(shell("echo broken pipe >&2; exit 1")).unwrap_err().to_string();
        assert!(error.contains("broken pipe"), "{error}");
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
