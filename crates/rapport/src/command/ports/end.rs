//! `rapport ports end`: ends the program that holds a port, after it was shown and somebody agreed.
//!
//! Invariants: nothing is ended unseen; what the machine needs, and whatever started us, never is;
//! a program is asked to end and gets its time, and is not killed.

use std::time::Duration;

use clap::Args;
use doctor::port;
use doctor::sockets::{Listener, Process, listeners, why_hidden};
use serde_json::json;

use crate::command::{Frame, background, block_on, given};
use crate::print::Exit;

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Programs that a machine needs to run or to be reached, by the beginnings of their names.
const NEEDED: &[&str] = &[
    "init",
    "systemd",
    "launchd",
    "sshd",
    "dbus",
    "NetworkManager",
    "networkd",
    "wpa_supplicant",
    "dockerd",
    "containerd",
    "kubelet",
    "Xorg",
    "gnome-shell",
    "WindowServer",
    "mDNSResponder",
    "rapportd",
    "System",
    "svchost",
    "services",
    "lsass",
    "wininit",
    "winlogon",
    "csrss",
];

/// Flags of `ports end`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The port that is to become free
    port: String,
    /// The program that is meant, where several listen, and for `--yes`
    #[arg(long)]
    pid: Option<u32>,
    /// Do not ask; needs `--pid`, so that nothing is ended unseen
    #[arg(long, requires = "pid")]
    yes: bool,
}

/// Shows who holds the port, asks, and asks the program to end; 0 when the port is free.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let port = match port::parse(&options.port, port::Place::Argument) {
        Ok(port) => port,
        Err(invalid) => return Ok(super::refused(frame, &invalid)),
    };
    let rows = match listeners() {
        Ok(rows) => rows.into_iter().filter(|row| row.port == port).collect::<Vec<_>>(),
        Err(unavailable) => {
            frame.printer.error(&unavailable.to_string());
            return Ok(Exit::Unchecked);
        }
    };
    let Some(first) = rows.first() else {
        return report(frame, port, None, &format!("nothing listens on port {port}: it is free"));
    };
    let mut owners = owners(&rows);
    if let Some(pid) = options.pid {
        owners.retain(|owner| owner.pid == pid);
    }
    let found = match owners.as_slice() {
        [only] => only.clone(),
        [] if options.pid.is_some() => {
            let pid = options.pid.unwrap_or_default();
            frame.printer.error(&format!("PID {pid} does not listen on port {port}"));
            frame.printer.hint(&format!("see who does: rapport ports list {port}"));
            return Ok(Exit::Problem);
        }
        [] => {
            let holder = first.holder_text();
            let text = format!("port {port} is held by {holder}, which is not seen for certain");
            frame.printer.error(&text);
            frame.printer.hint(why_hidden());
            return Ok(Exit::Unchecked);
        }
        several => {
            frame.printer.error(&format!("{} programs listen on port {port}", several.len()));
            for owner in several {
                frame.printer.note(&format!("  {owner}"));
            }
            frame.printer.hint("say which with --pid");
            return Ok(Exit::Usage);
        }
    };
    if let Some(why) = refused(&found) {
        frame.printer.error(&format!("{found} is not ended: {why}"));
        frame.printer.hint("give your own server another port: rapport ports suggest");
        return Ok(Exit::Problem);
    }
    let since = found.started.as_deref().map(|at| format!(", since {at}")).unwrap_or_default();
    frame.printer.note(&format!("port {port} is held by {found}{since}"));
    let agrees = options.yes || given::is_typed() && given::agreed(frame, "ask it to end?")?;
    if !agrees {
        let sure = format!("rapport ports end {port} --pid {} --yes", found.pid);
        frame.printer.hint(&format!("nothing was ended; without a question: {sure}"));
        return Ok(Exit::Problem);
    }
    end(frame, port, &found)
}

/// The programs that hold it for certain, each once.
fn owners(rows: &[Listener]) -> Vec<Process> {
    let mut owners: Vec<Process> = rows.iter().filter_map(|row| row.owner.clone()).collect();
    owners.sort_by_key(|owner| owner.pid);
    owners.dedup_by_key(|owner| owner.pid);
    owners
}

/// Why this program is never ended from here.
fn refused(process: &Process) -> Option<String> {
    if process.pid <= 4 {
        return Some("it is the system itself".to_owned());
    }
    if ancestors().contains(&process.pid) {
        return Some("this command runs inside it".to_owned());
    }
    let program = process.command.split_whitespace().next().unwrap_or_default();
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).trim_end_matches(':');
    let needed = NEEDED.iter().any(|begin| {
        name.strip_prefix(begin).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['-', '.']) || *begin == "systemd"
        })
    });
    needed.then(|| format!("the machine needs `{name}`; its service manager stops and starts it"))
}

/// The processes that started us, and ourselves.
fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while let Some(parent) = found.last().and_then(|pid| parent(*pid))
        && parent > 1
        && !found.contains(&parent)
    {
        found.push(parent);
    }
    found
}

/// The process that started another, where the system tells it in a file.
fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let told = status.as_deref().and_then(|status| {
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    });
    #[cfg(unix)]
    if told.is_none() && pid == std::process::id() {
        let parent = rustix::process::getppid()?.as_raw_nonzero().get();
        return u32::try_from(parent).ok();
    }
    told
}

fn end(frame: &mut Frame, port: u16, found: &Process) -> anyhow::Result<Exit> {
    // The number may belong to another program by now.
    if !holds(port, found) {
        return report(frame, port, None, &format!("{found} has ended by itself"));
    }
    background::ask_to_end(found.pid)?;
    let gone = block_on(async {
        let until = tokio::time::Instant::now() + PATIENCE;
        while holds(port, found) {
            if tokio::time::Instant::now() > until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    })?;
    if gone {
        return report(
            frame,
            port,
            Some(found),
            &format!("{found} has ended: port {port} is free"),
        );
    }
    let text = format!("{found} was asked to end {} s ago and goes on", PATIENCE.as_secs());
    frame.printer.error(&text);
    frame.printer.hint(&format!("kill -9 {} ends it, without time to store anything", found.pid));
    Ok(Exit::Problem)
}

fn holds(port: u16, found: &Process) -> bool {
    let rows = listeners().unwrap_or_default();
    let mut owners =
        rows.iter().filter(|row| row.port == port).filter_map(|row| row.owner.as_ref());
    owners.any(|owner| owner.pid == found.pid && owner.started == found.started)
}

fn report(
    frame: &mut Frame,
    port: u16,
    ended: Option<&Process>,
    text: &str,
) -> anyhow::Result<Exit> {
    if frame.printer.is_json() {
        frame.printer.json(&json!({"port": port, "free": true, "ended": ended}))?;
    } else {
        frame.printer.line(text);
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use doctor::sockets::Process;

    use super::refused;

    fn process(pid: u32, command: &str) -> Process {
        let (command, user) = (command.to_owned(), "ann".to_owned());
        Process { pid, command, user, started: None, state: None }
    }

    #[test]
    fn what_the_machine_needs_and_what_started_us_is_refused() {
        for (pid, command) in [
            (1, "anything"),
            (999_990, "/usr/lib/systemd/systemd-resolved"),
            (999_990, "sshd: /usr/sbin/sshd -D"),
            (999_990, "C:\\Windows\\System32\\svchost.exe"),
            (std::process::id(), "rapport"),
            #[cfg(unix)]
            (std::os::unix::process::parent_id(), "sh"),
        ] {
            assert!(refused(&process(pid, command)).is_some(), "{pid} {command}");
        }
        for command in ["python3 -m http.server", "/opt/initech/server", "node dbusy.js"] {
            assert_eq!(refused(&process(999_990, command)), None, "{command}");
        }
    }
}
