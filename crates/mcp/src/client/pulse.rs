//! Signs of life of a server that has not said yet who it is.
//!
//! A server that loads its modules for seconds and one that will never answer look alike from its
//! pipes. What tells them apart is whether it works: messages, complaints, and where the system
//! says so, the time its processes had on a processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The signs of life of one server; whoever reaches it feels it, whoever waits looks at it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    count: AtomicU64,
    /// The process that was started; none is 0.
    child: AtomicU32,
}

impl Pulse {
    /// It did something.
    pub(super) fn beat(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// What it does is what this process and its descendants do.
    pub(super) fn follow(&self, child: u32) {
        self.0.child.store(child, Ordering::Relaxed);
    }

    /// A number that is another one when there was a sign of life since it was looked at before.
    #[must_use]
    pub fn look(&self) -> u64 {
        let child = self.0.child.load(Ordering::Relaxed);
        let (ticks, is_busy) = if child == 0 { (0, false) } else { work::of(child) };
        if is_busy {
            self.beat();
        }
        self.0.count.load(Ordering::Relaxed).wrapping_add(ticks)
    }
}

#[cfg(target_os = "linux")]
mod work {
    use std::path::PathBuf;

    /// Limit: processes of one server that are looked at.
    const PROCESSES_MAX: usize = 64;

    /// The processor time of a process and its descendants, in ticks of the system, and whether
    /// one of them is at work or waits for a disk at this moment.
    pub(super) fn of(child: u32) -> (u64, bool) {
        let (mut all, mut ticks, mut is_busy) = (vec![child], 0_u64, false);
        let mut at = 0;
        while let Some(process) = all.get(at).copied() {
            at += 1;
            let folder = PathBuf::from(format!("/proc/{process}"));
            let Ok(stat) = std::fs::read_to_string(folder.join("stat")) else { continue };
            let (more, busy) = read(&stat);
            ticks = ticks.wrapping_add(more);
            is_busy |= busy;
            let threads = std::fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
            for thread in threads {
                let children = std::fs::read_to_string(thread.path().join("children"));
                let children = children.unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
            all.truncate(PROCESSES_MAX);
        }
        (ticks, is_busy)
    }

    /// Reads a line of `/proc/PID/stat`; the name in it may hold anything, brackets too.
    fn read(stat: &str) -> (u64, bool) {
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let is_busy = matches!(fields.next(), Some("R" | "D"));
        // utime, stime, cutime and cstime.
        let ticks = fields.skip(10).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
        (ticks, is_busy)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn a_line_is_read_whatever_the_program_is_called() {
            let line = "7 (a) R (b) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
            assert_eq!(super::read(line), (100, false));
            assert_eq!(super::read("7 (x) R 1"), (0, true));
            assert_eq!(super::read(""), (0, false));
        }
    }
}

/// Where the system does not say it so simply, only what is heard of a server counts.
#[cfg(not(target_os = "linux"))]
mod work {
    pub(super) fn of(_child: u32) -> (u64, bool) {
        (0, false)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use tokio::time::Instant;

    /// A shell that runs this; it ends with its input.
    fn shell(script: &str) -> std::process::Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    #[test]
    fn a_child_of_a_child_that_works_is_alive_and_one_that_only_waits_is_not() {
        let (works, waits) = (Pulse::default(), Pulse::default());
        // The shell itself waits; what it started is at work.
        let mut busy = shell("timeout 60 sh -c 'while :; do :; done'; true");
        let mut idle = shell("read line; true");
        works.follow(busy.id());
        waits.follow(idle.id());
        let before = works.look();
        let until = Instant::now() + Duration::from_secs(30);
        while works.look() == before {
            assert!(Instant::now() < until, "nothing is seen of a process that works");
            std::thread::yield_now();
        }
        // It may have been seen starting; then it keeps still.
        let mut seen = waits.look();
        let mut still = 0_u32;
        while still < 200 {
            assert!(Instant::now() < until, "a process that waits is taken for one that works");
            let now = waits.look();
            still = if now == seen { still + 1 } else { 0 };
            seen = now;
        }
        idle.kill().unwrap();
        idle.wait().unwrap();
        let group = Command::new("pkill").args(["-P", &busy.id().to_string()]).status();
        drop(group);
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert_eq!(waits.look(), waits.look(), "who is gone is still");
    }
}
