//! Packet filters: which rule ends or turns a connection, read and never changed.

#[cfg(target_os = "linux")]
mod cure;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod nft;
mod steps;
#[cfg(any(windows, test))]
mod windows;

use std::net::IpAddr;

pub(crate) use steps::steps;

use crate::report::Fix;

/// What a rule does to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux's filter is read"))]
pub(crate) enum Deed {
    Drop,
    Reject,
    /// Sends it to another port or machine; the port when it is known.
    Redirect(Option<u16>),
    /// Hands it to a program that decides.
    Hand,
}

/// A connection to a server, for which the rules are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: IpAddr,
    pub(crate) port: u16,
    /// Whether the server is on this machine.
    pub(crate) is_local: bool,
    /// Bytes of a packet with data; `None` follows the packets of the handshake.
    pub(crate) length: Option<u32>,
}

/// A rule that ends or turns the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Culprit {
    pub(crate) deed: Deed,
    /// Whether it surely meets this connection.
    pub(crate) is_sure: bool,
    /// "table inet t, chain c (input)".
    pub(crate) place: String,
    /// The rule as nft prints it, with its handle.
    pub(crate) rule: String,
    /// Packets it has counted.
    pub(crate) counter: Option<u64>,
    /// What mends it, the best first.
    pub(crate) fixes: Vec<Fix>,
}

impl Culprit {
    /// The rule and its place in one line.
    pub(crate) fn line(&self) -> String {
        let verb = match self.deed {
            Deed::Drop => "drops",
            Deed::Reject => "rejects",
            Deed::Redirect(_) => "turns",
            Deed::Hand => "hands to a program",
        };
        let sure = if self.is_sure { "" } else { "may be it: it " };
        format!("{}: `{}` {sure}{verb} this connection", self.place, self.rule)
    }
}

/// What is known of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux's filter is read"))]
pub(crate) enum Look {
    /// They were read: how many there are, and which of them concern the connection.
    Read { rules: usize, culprits: Vec<Culprit>, notes: Vec<String> },
    /// They cannot be read, and why; what files say all the same.
    Hidden { reason: String, notes: Vec<String> },
}

/// Reads the rules; asks the kernel and files, and takes some milliseconds.
#[cfg(target_os = "linux")]
pub(crate) fn look(way: Way) -> Look {
    let notes = files::notes(std::path::Path::new("/"));
    match nft::read() {
        Ok(rules) => {
            let uid = rustix::process::getuid().as_raw();
            let flow = nft::Flow {
                to: way.to,
                port: way.port,
                client: client_port(),
                is_local: way.is_local,
                uid,
                length: way.length,
            };
            let found = nft::suspects(&rules, &flow);
            let culprits = found.iter().map(|one| cure::culprit(one, &way)).collect();
            Look::Read { rules: rules.len(), culprits, notes }
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Look::Hidden { reason: "only root may read the firewall's rules".to_owned(), notes }
        }
        Err(_) => Look::Read { rules: 0, culprits: Vec::new(), notes },
    }
}

/// A port from the middle of those that are lent to clients.
#[cfg(target_os = "linux")]
fn client_port() -> u16 {
    crate::port::ephemeral_range().map_or(54321, |range| range.start().midpoint(*range.end()))
}

/// Other systems' packet filters are not read.
#[cfg(not(target_os = "linux"))]
pub(crate) fn look(_way: Way) -> Look {
    let os = std::env::consts::OS;
    let reason = format!("the firewall of {os} cannot be read by this program");
    let notes =
        steps(os).into_iter().filter_map(|step| Some(format!("{}: {}", step.text, step.command?)));
    Look::Hidden { reason, notes: notes.collect() }
}

/// The rules that keep other machines from a program that listens on `port`, in one line each.
#[cfg(windows)]
pub(crate) fn blocks(program: &str, port: u16) -> Vec<String> {
    let found = windows::blocks(program, port);
    found
        .iter()
        .map(|block| {
            let name = block.name.replace('\'', "''");
            format!("{}; Remove-NetFirewallRule -DisplayName '{name}' ends that", block.line())
        })
        .collect()
}

/// Other systems keep no such list that may be read.
#[cfg(not(windows))]
pub(crate) fn blocks(_program: &str, _port: u16) -> Vec<String> {
    Vec::new()
}
