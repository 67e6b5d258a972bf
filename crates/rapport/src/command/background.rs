//! `rapport start`, `stop` and `restart`: the server in the background, one for each data folder.

use std::path::Path;
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
pub(super) fn start_quietly(frame: &mut Frame) -> anyhow::Result<()> {
    let options = Start { serve: serve::Options::default() };
    let inputs = options.serve.inputs(frame);
    let loaded = crate::config::load(&inputs).map_err(|refused| anyhow::anyhow!("{refused}"))?;
    let folder = loaded.config.data;
    data::private_folder(&folder)?;
    drop(spawn(frame, &options, &folder.join(OUTPUT))?);
    Ok(())
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

#[cfg(unix)]
fn end(running: &Runtime) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("the process id in runtime.json is none")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop PID {}", running.pid))?;
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

#[cfg(not(unix))]
fn end(running: &Runtime) -> anyhow::Result<()> {
    bail!("stop PID {} in the task manager: this system has no signal for it", running.pid)
}
