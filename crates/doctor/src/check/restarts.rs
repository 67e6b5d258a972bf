//! Rung 4: the server stays up, and is not started again every few seconds.
//!
//! A server is named only when it was seen to go and another to come in its place, or when the
//! manager of services says how often it was started again.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::{About, Check, Pending, Step, not_here, was_started_for};
use crate::case::Case;
use crate::containers::{self, Container};
use crate::journal;
use crate::report::{Fix, Verdict};
use crate::sockets::{Process, arguments, listeners, processes_naming};

/// See the module.
pub(crate) struct Restarts;

/// A process that is older has stayed up.
const YOUNG: Duration = Duration::from_secs(10);

/// Limit: how long the place of a process may stay empty.
const WATCHED: Duration = Duration::from_millis(3500);

/// Limit: how long a young process that listens is watched; what works is not to be waited for.
const WATCHED_UP: Duration = Duration::from_secs(2);

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(150);

/// So many starts again by the manager of services are no accident, when the last is young.
const STARTS: u32 = 3;

/// Programs that people start servers from, by hand.
const SHELLS: &[&str] = &["bash", "dash", "fish", "ksh", "pwsh", "sh", "zsh"];

impl Check for Restarts {
    fn about(&self) -> About {
        About {
            id: "restarts",
            title: "whether the server stays up",
            proves: "the server is not started again every few seconds",
            rung: 4,
            budget: Duration::from_secs(5),
            verdicts: &["start.crash_loop"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if let Some(why) = not_here(case) {
            return Some(why);
        }
        let owner = owner(case);
        if owner.is_none() && !case.facts.nothing_listens {
            return Some("its process cannot be seen from here".to_owned());
        }
        let old = owner.is_some_and(|owner| age(owner).is_none_or(|age| age >= YOUNG));
        old.then(|| format!("the process has been up for more than {} s", YOUNG.as_secs()))
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Who listened on the port when the socket table was read.
fn owner(case: &Case) -> Option<&Process> {
    let port = case.facts.port?;
    let mut rows = case.facts.listeners()?.iter().filter(|row| row.port == port);
    rows.find_map(|row| row.owner.as_ref())
}

async fn look(case: &Case) -> Step {
    let Some(port) = case.facts.port else { return Step::cannot_tell("there is no port") };
    let first = owner(case).cloned();
    if let Some(owner) = &first {
        if let Some(verdict) = managed(owner, port).await {
            return Step::name(verdict);
        }
        let parent = parent(owner.pid);
        // What a person has just started is no server that a program starts again.
        if parent.is_none_or(is_by_hand) || owner.pid == std::process::id() {
            return Step::pass("it was started seconds ago, by hand");
        }
    } else if !is_expected(case, port).await {
        return Step::cannot_tell("no program seems to be meant for the port");
    }
    let lives = watch(port, first).await;
    match lives.again() {
        Some((gone, come)) => Step::name(verdict(port, gone, come, &lives)),
        None => Step::pass("it stayed up, or away, while it was watched"),
    }
}

/// Whether a program was started for a port on which nothing listens, or was a moment ago.
async fn is_expected(case: &Case, port: u16) -> bool {
    let was_used = match &case.facts.table {
        Some(Ok(table)) => table.connections.iter().any(|c| c.port == port && c.is_time_wait),
        Some(Err(_)) | None => false,
    };
    let naming = tokio::task::spawn_blocking(move || processes_naming(&port.to_string()));
    was_used || !naming.await.unwrap_or_default().is_empty()
}

/// The processes that were seen for the port, one after the other.
#[derive(Debug, Default)]
struct Lives {
    seen: Vec<Process>,
    /// Those that were gone at the last look.
    gone: Vec<u32>,
}

impl Lives {
    fn see(&mut self, now: Vec<Process>) {
        self.gone = self.seen.iter().map(|one| one.pid).collect();
        self.gone.retain(|pid| !now.iter().any(|process| process.pid == *pid));
        for process in now {
            if !self.seen.iter().any(|one| one.pid == process.pid) {
                self.seen.push(process);
            }
        }
    }

    /// One that went, and one with the same command that came later.
    fn again(&self) -> Option<(&Process, &Process)> {
        let places = self.seen.iter().enumerate();
        places.filter(|(_, one)| self.gone.contains(&one.pid)).find_map(|(at, gone)| {
            let mut later = self.seen.iter().skip(at + 1);
            Some((gone, later.find(|come| come.command == gone.command)?))
        })
    }
}

async fn watch(port: u16, first: Option<Process>) -> Lives {
    let mut lives = Lives::default();
    lives.seen.extend(first);
    let until = Instant::now() + if lives.seen.is_empty() { WATCHED } else { WATCHED_UP };
    while Instant::now() < until && lives.again().is_none() {
        tokio::time::sleep(PAUSE).await;
        let now = tokio::task::spawn_blocking(move || present(port)).await;
        lives.see(now.unwrap_or_default());
    }
    lives
}

/// Who listens on the port now, or was started for it.
fn present(port: u16) -> Vec<Process> {
    let rows = listeners().unwrap_or_default();
    let owners = rows.into_iter().filter(|row| row.port == port).filter_map(|row| row.owner);
    let mut found: Vec<Process> = owners.collect();
    let naming = processes_naming(&port.to_string());
    found.extend(naming.into_iter().filter(|one| was_started_for(&one.command, port)));
    found
}

fn verdict(port: u16, gone: &Process, come: &Process, lives: &Lives) -> Verdict {
    let sentence = format!(
        "the server on port {port} ends soon after each start, and is started again and again"
    );
    let count = lives.seen.iter().filter(|one| one.command == gone.command).count();
    let verdict = Verdict::certain("start.crash_loop", sentence)
        .because(format!(
            "{gone} went while it was watched, and PID {} came in its place",
            come.pid
        ))
        .because(format!("{count} processes with this command within {} s", WATCHED.as_secs()));
    with_cure(verdict, come.pid)
}

/// Where the reason stands, and who starts the server again.
fn with_cure(verdict: Verdict, pid: u32) -> Verdict {
    let starter = parent(pid).map(|parent| arguments(parent).join(" "));
    let starter = starter.filter(|line| !line.is_empty() && unit(pid).is_none());
    let verdict = verdict.because_all(
        starter.map(|line| format!("it is started by `{}`", crate::sockets::redact::line(&line))),
    );
    match (unit(pid), containers::of_process(Path::new("/"), pid)) {
        (Some(unit), _) => verdict
            .fix(Fix::run("read why it ends", format!("journalctl -u {unit} -n 50")))
            .fix(Fix::run(
                "mend that, then let it be started again",
                format!("systemctl restart {unit}"),
            )),
        (None, Some(Container { id, .. })) => {
            verdict.fix(Fix::run("read why it ends", format!("docker logs --tail 50 {id}")))
        }
        (None, None) => verdict
            .fix(Fix::say("read its log or its output: its last lines say why it ends"))
            .fix(Fix::say("or stop what starts it, and start it once by `rapport doctor run --`")),
    }
}

/// A service whose manager has started it again several times.
async fn managed(owner: &Process, port: u16) -> Option<Verdict> {
    let unit = unit(owner.pid)?;
    let asked = tokio::process::Command::new("systemctl")
        .args(["show", "-p", "NRestarts", "--value", &unit])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    // Where there is no such program nobody is asked.
    let said = tokio::time::timeout(Duration::from_secs(1), asked).await.ok()?.ok()?;
    let count: u32 = String::from_utf8_lossy(&said.stdout).trim().parse().ok()?;
    (count >= STARTS).then(|| {
        let sentence = format!("the server on port {port} ends soon after each start");
        let verdict = Verdict::certain("start.crash_loop", sentence)
            .because(format!("systemd started {unit} {count} times again (NRestarts)"))
            .because(format!("{owner} is only seconds old"));
        with_cure(verdict, owner.pid)
    })
}

/// The service of systemd to which a process belongs.
fn unit(pid: u32) -> Option<String> {
    journal::of_process(Path::new("/"), pid)
}

/// How long ago a process was started.
fn age(process: &Process) -> Option<Duration> {
    let started: jiff::Timestamp = process.started.as_ref()?.parse().ok()?;
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(started.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

/// Whether a process is a shell at which somebody types, or this program itself.
fn is_by_hand(pid: u32) -> bool {
    let words = arguments(pid);
    let first = words.first().map_or("", String::as_str);
    let name = first.rsplit('/').next().unwrap_or_default();
    let is_shell = SHELLS.contains(&name.trim_start_matches('-'));
    pid == std::process::id() || (is_shell && (name.starts_with('-') || words.len() == 1))
}

#[cfg(target_os = "linux")]
fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|parent| *parent > 0)
}

#[cfg(not(target_os = "linux"))]
fn parent(_pid: u32) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, command: &str) -> Process {
        let (command, user) = (command.to_owned(), "ann".to_owned());
        Process { pid, command, user, started: None, state: None }
    }

    #[test]
    fn one_that_goes_and_one_that_comes_are_a_start_again() {
        let mut lives = Lives::default();
        lives.see(vec![process(1, "bash loop"), process(2, "app --port 1")]);
        assert!(lives.again().is_none());
        lives.see(vec![process(1, "bash loop")]);
        assert!(lives.again().is_none(), "it may have ended for good");
        lives.see(vec![process(1, "bash loop"), process(3, "other --port 1")]);
        assert!(lives.again().is_none(), "another program is no start again");
        lives.see(vec![process(1, "bash loop"), process(4, "app --port 1")]);
        let (gone, come) = lives.again().unwrap();
        assert_eq!((gone.pid, come.pid), (2, 4));
    }

    #[test]
    fn two_that_stay_are_no_start_again() {
        let mut lives = Lives::default();
        for _ in 0..3 {
            lives.see(vec![process(2, "app --port 1"), process(3, "app --port 1")]);
        }
        assert!(lives.again().is_none());
    }
}
