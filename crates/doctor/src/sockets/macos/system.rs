//! The questions themselves: which lists, and what is known of a process.

use std::collections::{HashMap, HashSet};

use native::macos::{account, process, sysctl};

use super::facts::{self, Facts};
use super::rows::{read, tcp_into, udp_into};
use crate::sockets::{
    Elsewhere, Group, Kill, Process, Table, Unavailable, Vitals, disk, names_number, redact,
};

const TCP: &str = "net.inet.tcp.pcblist_n";
const UDP: &str = "net.inet.udp.pcblist_n";

/// Limit: parents that are followed upwards from this process.
const ANCESTORS_MAX: usize = 32;

pub(in crate::sockets) fn table() -> Result<Table, Unavailable> {
    let mut table = Table::default();
    let mut pids: HashMap<u64, u32> = tcp_into(&mut table, list(TCP)?).into_iter().collect();
    // The rest of the table is worth having without this part.
    pids.extend(udp_into(&mut table, list(UDP).unwrap_or_default()));
    let mut known: HashMap<u32, Option<Process>> = HashMap::new();
    let mut owner = |handle: u64| {
        let pid = *pids.get(&handle).filter(|pid| **pid != 0)?;
        known.entry(pid).or_insert_with(|| of(pid)).clone()
    };
    for row in table.listeners.iter_mut().chain(&mut table.udp) {
        row.owner = owner(row.inode);
    }
    for row in &mut table.bound {
        row.owner = owner(row.inode);
    }
    Ok(table)
}

fn list(name: &str) -> Result<Vec<super::rows::Row>, Unavailable> {
    let bytes = sysctl::by_name(name);
    bytes.map(|bytes| read(&bytes)).map_err(|error| Unavailable::Unreadable {
        path: name.to_owned(),
        reason: error.to_string(),
    })
}

fn facts(pid: u32) -> Option<Facts> {
    process::info(pid, process::FACTS)
        .and_then(|bytes| facts::whole(&bytes))
        .or_else(|| facts::short(&process::info(pid, process::SHORT)?))
}

/// What is known of a process: of another user's, its program alone.
fn of(pid: u32) -> Option<Process> {
    let facts = facts(pid)?;
    let words = arguments(pid);
    let mut command = redact::command_line(words.iter().map(String::as_str));
    if command.is_empty() {
        command = process::program(pid).unwrap_or_else(|| format!("[{}]", facts.name));
    }
    let started = facts.started.and_then(|second| jiff::Timestamp::from_second(second).ok());
    Some(Process {
        pid,
        command,
        user: user(facts.uid),
        started: started.map(|moment| moment.to_string()),
        state: facts.state,
    })
}

pub(in crate::sockets) fn holder_of(handle: u64) -> Option<Process> {
    let row = list(TCP).ok()?.into_iter().find(|row| row.handle == handle)?;
    of(row.pid)
}

pub(in crate::sockets) fn arguments(pid: u32) -> Vec<String> {
    process::arguments(pid).map(|bytes| facts::words(&bytes)).unwrap_or_default()
}

pub(in crate::sockets) fn processes_naming(number: &str) -> Vec<Process> {
    let own = ancestors();
    let others = process::all().into_iter().filter(|pid| *pid != 0 && !own.contains(pid));
    let naming = others.filter(|pid| arguments(*pid).iter().any(|word| names_number(word, number)));
    naming.filter_map(of).collect()
}

pub(in crate::sockets) fn running() -> crate::guards::Running {
    let programs = process::all().into_iter().filter_map(process::program);
    let names = programs.filter_map(|path| Some(path.rsplit('/').next()?.to_owned()));
    crate::guards::Running { programs: names.collect(), modules: Vec::new() }
}

/// This process and those that started it.
fn ancestors() -> HashSet<u32> {
    let mut current = std::process::id();
    let mut found = HashSet::from([current]);
    for _step in 0..ANCESTORS_MAX {
        match facts(current) {
            Some(facts) if facts.parent > 0 && found.insert(facts.parent) => current = facts.parent,
            _ => break,
        }
    }
    found
}

pub(in crate::sockets) fn vitals(pid: u32) -> Vitals {
    let folder = process::info(pid, process::FOLDERS).and_then(|bytes| facts::folder(&bytes));
    Vitals {
        disk: folder.and_then(|folder| disk(std::path::Path::new(&folder))),
        ..Vitals::default()
    }
}

fn user(uid: u32) -> String {
    account::name(uid).unwrap_or_else(|| uid.to_string())
}

pub(in crate::sockets) fn hidden_holder(uid: u32) -> String {
    format!("a hidden process of user {} ({})", user(uid), crate::sockets::why_hidden())
}

/// The kernel counts in units that differ between processors, so nothing is concluded from them.
pub(in crate::sockets) fn runnable(_pid: u32) -> Vec<(u32, u64)> {
    Vec::new()
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
