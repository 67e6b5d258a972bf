//! `rapport doctor run -- COMMAND`: starts a server and watches what it opens, or why it ends.

use std::process::ExitStatus;
use std::time::Duration;

use doctor::sockets::{Listener, listeners};
use doctor::trace::Traced;
use doctor::{Report, Request, diagnose, log};
use tokio::time::Instant;

use super::kid::{self, Kid};
use super::search;
use crate::command::{Frame, block_on};
use crate::print::{Exit, Printer};

/// How often the sockets are looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a server may take to open its port.
const PATIENCE: Duration = Duration::from_secs(60);

/// Limit: lines of the command's output that are kept to explain its end.
const LINES_MAX: usize = 50;

/// Limit: calls that are kept for the report.
const CALLS_MAX: usize = 1000;

/// What came of it.
enum Outcome {
    /// It opened a port, and this is what the doctor says of it.
    Opened(Box<Report>),
    Ended(u32, ExitStatus),
    Late,
}

/// Starts the command, prints what it prints, and ends it when the question is answered.
pub(in crate::command) fn run(
    frame: &mut Frame,
    request: &Request,
    words: &[String],
    trace: bool,
) -> anyhow::Result<Exit> {
    if words.is_empty() {
        frame.printer.error("run what? Write it after `--`: rapport doctor run -- python3 app.py");
        return Ok(Exit::Usage);
    }
    if let Err(hint) = startable(frame, words) {
        let program = words.first().map_or("", String::as_str);
        frame.printer.error(&format!("`{program}` cannot be started: there is no such program"));
        frame.printer.hint(&hint);
        return Ok(Exit::Problem);
    }
    let mut heard = Heard::default();
    let outcome = block_on(async {
        let mut kid = if trace { Kid::follow(words).await? } else { Kid::start(words)? };
        let outcome = watch(&mut frame.printer, request, &mut kid, &mut heard).await;
        kid.end().await;
        outcome
    })??;
    match outcome {
        Outcome::Opened(report) if frame.printer.is_json() && trace => {
            let mut json = report.to_json();
            if let Some(fields) = json.as_object_mut() {
                fields.insert("trace".to_owned(), serde_json::to_value(&heard.calls)?);
            }
            frame.printer.json(&json)?;
            Ok(super::exit(&report))
        }
        Outcome::Opened(report) => {
            super::print(frame, &report)?;
            Ok(super::exit(&report))
        }
        Outcome::Ended(pid, status) => Ok(ended(frame, (pid, status), &heard)),
        Outcome::Late => {
            let seconds = PATIENCE.as_secs();
            frame.printer.error(&format!("it runs and opened no TCP port within {seconds} s"));
            frame.printer.hint("read what it says above; it may wait for something, or use a pipe");
            Ok(Exit::Problem)
        }
    }
}

/// Whether the program is there; else what to do about it.
fn startable(frame: &Frame, words: &[String]) -> Result<(), String> {
    let program = words.first().map_or("", String::as_str);
    let folders = search::folders(frame);
    let is_there = match program.contains('/') {
        true => std::path::Path::new(program).is_file(),
        false => {
            let names = [program.to_owned(), format!("{program}.exe"), format!("{program}.cmd")];
            let files = folders.iter().flat_map(|folder| names.iter().map(|n| folder.join(n)));
            files.into_iter().any(|file| file.is_file())
        }
    };
    if is_there { Ok(()) } else { Err(search::hint(program, &folders)) }
}

/// What was heard of it while it ran.
#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    calls: Vec<Traced>,
}

async fn watch(
    printer: &mut Printer,
    request: &Request,
    kid: &mut Kid,
    heard: &mut Heard,
) -> anyhow::Result<Outcome> {
    let until = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            line = kid::line(&mut kid.out) => keep(printer, &mut heard.lines, line),
            line = kid::line(&mut kid.err) => keep(printer, &mut heard.lines, line),
            call = kid::call(&mut kid.calls) => heard.take(printer, call),
            _moment = tick.tick() => {
                if let Some(listener) = opened(kid.pid) {
                    let target = Some(reachable(&listener));
                    let request = Request { target, ..request.clone() };
                    let report = Box::new(diagnose(&request).await);
                    while let Some(call) = kid.calls.as_mut().and_then(|c| c.try_recv().ok()) {
                        heard.take(printer, call);
                    }
                    return Ok(Outcome::Opened(report));
                }
                // Its last words may still be in the pipes; they end when it does.
                if kid.out.is_none()
                    && kid.err.is_none()
                    && kid.calls.is_none()
                    && let Some(status) = kid.ended()?
                {
                    return Ok(Outcome::Ended(kid.pid, status));
                }
                if Instant::now() >= until {
                    return Ok(Outcome::Late);
                }
            }
        }
    }
}

impl Heard {
    fn take(&mut self, printer: &mut Printer, call: Traced) {
        printer.note(&format!("trace: {call}"));
        if self.calls.len() < CALLS_MAX {
            self.calls.push(call);
        }
    }
}

fn keep(printer: &mut Printer, kept: &mut Vec<String>, line: String) {
    printer.note(&line);
    if kept.len() >= LINES_MAX {
        kept.remove(0);
    }
    kept.push(line);
}

/// A socket on which the command or one of its children listens.
fn opened(pid: u32) -> Option<Listener> {
    let rows = listeners().ok()?;
    rows.into_iter().find(|row| {
        row.owner.as_ref().is_some_and(|owner| owner.pid == pid || group(owner.pid) == Some(pid))
    })
}

/// The process group of a process: that of the command is its own.
#[cfg(unix)]
fn group(pid: u32) -> Option<u32> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    let group = rustix::process::getpgid(Some(pid)).ok()?;
    u32::try_from(group.as_raw_nonzero().get()).ok()
}

#[cfg(not(unix))]
fn group(_pid: u32) -> Option<u32> {
    None
}

fn reachable(listener: &Listener) -> String {
    let port = listener.port;
    match listener.address {
        address if !address.is_unspecified() => {
            std::net::SocketAddr::new(address, port).to_string()
        }
        std::net::IpAddr::V4(_) => format!("127.0.0.1:{port}"),
        std::net::IpAddr::V6(_) => format!("localhost:{port}"),
    }
}

/// Says why it ended, when its last lines are a text that is known.
fn ended(frame: &mut Frame, (pid, status): (u32, ExitStatus), heard: &Heard) -> Exit {
    let Heard { lines, calls } = heard;
    frame.printer.error(&format!("it ended before it opened a port ({status})"));
    let kills = if status.success() { Vec::new() } else { doctor::sockets::kills() };
    if kills.iter().any(|kill| kill.pid == pid) {
        frame
            .printer
            .line("The kernel killed it: it used more memory than there is, or may be used.");
        frame.printer.line("  1. use a smaller model or a stronger quantisation");
        frame.printer.line("  2. raise its limit (docker run -m 8g; systemd: MemoryMax=)");
        return Exit::Problem;
    }
    let last = log::trouble(&lines.join("\n")).and_then(|trouble| trouble.meaning);
    let failed = calls.iter().rev().find(|call| call.meaning.is_some());
    match last {
        Some(meaning) => {
            frame.printer.line(&meaning.cause);
            for (number, step) in (1..).zip(&meaning.steps) {
                let command = step.command.as_ref().map(|command| format!(": {command}"));
                let command = command.unwrap_or_default();
                frame.printer.line(&format!("  {number}. {}{command}", step.text));
            }
        }
        None if failed.is_some() => {
            let call = failed.map(ToString::to_string).unwrap_or_default();
            frame.printer.line(&format!("its last call that failed: {call}"));
        }
        None if lines.is_empty() => frame.printer.hint("it said nothing: look for its log"),
        None => frame.printer.hint("its last lines above have the reason"),
    }
    Exit::Problem
}
