//! Other network namespaces (containers): who listens on a port there; needs root.

use std::collections::HashSet;

use super::{Row, network, pids, process, read_row};
use crate::sockets::Elsewhere;

/// Limit: namespaces that are looked at.
const SPACES_MAX: usize = 200;

pub(in crate::sockets) fn elsewhere(port: u16) -> Vec<Elsewhere> {
    let here = network("self");
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for pid in pids() {
        let Some(space) = network(&pid.to_string()) else { continue };
        if Some(&space) == here.as_ref() || !seen.insert(space) || seen.len() > SPACES_MAX {
            continue;
        }
        for table in ["tcp", "tcp6"] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}"));
            let text = text.unwrap_or_default();
            for row in text.lines().skip(1).filter_map(read_row) {
                if let Row::Listening(listener) = row
                    && listener.port == port
                {
                    let owner = owner(pid, listener.inode);
                    found.push(Elsewhere { address: listener.address, port, owner });
                }
            }
        }
    }
    found
}

/// The process of the same namespace that holds the socket, or the one that was looked at.
fn owner(pid: u32, inode: u64) -> Option<crate::sockets::Process> {
    let space = network(&pid.to_string());
    let wanted = format!("socket:[{inode}]");
    let holds = |pid: &u32| {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
        links.any(|link| link.to_str() == Some(&wanted))
    };
    let near = pids().into_iter().filter(|other| network(&other.to_string()) == space);
    let holder = near.into_iter().find(holds).unwrap_or(pid);
    process(holder)
}
