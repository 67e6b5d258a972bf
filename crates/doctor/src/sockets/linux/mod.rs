//! Linux: the kernel's own tables of sockets (netlink, or `/proc/net/tcp`), and `/proc/PID`.

mod diag;
mod group;
mod spaces;
pub(crate) mod strain;
mod vitals;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Bound, Connection, Listener, Process, Table, Unavailable, UnixListener, redact};

pub(super) use group::{group, kernel_log, kills};
pub(super) use spaces::elsewhere;
pub(super) use vitals::{runnable, tracer, vitals};

/// Ticks per second of the start time in `/proc/PID/stat`; 100 on every Linux a user meets.
const TICKS_PER_SECOND: u64 = 100;

/// Limit: parents that are followed upwards from this process.
const ANCESTORS_MAX: usize = 32;

pub(super) fn table() -> Result<Table, Unavailable> {
    let mut table = Table::default();
    if diag::read_into(&mut table).is_err() {
        // A sandbox or an old kernel may refuse the question; the files say nearly as much.
        table = from_files()?;
    }
    for path in ["/proc/net/udp", "/proc/net/udp6"] {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        table.udp.extend(text.lines().skip(1).filter_map(read_udp));
    }
    let unix = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    table.unix = unix.lines().skip(1).filter_map(read_unix).collect();
    name_owners(&mut table);
    Ok(table)
}

/// The TCP sockets as the files in `/proc/net` list them.
pub(super) fn from_files() -> Result<Table, Unavailable> {
    let mut table = Table::default();
    read_into(&mut table, "/proc/net/tcp")?;
    // A kernel without IPv6 has no such file.
    if std::path::Path::new("/proc/net/tcp6").exists() {
        read_into(&mut table, "/proc/net/tcp6")?;
    }
    Ok(table)
}

pub(super) fn arguments(pid: u32) -> Vec<String> {
    let words = raw_command(pid).unwrap_or_default();
    words.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) fn is_filtered(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // 2 is a filter of its own; 1 lets nothing but reading and writing through.
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| matches!(mode.trim(), "1" | "2"))
}

pub(super) fn holder_of(inode: u64) -> Option<Process> {
    process(*owners(&HashSet::from([inode])).get(&inode)?)
}

fn name_owners(table: &mut Table) {
    let sockets = table.listeners.iter().chain(&table.udp).map(|listener| listener.inode);
    let sockets = sockets.chain(table.unix.iter().map(|unix| unix.inode));
    let inodes: HashSet<u64> = sockets.chain(table.bound.iter().map(|one| one.inode)).collect();
    let owners = owners(&inodes);
    let mut known: HashMap<u32, Process> = HashMap::new();
    let mut owner = |inode: u64| {
        let pid = owners.get(&inode)?;
        if !known.contains_key(pid)
            && let Some(process) = process(*pid)
        {
            known.insert(*pid, process);
        }
        known.get(pid).cloned()
    };
    for listener in table.listeners.iter_mut().chain(&mut table.udp) {
        listener.owner = owner(listener.inode);
    }
    for unix in &mut table.unix {
        unix.owner = owner(unix.inode);
    }
    for bound in &mut table.bound {
        bound.owner = owner(bound.inode);
    }
    for listener in table.listeners.iter_mut().filter(|listener| listener.owner.is_none()) {
        listener.guess = guess(listener.uid, listener.port);
    }
}

/// A UDP socket that is bound and joined to nobody.
fn read_udp(line: &str) -> Option<Listener> {
    let unconnected = line.split_whitespace().nth(2)?.ends_with(":0000");
    let Row::Connected(connection) = read_row(line)? else { return None };
    let mut fields = line.split_whitespace();
    let (address, port) = read_address(fields.nth(1)?)?;
    let uid = fields.nth(5)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    (unconnected && connection.port == port).then(|| listener((address, port), uid, inode))
}

/// A socket of which nothing but its place, user and number is known.
fn listener((address, port): (IpAddr, u16), uid: u32, inode: u64) -> Listener {
    let (queue_limit, v6_only, owner, guess) = (None, None, None, None);
    Listener { address, port, inode, uid, waiting: 0, queue_limit, v6_only, owner, guess }
}

/// A UNIX socket that accepts connections and has a name: `Num: Ref Protocol Flags … Inode Path`.
pub(super) fn read_unix(line: &str) -> Option<UnixListener> {
    const ACCEPTS: u32 = 0x1_0000;
    let mut fields = line.split_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    let path = fields.next()?.to_owned();
    (flags & ACCEPTS != 0).then_some(UnixListener { path, inode, owner: None })
}

fn read_into(table: &mut Table, path: &str) -> Result<(), Unavailable> {
    let text = std::fs::read_to_string(path).map_err(|error| Unavailable::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    for row in text.lines().skip(1).filter_map(read_row) {
        match row {
            Row::Listening(listener) => table.listeners.push(listener),
            Row::Connected(connection) => table.connections.push(connection),
            Row::Bound(bound) => table.bound.push(bound),
        }
    }
    Ok(())
}

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    Listening(Listener),
    Connected(Connection),
    Bound(Bound),
}

/// Reads `sl local remote state tx:rx timer retransmits uid timeout inode …`, numbers in hex.
pub(super) fn read_row(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace();
    let (address, port) = read_address(fields.nth(1)?)?;
    let (_, remote_port) = read_address(fields.next()?)?;
    let state = fields.next()?;
    let (unsent, unread) = fields.next()?.split_once(':')?;
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let (unsent, unread) = (hex(unsent)?, hex(unread)?);
    let retransmits = u8::from_str_radix(fields.nth(1)?, 16).unwrap_or(u8::MAX);
    let uid = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(match state {
        "0A" => {
            Row::Listening(Listener { waiting: unread, ..listener((address, port), uid, inode) })
        }
        _ => Row::Connected(Connection {
            port,
            remote_port,
            is_established: state == "01",
            is_time_wait: state == "06",
            unread,
            unsent,
            retransmits,
            inode,
        }),
    })
}

/// The kernel prints each 32-bit word of an address in its own byte order.
fn read_address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0_u8; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

/// Which process holds each socket, the lowest PID when several do.
fn owners(inodes: &HashSet<u64>) -> HashMap<u64, u32> {
    let mut owners: HashMap<u64, u32> = HashMap::new();
    for pid in pids() {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for link in entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()) {
            let Some(inode) = link.to_str().and_then(socket_inode) else { continue };
            if inodes.contains(&inode) {
                owners.entry(inode).and_modify(|owner| *owner = pid.min(*owner)).or_insert(pid);
            }
        }
    }
    owners
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A visible process of `uid` with `port` in its command line, when there is exactly one.
fn guess(uid: u32, port: u16) -> Option<Process> {
    let port = port.to_string();
    let mut found = pids().into_iter().filter(|pid| {
        owner_uid(*pid) == Some(uid)
            && raw_command(*pid).is_some_and(|line| super::names_number(&line, &port))
    });
    let only = found.next()?;
    if found.next().is_some() { None } else { process(only) }
}

pub(super) fn running() -> crate::guards::Running {
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    // The kernel keeps 15 characters; the first word of the command line has all.
    let whole = |pid: u32| {
        let line = raw_command(pid)?;
        let program = line.split(['\0', ' ']).next()?;
        Some(program.rsplit('/').next().unwrap_or(program).to_owned())
    };
    let short = |pid: &u32| Some(name(*pid)?.trim().to_owned());
    let all = pids();
    let programs = all.iter().filter_map(short).chain(all.iter().filter_map(|pid| whole(*pid)));
    let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let modules = modules.lines().filter_map(|line| line.split(' ').next());
    crate::guards::Running {
        programs: programs.filter(|name| !name.is_empty()).collect(),
        modules: modules.map(str::to_owned).collect(),
    }
}

fn raw_command(pid: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn owner_uid(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = split_stat(&stat)?;
    let raw = raw_command(pid).unwrap_or_default();
    let mut command = redact::command_line(raw.split('\0').filter(|word| !word.is_empty()));
    if command.is_empty() {
        command = format!("[{name}]");
    }
    let user = owner_uid(pid).map_or_else(|| "unknown".to_owned(), user);
    let mut fields = rest.split_whitespace();
    let state = fields.next().and_then(|state| state.chars().next());
    // After the state come the fields 4 to 21; the start time is field 22.
    let ticks = fields.nth(18).and_then(|ticks| ticks.parse::<u64>().ok());
    let started = ticks.and_then(|ticks| started(ticks / TICKS_PER_SECOND));
    Some(Process { pid, command, user, started, state })
}

/// The name in parentheses, which may itself contain parentheses and spaces, and what follows.
pub(super) fn split_stat(stat: &str) -> Option<(&str, &str)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some((name, rest))
}

fn started(seconds_after_boot: u64) -> Option<String> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>();
    let second = i64::try_from(boot.ok()?.checked_add(seconds_after_boot)?).ok()?;
    Some(jiff::Timestamp::from_second(second).ok()?.to_string())
}

pub(super) fn hidden_holder(uid: u32) -> String {
    format!("a hidden process of user {} ({})", user(uid), crate::sockets::why_hidden())
}

fn user(uid: u32) -> String {
    let names = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let name = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    name.map_or(number.clone(), str::to_owned)
}

pub(super) fn processes_naming(number: &str) -> Vec<Process> {
    let own = ancestors(std::process::id());
    let here = network("self");
    // The ports of another network namespace are not ours; an unreadable one may be this.
    let near = |pid: &u32| network(&pid.to_string()).is_none_or(|other| Some(other) == here);
    let others = pids().into_iter().filter(|pid| !own.contains(pid)).filter(near);
    let naming = others
        .filter(|pid| raw_command(*pid).is_some_and(|line| super::names_number(&line, number)));
    naming.filter_map(process).collect()
}

/// The network namespace of a process, when it may be read.
fn network(process: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

/// A process and those that started it.
fn ancestors(pid: u32) -> HashSet<u32> {
    let mut found = HashSet::from([pid]);
    let mut current = pid;
    for _ in 0..ANCESTORS_MAX {
        let stat = std::fs::read_to_string(format!("/proc/{current}/stat")).unwrap_or_default();
        let parent = split_stat(&stat)
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        match parent {
            Some(parent) if parent > 0 && found.insert(parent) => current = parent,
            _ => break,
        }
    }
    found
}
