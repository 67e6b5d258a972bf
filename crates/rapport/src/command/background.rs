//! `rapport start`, `stop` and `restart`: the server in the background, one for each data folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::{Frame, block_on, serve};
use crate::data;
use crate::print::Exit;
use crate::runtime::{self, Runtime};

/// Limit: how long a server may take to be ready, migrations included.
const START: Duration = Duration::from_secs(60);

/// Limit: how long a server may take to stop: its own ten seconds and the store's closing.
const STOP: Duration = Duration::from_secs(20);

/// How often we look whether it has happened.
const LOOK: Duration = Duration::from_millis(50);

/// What a server in the background prints.
const OUTPUT: &str = "serve.out";

/// How a server says that another one holds its folder.
const IN_USE: &str = "` is in use by";

/// Limit: lines of it that are shown when the server ends.
const SAID_MAX: usize = 3;

/// Flags of `start` and `restart`.
#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(flatten)]
    serve: serve::Options,
}

/// Flags of `stop`.
#[derive(Debug, Args)]
pub(super) struct Stop {}

/// Starts a server and waits until it is ready.
pub(super) fn start(frame: &mut Frame, options: &Start) -> anyhow::Result<Exit> {
    let inputs = options.serve.inputs(frame);
    let folder = match frame.load(&inputs) {
        Ok(loaded) => loaded.config.data,
        Err(exit) => return Ok(exit),
    };
    if let Some(running) = runtime::of_folder(&folder) {
        let (pid, url) = (running.pid, &running.url);
        frame.printer.line(&format!("rapport is running already on {url} (PID {pid})"));
        return Ok(Exit::Fine);
    }
    data::private_folder(&folder)?;
    let output = folder.join(OUTPUT);
    let mut child = spawn(frame, options, &output)?;
    let ready = block_on(wait_ready(&mut child, &folder))?;
    match ready {
        Some(running) => {
            let (pid, url) = (running.pid, &running.url);
            frame.printer.line(&format!("rapport is listening on {url}"));
            frame.printer.line(&format!("PID {pid}; stop it with `rapport stop`"));
            Ok(Exit::Fine)
        }
        None => {
            let said = std::fs::read_to_string(&output).unwrap_or_default();
            frame
                .printer
                .error(&format!("the server did not start; it said:\n{}", said.trim_end()));
            Ok(Exit::Problem)
        }
    }
}

/// Starts a server with what is configured, and waits for nothing. One that runs already keeps its
/// folder locked, so that the new one ends at once.
pub(super) fn start_quietly(frame: &mut Frame) -> anyhow::Result<Started> {
    let options = Start { serve: serve::Options::default() };
    let inputs = options.serve.inputs(frame);
    let loaded = crate::config::load(&inputs).map_err(|refused| anyhow::anyhow!("{refused}"))?;
    let folder = loaded.config.data;
    data::private_folder(&folder)?;
    let output = folder.join(OUTPUT);
    Ok(Started { child: spawn(frame, &options, &output)?, output })
}

/// A server that was started and may not have come up.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    output: PathBuf,
}

impl Started {
    /// What it said, when it has ended with a failure; not when another one holds its folder,
    /// which is then the server that is waited for.
    pub(super) fn failure(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten().filter(|status| !status.success())?;
        let said = std::fs::read_to_string(&self.output).unwrap_or_default();
        if said.contains(IN_USE) {
            return None;
        }
        let last: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).collect();
        let last: Vec<&str> = last.into_iter().take(SAID_MAX).rev().collect();
        let said = if last.is_empty() { "it said nothing".to_owned() } else { last.join("; ") };
        Some(format!("the server did not start ({status}): {said}"))
    }
}

/// Stops the server of the data folder and waits until it is gone.
pub(super) fn stop(frame: &mut Frame, _options: &Stop) -> anyhow::Result<Exit> {
    let inputs = frame.inputs();
    let folder = match frame.load(&inputs) {
        Ok(loaded) => loaded.config.data,
        Err(exit) => return Ok(exit),
    };
    let Some(running) = runtime::of_folder(&folder) else {
        let folder = folder.display();
        frame.printer.error(&format!("no server runs in `{folder}`: name its folder with --data"));
        return Ok(Exit::Problem);
    };
    end(&running)?;
    frame.printer.line(&format!("stopped PID {}", running.pid));
    Ok(Exit::Fine)
}

/// Stops the server, if it runs, and starts it again.
pub(super) fn restart(frame: &mut Frame, options: &Start) -> anyhow::Result<Exit> {
    let inputs = options.serve.inputs(frame);
    let folder = match frame.load(&inputs) {
        Ok(loaded) => loaded.config.data,
        Err(exit) => return Ok(exit),
    };
    if let Some(running) = runtime::of_folder(&folder) {
        end(&running)?;
    }
    start(frame, options)
}

fn spawn(frame: &Frame, options: &Start, output: &Path) -> anyhow::Result<Child> {
    data::write_private(output, b"")?;
    let file = std::fs::OpenOptions::new().append(true).open(output)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("serve").args(options.serve.written());
    for flag in frame.inputs().flags {
        match flag.name {
            "--strict-ports" => command.arg(flag.name),
            name => command.arg(format!("{name}={}", flag.value)),
        };
    }
    if let Some(file) = &frame.globals.config {
        command.arg("--config").arg(file);
    }
    if let Some(profile) = &frame.globals.profile {
        command.arg(format!("--profile={profile}"));
    }
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    // The terminal's Ctrl-C is not meant for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // `DETACHED_PROCESS` and `CREATE_NEW_PROCESS_GROUP`: neither its window nor its keys.
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut command, 0x0000_0208);
    command.spawn().context("cannot start the server")
}

async fn wait_ready(child: &mut Child, folder: &Path) -> Option<Runtime> {
    let until = tokio::time::Instant::now() + START;
    while tokio::time::Instant::now() < until {
        if let Some(running) = runtime::of_folder(folder).filter(|found| found.pid == child.id()) {
            return Some(running);
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
    None
}

fn end(running: &Runtime) -> anyhow::Result<()> {
    ask_to_end(running.pid)?;
    let gone = block_on(async {
        let until = tokio::time::Instant::now() + STOP;
        while runtime::of_folder(&running.data_dir).is_some() {
            if tokio::time::Instant::now() > until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    })?;
    if !gone {
        bail!("PID {} did not stop in {} seconds: see its log", running.pid, STOP.as_secs());
    }
    Ok(())
}

/// Asks a process to end; it may take its time.
#[cfg(unix)]
pub(super) fn ask_to_end(pid: u32) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let found = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let found = found.context("the process id in runtime.json is none")?;
    kill_process(found, Signal::TERM).with_context(|| format!("cannot stop PID {pid}"))
}

/// There is no signal that asks: it ends at once, as by `kill -9`, and what was answered is stored.
#[cfg(windows)]
pub(super) fn ask_to_end(pid: u32) -> anyhow::Result<()> {
    if native::windows::process::end(pid) {
        return Ok(());
    }
    bail!("cannot stop PID {pid}: it belongs to another user, or has ended; see the task manager")
}
