//! Whether the machine has too little processor time or memory for its programs, and who uses most.

use std::collections::HashMap;

use super::{pids, process, split_stat};

/// A machine on which more than this many programs a processor want to run is busy.
const WAITING_PER_PROCESSOR: f64 = 2.0;

/// Less than this part of the memory is free for programs: in percent.
const FREE_PERCENT_MIN: u64 = 5;

/// Limit: programs that are named for each of both.
const NAMED_MAX: usize = 3;

/// What the machine is short of, in words; `None` when there is enough of all.
pub(crate) fn short_of() -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    judge(&read("loadavg"), &read("meminfo"), processors)
}

fn judge(load: &str, memory: &str, processors: usize) -> Option<String> {
    let mut fields = load.split(' ');
    let minute: f64 = fields.next()?.parse().ok()?;
    // What began seconds ago is not in the mean of a minute; one of those that run asks this.
    let now = fields.nth(2).and_then(|field| field.split('/').next()?.parse::<u32>().ok());
    let load = minute.max(f64::from(now.unwrap_or_default().saturating_sub(1)));
    let kibibytes = |name: &str| -> Option<u64> {
        let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let most = f64::from(u32::try_from(processors).ok()?) * WAITING_PER_PROCESSOR;
    let busy = (load > most)
        .then(|| format!("{load} programs at a time want to run, on {processors} processors"));
    let full = kibibytes("MemTotal:").zip(kibibytes("MemAvailable:"));
    let full = full.filter(|(all, free)| free * 100 < all * FREE_PERCENT_MIN);
    let full = full.map(|(all, free)| format!("{} of {} MiB are free", free >> 10, all >> 10));
    let all: Vec<String> = busy.into_iter().chain(full).collect();
    (!all.is_empty()).then(|| format!("the whole machine is under pressure: {}", all.join("; ")))
}

/// What each process has used: processor time so far in ticks, and memory in pages.
pub(crate) fn usage() -> HashMap<u32, (u64, u64)> {
    let read = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = split_stat(&stat)?.1.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        let ticks = next()?.saturating_add(next()?);
        // The eighth field behind the two times is the memory that is in use.
        let pages = fields.nth(8)?.parse().ok()?;
        Some((pid, (ticks, pages)))
    };
    pids().into_iter().filter_map(read).collect()
}

/// Who used most of the processors since `before`, and who has most of the memory.
pub(crate) fn biggest(before: &HashMap<u32, (u64, u64)>) -> Vec<String> {
    let now = usage();
    let ran = |pid: &u32, ticks: u64| {
        before.get(pid).map_or(0, |(earlier, _)| ticks.saturating_sub(*earlier))
    };
    let time = now.iter().map(|(pid, (ticks, _))| (*pid, ran(pid, *ticks))).collect();
    let memory = now.iter().map(|(pid, (_, pages))| (*pid, *pages)).collect();
    [("most processor time", time), ("most memory", memory)]
        .into_iter()
        .filter_map(|(what, rows)| {
            let names: Vec<String> =
                top(rows).into_iter().filter_map(process).map(|one| one.to_string()).collect();
            (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
        })
        .collect()
}

/// The processes with the most of something, the first the most; none that has nothing of it.
fn top(mut rows: Vec<(u32, u64)>) -> Vec<u32> {
    rows.retain(|(_, much)| *much > 0);
    rows.sort_by_key(|(pid, much)| (std::cmp::Reverse(*much), *pid));
    rows.into_iter().take(NAMED_MAX).map(|(pid, _)| pid).collect()
}

#[cfg(test)]
mod tests {
    use super::{judge, top, usage};

    #[test]
    fn pressure_is_said_where_something_is_short() {
        let memory = |free: u64| format!("MemTotal: 1000000 kB\nMemAvailable: {free} kB\n");
        assert_eq!(judge("3.9 1 1", &memory(60_000), 2), None);
        assert!(judge("4.2 1 1", &memory(60_000), 2).unwrap().contains("on 2 processors"));
        assert_eq!(judge("0.1 1 1 5/300 1", &memory(60_000), 2), None);
        assert!(judge("0.1 1 1 9/300 1", &memory(60_000), 2).unwrap().contains("8 programs"));
        assert!(judge("0.1 1 1", &memory(40_000), 2).unwrap().contains("39 of 976 MiB"));
        assert_eq!(judge("", "", 2), None);
    }

    #[test]
    fn the_biggest_stand_first_and_idle_ones_are_left_out() {
        assert_eq!(top(vec![(1, 0), (2, 5), (3, 9), (4, 5), (5, 1)]), [3, 2, 4]);
    }

    #[test]
    fn this_program_uses_memory() {
        let used = usage();
        let (_, pages) = used[&std::process::id()];
        assert!((100..100_000_000).contains(&pages), "{pages}");
    }
}
