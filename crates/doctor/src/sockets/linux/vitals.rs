//! The state of one process: frozen, out of descriptors, replaced on disk, on a full disk, busy.

use std::path::Path;

use crate::sockets::{Disk, Vitals, disk};

pub(in crate::sockets) fn vitals(pid: u32) -> Vitals {
    let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
    let program = link("exe").map(|path| path.to_string_lossy().into_owned());
    Vitals {
        frozen: frozen(pid),
        descriptors: descriptors(pid),
        deleted_program: program
            .and_then(|path| path.strip_suffix(" (deleted)").map(str::to_owned)),
        // Through the process itself, which may see other disks than this program.
        disk: disk(Path::new(&format!("/proc/{pid}/cwd"))).map(|disk| {
            let folder = link("cwd").map(|path| path.display().to_string());
            Disk { folder: folder.unwrap_or_default(), ..disk }
        }),
        store: store(pid),
    }
}

/// Where this product's database lies that a process has open; `None` without the right to look.
fn store(pid: u32) -> Option<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let file = open
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .find(|file| file.file_name().is_some_and(|name| name == "rapport.db"))?;
    Some(file.parent()?.display().to_string())
}

/// The debugger of a process.
pub(in crate::sockets) fn tracer(pid: u32) -> Option<crate::sockets::Process> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    super::process(line.trim().parse().ok().filter(|tracer| *tracer != 0)?)
}

/// For each thread, the time it ran or waited to run so far, in nanoseconds.
pub(in crate::sockets) fn runnable(pid: u32) -> Vec<(u32, u64)> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let threads = threads.flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let mut fields = text.split_whitespace();
        let ran = fields.next()?.parse::<u64>().ok()?;
        let waited = fields.next()?.parse::<u64>().ok()?;
        Some((id, ran.saturating_add(waited)))
    });
    threads.collect()
}

/// Open descriptors and their limit; `None` without the right to look.
fn descriptors(pid: u32) -> Option<(usize, usize)> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some((open, line.split_whitespace().next()?.parse().ok()?))
}

/// The frozen control group of a process.
fn frozen(pid: u32) -> Option<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        if controllers.is_empty() {
            let place = Path::new("/sys/fs/cgroup").join(path);
            let events = std::fs::read_to_string(place.join("cgroup.events")).ok()?;
            return events.contains("frozen 1").then(|| place.display().to_string());
        }
        if !controllers.split(',').any(|one| one == "freezer") {
            return None;
        }
        let place = Path::new("/sys/fs/cgroup/freezer").join(path);
        let state = std::fs::read_to_string(place.join("freezer.state")).ok()?;
        (state.trim() == "FROZEN").then(|| place.display().to_string())
    })
}
