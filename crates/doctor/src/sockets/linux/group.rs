//! The control group of a process: what it may use, and how often it was held back or killed.

use std::path::{Path, PathBuf};

use crate::sockets::Group;

/// The limits of the group of a process, of both versions of control groups.
pub(in crate::sockets) fn group(pid: u32) -> Group {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    read(&text, Path::new("/sys/fs/cgroup"))
}

/// As [`group`], from the text of `/proc/PID/cgroup` and the place where groups are mounted.
fn read(text: &str, mounted: &Path) -> Group {
    let mut found = Group::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            unified(&mounted.join(path), &mut found);
        }
        for controller in controllers.split(',') {
            single(controller, &mounted.join(controller).join(path), &mut found);
        }
    }
    found
}

fn text(place: &Path, name: &str) -> Option<String> {
    Some(std::fs::read_to_string(place.join(name)).ok()?.trim().to_owned())
}

fn number(place: &Path, name: &str) -> Option<u64> {
    text(place, name)?.parse().ok()
}

/// The number after a word in a file of words and numbers.
fn entry(place: &Path, name: &str, word: &str) -> Option<u64> {
    let text = text(place, name)?;
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The second version: every controller in one folder.
fn unified(place: &Path, found: &mut Group) {
    let pair = |one: &str, most: &str| Some((number(place, one)?, number(place, most)?));
    found.take_tasks(place, pair("pids.current", "pids.max"));
    found.take_memory(place, pair("memory.current", "memory.max"));
    found.kills = found.kills.max(entry(place, "memory.events", "oom_kill"));
    if let Some(limit) = text(place, "cpu.max") {
        let mut words = limit.split_whitespace().map(str::parse::<u64>);
        if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
            processor(place, quota, period, found);
        }
    }
}

/// The first version: a folder for each controller.
fn single(controller: &str, place: &Path, found: &mut Group) {
    match controller {
        "pids" => {
            let most = number(place, "pids.max");
            found.take_tasks(place, number(place, "pids.current").zip(most));
        }
        "memory" => {
            // What is cached does not count: it is given up when memory is needed.
            let used = entry(place, "memory.stat", "rss");
            found.take_memory(place, used.zip(number(place, "memory.limit_in_bytes")));
            found.kills = found.kills.max(entry(place, "memory.oom_control", "oom_kill"));
        }
        "cpu" => {
            let quota = number(place, "cpu.cfs_quota_us");
            if let Some((quota, period)) = quota.zip(number(place, "cpu.cfs_period_us")) {
                processor(place, quota, period, found);
            }
        }
        _ => {}
    }
}

fn processor(place: &Path, quota: u64, period: u64, found: &mut Group) {
    found.quota_percent = quota.checked_mul(100).and_then(|all| all.checked_div(period));
    let counts =
        entry(place, "cpu.stat", "nr_throttled").zip(entry(place, "cpu.stat", "nr_periods"));
    if counts.is_some() {
        found.throttled = counts;
        found.processor_place = place.display().to_string();
    }
}

impl Group {
    fn take_tasks(&mut self, place: &Path, pair: Option<(u64, u64)>) {
        if pair.is_some() {
            self.tasks = pair;
            self.tasks_place = place.display().to_string();
        }
    }

    /// A limit above every machine's memory is none.
    fn take_memory(&mut self, place: &Path, pair: Option<(u64, u64)>) {
        if let Some((_, most)) = pair
            && most < 1 << 50
        {
            self.memory = pair;
            self.memory_place = place.display().to_string();
        }
    }
}

/// What the kernel's log says of processes that were killed for lack of memory; empty without the
/// right to read it.
pub(in crate::sockets) fn kills() -> Vec<crate::sockets::Kill> {
    let up = uptime();
    log().iter().filter_map(|line| kill(line, up)).collect()
}

/// The records of the kernel's log with their age; empty without the right to read it.
pub(in crate::sockets) fn kernel_log() -> Vec<crate::journal::Record> {
    let up = uptime();
    let read = |record: &String| {
        let (head, text) = record.split_once(';')?;
        let at = head.split(',').nth(2)?.parse::<u64>().ok()? / 1_000_000;
        let text = text.lines().next()?.to_owned();
        Some(crate::journal::Record { seconds_ago: up.saturating_sub(at), text })
    };
    log().iter().filter_map(read).collect()
}

fn uptime() -> u64 {
    let up = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    up.split('.').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
}

/// Limit: lines of the kernel's log that are read.
const LINES_MAX: usize = 20_000;

/// The kernel's log, one record a line.
fn log() -> Vec<String> {
    use rustix::fs::{Mode, OFlags, open};
    let path = PathBuf::from("/dev/kmsg");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(&path, flags, Mode::empty()) else { return Vec::new() };
    let mut lines = Vec::new();
    let mut buffer = vec![0_u8; 8192];
    for _record in 0..LINES_MAX {
        match rustix::io::read(&file, &mut buffer) {
            Ok(length @ 1..) => {
                let record = buffer.get(..length).unwrap_or_default();
                lines.push(String::from_utf8_lossy(record).into_owned());
            }
            // A record that was written over while it was read; the next one follows.
            Err(rustix::io::Errno::PIPE) => {}
            Ok(_) | Err(_) => break,
        }
    }
    lines
}

/// "6,1,37562778308,-;Memory cgroup out of memory: Killed process 16517 (python3) …"
fn kill(record: &str, up: u64) -> Option<crate::sockets::Kill> {
    let (head, text) = record.split_once(';')?;
    let (_, rest) = text.split_once("Killed process ")?;
    let (pid, rest) = rest.split_once(' ')?;
    let name = rest.strip_prefix('(')?.split(')').next()?.to_owned();
    let at = head.split(',').nth(2)?.parse::<u64>().ok()? / 1_000_000;
    Some(crate::sockets::Kill { pid: pid.parse().ok()?, name, seconds_ago: up.saturating_sub(at) })
}

#[cfg(test)]
mod tests {
    use super::{kill, read};

    #[test]
    fn groups_of_both_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/pids.current", "7\n");
        write("a/pids.max", "max\n");
        write("a/memory.current", "90\n");
        write("a/memory.max", "100\n");
        write("a/memory.events", "low 0\noom 2\noom_kill 1\n");
        write("a/cpu.max", "5000 100000\n");
        write("a/cpu.stat", "usage_usec 5\nnr_periods 40\nnr_throttled 30\n");
        let found = read("0::/a\n", folder.path());
        assert_eq!((found.tasks, found.memory, found.kills), (None, Some((90, 100)), Some(1)));
        assert_eq!((found.quota_percent, found.throttled), (Some(5), Some((30, 40))));
        write("pids/b/pids.current", "2\n");
        write("pids/b/pids.max", "2\n");
        write("memory/b/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/b/memory.stat", "cache 5\nrss 6\n");
        let found = read("8:pids:/b\n4:memory:/b\n1:cpu,cpuacct:/\n", folder.path());
        assert_eq!((found.tasks, found.memory), (Some((2, 2)), None));
        assert!(found.tasks_place.ends_with("/pids/b"));
    }

    #[test]
    fn a_kill_is_read_from_the_kernels_log() {
        let record = "3,1,37562778308,-;Memory cgroup out of memory: Killed process 16517 \
                      (python3) total-vm:221368kB, anon-rss:40576kB\n";
        let found = kill(record, 37_600).unwrap();
        assert_eq!((found.pid, found.name.as_str(), found.seconds_ago), (16517, "python3", 38));
        assert!(kill("6,1,5,-;eth0: link up", 9).is_none());
    }
}
