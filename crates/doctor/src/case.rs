//! The case under examination: the address, what was learned so far, and the time that is left.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::check::Note;
use crate::log::Said;
use crate::port::{InvalidPort, LogicalMap};
use crate::probe::dial::Dial;
use crate::probe::http::Answer;
use crate::probe::speech::Spoken;
use crate::probe::talk::Line;
use crate::probe::tls::Peer;
use crate::report::Neighbour;
use crate::request::Environment;
use crate::sockets::{Listener, Process, Table, Unavailable};
use crate::target::{BadTarget, Scheme, Target};

/// Everything the checks read; only the ladder writes it, between two rungs.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) target: Result<Target, Box<BadTarget>>,
    pub(crate) default_port: u16,
    pub(crate) environment: Environment,
    pub(crate) logical: LogicalMap,
    pub(crate) strict_ports: bool,
    /// Whether the caller said that the address is an MCP server's.
    pub(crate) mcp: bool,
    /// The model that may be asked for a few words, when the caller allows it.
    pub(crate) ask: Option<String>,
    /// The origin of a page that is to call the server.
    pub(crate) origin: Option<String>,
    /// Logs of the server that are known, and whether the user named them.
    pub(crate) logs: Vec<std::path::PathBuf>,
    pub(crate) log_is_named: bool,
    /// A file of certificates to trust besides the system's.
    pub(crate) roots: Option<std::path::PathBuf>,
    pub(crate) facts: Facts,
}

/// What the checks have learned.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The real port of the address, when it has one.
    pub(crate) port: Option<u16>,
    /// The port that was none.
    pub(crate) invalid_port: Option<InvalidPort>,
    pub(crate) names: Option<Names>,
    pub(crate) table: Option<Result<Table, Unavailable>>,
    pub(crate) dials: Vec<Dial>,
    /// The address at which a connection succeeded.
    pub(crate) connected: Option<SocketAddr>,
    /// Nothing listens at the address, and the search for another place has a point.
    pub(crate) nothing_listens: bool,
    pub(crate) spoken: Option<Spoken>,
    pub(crate) neighbours: Vec<Neighbour>,
    /// What the surroundings add to the verdict.
    pub(crate) notes: Vec<Note>,
    /// What the server last wrote to its log.
    pub(crate) log: Option<Box<Said>>,
}

/// What a check adds to the facts.
#[derive(Debug)]
pub(crate) enum Learned {
    Nothing,
    Port(u16),
    InvalidPort(InvalidPort, Option<u16>),
    Names(Names),
    Table(Result<Table, Unavailable>),
    Connections { dials: Vec<Dial>, connected: Option<SocketAddr>, nothing_listens: bool },
    Spoken(Box<Spoken>),
    Neighbours(Vec<Neighbour>),
    Note(Box<Note>),
    Log(Box<Said>),
}

/// The addresses of the host.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// In the order the system gave them.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether they belong to this machine.
    pub(crate) is_local: bool,
    pub(crate) elapsed: Duration,
}

impl Facts {
    pub(crate) fn learn(&mut self, learned: Learned) {
        match learned {
            Learned::Nothing => {}
            Learned::Port(port) => self.port = Some(port),
            Learned::InvalidPort(invalid, meant) => {
                self.invalid_port = Some(invalid);
                self.port = meant;
            }
            Learned::Names(names) => self.names = Some(names),
            Learned::Table(table) => self.table = Some(table),
            Learned::Connections { dials, connected, nothing_listens } => {
                self.dials = dials;
                self.connected = connected;
                self.nothing_listens = nothing_listens;
            }
            Learned::Spoken(spoken) => self.spoken = Some(*spoken),
            Learned::Neighbours(neighbours) => self.neighbours = neighbours,
            Learned::Note(note) => self.notes.push(*note),
            Learned::Log(said) => self.log = Some(said),
        }
    }

    /// The listening sockets, when the table could be read.
    pub(crate) fn listeners(&self) -> Option<&[Listener]> {
        match &self.table {
            Some(Ok(table)) => Some(&table.listeners),
            Some(Err(_)) | None => None,
        }
    }

    /// The answer to the HTTP request, when there was one.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.spoken.as_ref()?.answer.as_ref()
    }
}

impl Case {
    /// The address, once the address check has passed it.
    pub(crate) fn address(&self) -> Option<&Target> {
        self.target.as_ref().ok()
    }

    /// Whether the address asks for the Model Context Protocol over HTTP.
    pub(crate) fn expects_mcp(&self) -> bool {
        let Some(target) = self.address() else { return false };
        if !matches!(target.scheme, Some(Scheme::Http | Scheme::Https) | None) {
            return false;
        }
        let path = target.path.as_deref().unwrap_or_default().trim_end_matches('/');
        let joined = path.strip_prefix("/mcp/s/").or_else(|| path.strip_prefix("/mcp/service/"));
        self.mcp
            || path.ends_with("/mcp")
            || path.ends_with("/sse")
            || joined.is_some_and(|name| !name.contains('/'))
    }

    /// The process that listens at the address that answered.
    pub(crate) fn owner(&self) -> Option<&Process> {
        let address = self.facts.connected?;
        let rows = self.facts.listeners()?.iter().filter(|row| row.port == address.port());
        let exact = |row: &&Listener| row.address == address.ip();
        rows.clone().find(exact).or_else(|| rows.clone().next())?.owner.as_ref()
    }

    /// Where further requests go.
    pub(crate) fn line(&self) -> Option<Line> {
        let (target, address) = (self.address()?, self.facts.connected?);
        let spoken = self.facts.spoken.as_ref()?;
        let peer = || Peer { name: target.host.clone(), roots: self.roots.clone() };
        Some(Line {
            address,
            host: format!("{}:{}", target.bracketed_host(), address.port()),
            peer: spoken.tls.as_ref().map(|_| peer()),
        })
    }

    /// The host for messages; empty when the address could not be read.
    pub(crate) fn host(&self) -> &str {
        self.address().map_or("", |target| target.host.as_str())
    }
}
