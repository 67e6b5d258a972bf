//! The state of one process: frozen, out of descriptors, replaced on disk, on a full disk, busy.

use std::path::{Path, PathBuf};

use super::split_stat;
use crate::sockets::{Disk, Vitals};

pub(in crate::sockets) fn vitals(pid: u32) -> Vitals {
    let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
    let program = link("exe").map(|path| path.to_string_lossy().into_owned());
    Vitals {
        frozen: frozen(pid),
        descriptors: descriptors(pid),
        deleted_program: program
            .and_then(|path| path.strip_suffix(" (deleted)").map(str::to_owned)),
        disk: link("cwd").and_then(|folder| disk(&folder)),
    }
}

/// The processor time of a process so far, in ticks.
pub(in crate::sockets) fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = split_stat(&stat)?;
    // After the name: state is field 3; user and system time are fields 14 and 15.
    let mut fields = rest.split_whitespace().skip(11);
    let user = fields.next()?.parse::<u64>().ok()?;
    let system = fields.next()?.parse::<u64>().ok()?;
    Some(user + system)
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

fn disk(folder: &PathBuf) -> Option<Disk> {
    let seen = rustix::fs::statvfs(folder).ok()?;
    Some(Disk {
        folder: folder.display().to_string(),
        is_full: seen.f_blocks > 0 && seen.f_bavail == 0,
        has_no_inode: seen.f_files > 0 && seen.f_favail == 0,
        is_read_only: seen.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}
