//! What keeps children from outliving us: a process that sees our end, whatever ended us.
//!
//! Every child leads a process group. The guard reads their numbers from a pipe that only we hold
//! open; when the pipe ends, it ends the groups that are still there. It needs no polling, and a
//! `kill -9` is an end like any other. On Windows a job does the same: the system ends what is in
//! it when the last handle is closed, and ours is closed with us.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

/// How long a group may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Our side of the guard: tells it which groups there are.
#[derive(Debug)]
pub struct Guard {
    program: PathBuf,
    args: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pipe: Option<ChildStdin>,
    groups: BTreeSet<u32>,
    /// The job around each child.
    #[cfg(windows)]
    jobs: std::collections::BTreeMap<u32, native::windows::job::Job>,
}

impl Guard {
    /// A guard that runs as this program, which calls [`watch`]. It starts with the first child.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self { program, args, state: Mutex::default() }
    }

    /// A group was started.
    pub(super) fn add(&self, group: u32) {
        let mut state = self.state.lock();
        #[cfg(windows)]
        if let Ok(job) = native::windows::job::Job::around(group) {
            state.jobs.insert(group, job);
            return;
        }
        state.groups.insert(group);
        if state.pipe.as_mut().is_some_and(|pipe| tell(pipe, '+', group)) {
            return;
        }
        // It was not there yet, or somebody ended it.
        match self.start() {
            Ok(mut pipe) => {
                let all = state.groups.iter().all(|group| tell(&mut pipe, '+', *group));
                state.pipe = all.then_some(pipe);
            }
            Err(error) => tracing::warn!("children may outlive a crash: no guard: {error}"),
        }
    }

    /// A group is gone.
    pub(super) fn remove(&self, group: u32) {
        let mut state = self.state.lock();
        #[cfg(windows)]
        state.jobs.remove(&group);
        state.groups.remove(&group);
        if let Some(pipe) = &mut state.pipe {
            tell(pipe, '-', group);
        }
    }

    fn start(&self) -> std::io::Result<ChildStdin> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // What ends our group must not end the guard before it has worked.
            command.process_group(0);
        }
        let mut child = command.spawn()?;
        let pipe = child.stdin.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
        // Somebody has to take note of its end, or it stays in the table of processes.
        std::thread::Builder::new().name("guard".to_owned()).spawn(move || child.wait())?;
        Ok(pipe)
    }
}

fn tell(pipe: &mut ChildStdin, sign: char, group: u32) -> bool {
    writeln!(pipe, "{sign}{group}").and_then(|()| pipe.flush()).is_ok()
}

/// The work of the guard: reads until the pipe ends, then ends what is left.
pub fn watch(input: impl BufRead) {
    let mut groups = BTreeSet::new();
    // An error is an end, too.
    for line in input.lines().map_while(Result::ok) {
        let Some((sign, number)) = line.split_at_checked(1) else { continue };
        let Ok(group) = number.trim().parse::<u32>() else { continue };
        if sign == "+" {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }
    if groups.is_empty() {
        return;
    }
    for group in &groups {
        end_group(*group, false);
    }
    let (_never, wait) = std::sync::mpsc::channel::<()>();
    // The sender lives: this only waits.
    let _waited = wait.recv_timeout(GRACE);
    for group in &groups {
        end_group(*group, true);
    }
}

/// Ends every process of a group: politely, or `hard`.
#[cfg(unix)]
pub(super) fn end_group(group: u32, hard: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if hard { Signal::KILL } else { Signal::TERM };
    // Limit: 0 and 1 are no groups of ours.
    let group = i32::try_from(group).ok().filter(|group| *group > 1).and_then(Pid::from_raw);
    if let Some(group) = group {
        // A group that is gone is what we want.
        let _gone = kill_process_group(group, signal);
    }
}

/// Ends a process and what it started: there is no polite way, so only `hard` does it.
#[cfg(windows)]
pub(super) fn end_group(group: u32, hard: bool) {
    if hard {
        native::windows::process::end_tree(group);
    }
}
