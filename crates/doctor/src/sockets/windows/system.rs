//! The questions themselves: which tables, and what is known of a process.

use std::collections::{HashMap, HashSet};

use native::windows::process::{self, Entry};
use native::windows::sockets;

use super::rows::{Kind, read_into};
use super::words::{moment, words};
use crate::sockets::{
    Elsewhere, Group, Kill, Process, Table, Unavailable, Vitals, names_number, redact,
};

/// The process that stands for what the kernel does itself: `http.sys`, file sharing.
const SYSTEM: u32 = 4;

/// Limit: parents that are followed upwards from this process.
const ANCESTORS_MAX: usize = 32;

pub(in crate::sockets) fn table() -> Result<Table, Unavailable> {
    let mut table = Table::default();
    for (which, kind, path) in [
        (sockets::Table::Tcp4, Kind::Tcp4, "GetExtendedTcpTable(AF_INET)"),
        (sockets::Table::Tcp6, Kind::Tcp6, "GetExtendedTcpTable(AF_INET6)"),
        (sockets::Table::Udp4, Kind::Udp4, "GetExtendedUdpTable(AF_INET)"),
        (sockets::Table::Udp6, Kind::Udp6, "GetExtendedUdpTable(AF_INET6)"),
    ] {
        match sockets::table(which) {
            Ok(bytes) => read_into(&mut table, kind, &bytes),
            // A machine without IPv6 has no such table.
            Err(_) if matches!(kind, Kind::Tcp6 | Kind::Udp6) => {}
            Err(error) => {
                let (path, reason) = (path.to_owned(), error.to_string());
                return Err(Unavailable::Unreadable { path, reason });
            }
        }
    }
    let names = names();
    let mut known: HashMap<u64, Option<Process>> = HashMap::new();
    for row in table.listeners.iter_mut().chain(&mut table.udp) {
        let found = known.entry(row.inode).or_insert_with(|| of_number(row.inode, &names));
        row.owner.clone_from(found);
    }
    Ok(table)
}

/// The names of all programs by the number of their process.
fn names() -> HashMap<u32, String> {
    process::all().into_iter().map(|entry| (entry.pid, entry.name)).collect()
}

fn of_number(number: u64, names: &HashMap<u32, String>) -> Option<Process> {
    let pid = u32::try_from(number).ok().filter(|pid| *pid != 0)?;
    of(pid, names.get(&pid).map(String::as_str))
}

/// What is known of a process: of another user's, its name alone.
fn of(pid: u32, name: Option<&str>) -> Option<Process> {
    let facts = process::facts(pid);
    if facts.is_none() && name.is_none() {
        return None;
    }
    let facts = facts.unwrap_or_default();
    let line = facts.command_line.map(|line| words(&line)).unwrap_or_default();
    let mut command = redact::command_line(line.iter().map(String::as_str));
    if command.is_empty() {
        command = facts.program.or(name.map(str::to_owned)).unwrap_or_default();
    }
    let user = facts
        .user
        .unwrap_or_else(|| if pid == SYSTEM { "SYSTEM".to_owned() } else { "unknown".to_owned() });
    Some(Process { pid, command, user, started: facts.started.and_then(moment), state: None })
}

pub(in crate::sockets) fn holder_of(number: u64) -> Option<Process> {
    of_number(number, &names())
}

pub(in crate::sockets) fn arguments(pid: u32) -> Vec<String> {
    let line = process::facts(pid).and_then(|facts| facts.command_line);
    line.map(|line| words(&line)).unwrap_or_default()
}

pub(in crate::sockets) fn processes_naming(number: &str) -> Vec<Process> {
    let entries = process::all();
    let own = ancestors(&entries);
    let others = entries.iter().filter(|entry| entry.pid != 0 && !own.contains(&entry.pid));
    let naming = others.filter(|entry| {
        process::facts(entry.pid)
            .and_then(|facts| facts.command_line)
            .is_some_and(|line| names_number(&line, number))
    });
    naming.filter_map(|entry| of(entry.pid, Some(&entry.name))).collect()
}

pub(in crate::sockets) fn running() -> crate::guards::Running {
    use native::windows::registry::{Root, number};
    let programs = process::all().into_iter().map(|entry| entry.name).collect();
    // A driver that is started with the system (0, 1) or by its service (2) is loaded.
    let is_on = |name: &&str| {
        let key = format!("SYSTEM\\CurrentControlSet\\Services\\{name}");
        number(Root::Machine, &key, "Start").is_some_and(|start| start <= 2)
    };
    let modules = crate::guards::drivers().filter(is_on).map(str::to_owned).collect();
    crate::guards::Running { programs, modules }
}

/// This process and those that started it.
fn ancestors(entries: &[Entry]) -> HashSet<u32> {
    let mut current = std::process::id();
    let mut found = HashSet::from([current]);
    for _step in 0..ANCESTORS_MAX {
        let Some(entry) = entries.iter().find(|entry| entry.pid == current) else { break };
        if entry.parent == 0 || !found.insert(entry.parent) {
            break;
        }
        current = entry.parent;
    }
    found
}

/// The time of all threads together: one that runs all the time shows as a busy process.
pub(in crate::sockets) fn runnable(pid: u32) -> Vec<(u32, u64)> {
    let ran = process::facts(pid).and_then(|facts| facts.ran);
    ran.map(|ran| (pid, ran.saturating_mul(100))).into_iter().collect()
}

pub(in crate::sockets) fn hidden_holder(_uid: u32) -> String {
    "a process that has ended, or that only an administrator can see".to_owned()
}

pub(in crate::sockets) fn vitals(_pid: u32) -> Vitals {
    Vitals::default()
}

pub(in crate::sockets) fn group(_pid: u32) -> Group {
    Group::default()
}

pub(in crate::sockets) fn kills() -> Vec<Kill> {
    Vec::new()
}

pub(in crate::sockets) fn tracer(_pid: u32) -> Option<Process> {
    None
}

pub(in crate::sockets) fn is_filtered(_pid: u32) -> bool {
    false
}

pub(in crate::sockets) fn elsewhere(_port: u16) -> Vec<Elsewhere> {
    Vec::new()
}
