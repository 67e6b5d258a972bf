//! Who listens on this machine, read from the system's own tables without another program.
//!
//! Invariant: a row of the table is a listener whether or not its process can be seen; the owner is
//! looked up afterwards and may stay unknown.

#[cfg(target_os = "linux")]
mod linux;
// Rows of other systems are read by plain functions, which every system tests.
#[cfg(any(target_os = "macos", test))]
mod macos;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod other;
pub(crate) mod redact;
#[cfg(test)]
mod tests;
#[cfg(any(windows, test))]
mod windows;

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "linux")]
pub(crate) use linux::strain;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use other as system;
#[cfg(windows)]
use windows as system;

/// A process, as much of it as the caller may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Its command line, shortened, with values that look like secrets left out.
    pub command: String,
    /// The name of its user, or the number when it has no name.
    pub user: String,
    /// When it was started, in UTC, when the system says so.
    pub started: Option<String>,
    /// The scheduler's letter for its state; `T` is stopped, `Z` is dead but not collected.
    pub state: Option<char>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID {} `{}` of user {}", self.pid, self.command, self.user)
    }
}

/// A TCP socket that waits for connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The address it is bound to; `0.0.0.0` and `::` mean every interface.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The system's number for the socket; on Windows, which has none, that of its process.
    pub inode: u64,
    /// The user id of the socket; 0 on Windows, whose users have no numbers.
    pub uid: u32,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may wait before further ones are turned away, when the system says so.
    pub queue_limit: Option<u32>,
    /// Whether a socket of IPv6 leaves IPv4 out (`IPV6_V6ONLY`), when the system says so.
    pub v6_only: Option<bool>,
    /// The process that holds the socket, when it can be seen.
    pub owner: Option<Process>,
    /// A process of the same user with the port in its command line, when the owner is hidden.
    pub guess: Option<Process>,
}

impl Listener {
    /// "PID 4711 `python app.py` of user ann", or what is known of a hidden owner.
    #[must_use]
    pub fn holder_text(&self) -> String {
        match (&self.owner, &self.guess) {
            (Some(owner), _) => owner.to_string(),
            (None, Some(guess)) => format!("probably {guess}"),
            (None, None) => system::hidden_holder(self.uid),
        }
    }

    /// The address and port, with brackets around IPv6.
    #[must_use]
    pub fn place(&self) -> String {
        std::net::SocketAddr::new(self.address, self.port).to_string()
    }

    /// Whether the queue of connections is full; `None` when its limit is not known.
    #[must_use]
    pub fn is_full(&self) -> Option<bool> {
        // The kernel lets one more wait than the limit says.
        self.queue_limit.map(|limit| self.waiting > limit)
    }
}

/// A TCP socket that holds a port and does not listen on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// The address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The user id of the socket.
    pub uid: u32,
    /// The system's number for the socket.
    pub inode: u64,
    /// The process that holds it, when it can be seen.
    pub owner: Option<Process>,
}

/// Another use of a local TCP port: an open, closing or half-closed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// The local port.
    pub port: u16,
    /// The other end's port.
    pub remote_port: u16,
    /// Whether both ends are open.
    pub is_established: bool,
    /// Whether the connection only waits to be forgotten (`TIME_WAIT`).
    pub is_time_wait: bool,
    /// Bytes that arrived and were not read by the program.
    pub unread: u32,
    /// Bytes that were written and not confirmed by the other end.
    pub unsent: u32,
    /// How often the oldest of them was sent again.
    pub retransmits: u8,
    /// The system's number for the socket; 0 when no process has it.
    pub inode: u64,
}

/// Everything the tables say at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Sockets that listen.
    pub listeners: Vec<Listener>,
    /// All other TCP sockets.
    pub connections: Vec<Connection>,
    /// Sockets that hold a port and do not listen; only some ways to ask show them.
    pub bound: Vec<Bound>,
    /// UDP sockets that are bound and joined to nobody.
    pub udp: Vec<Listener>,
    /// UNIX sockets that accept connections and have a name.
    pub unix: Vec<UnixListener>,
}

/// A UNIX socket that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnixListener {
    /// Its path; abstract names begin with `@`.
    pub path: String,
    /// The system's number for the socket.
    pub inode: u64,
    /// The process that holds it, when it can be seen.
    pub owner: Option<Process>,
}

/// A listener in another network namespace, such as a container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) owner: Option<Process>,
}

/// What keeps a process from answering, as far as the caller may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// The control group that is frozen.
    pub(crate) frozen: Option<String>,
    /// Open descriptors, and how many are allowed.
    pub(crate) descriptors: Option<(usize, usize)>,
    /// The program file, when it was replaced or removed after the start.
    pub(crate) deleted_program: Option<String>,
    /// The disk of the folder it works in.
    pub(crate) disk: Option<Disk>,
    /// The folder of this product's database, when the process has it open.
    pub(crate) store: Option<String>,
}

/// The file system a process works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) folder: String,
    pub(crate) is_full: bool,
    pub(crate) has_no_inode: bool,
    pub(crate) is_read_only: bool,
    /// What an ordinary user may still write.
    pub(crate) free_bytes: u64,
}

/// The file system of a folder; `None` when it is not there.
pub(crate) fn disk(folder: &std::path::Path) -> Option<Disk> {
    let native::disk::Room { free_bytes, is_full, has_no_inode, is_read_only } =
        native::disk::room(folder)?;
    let folder = folder.display().to_string();
    Some(Disk { folder, is_full, has_no_inode, is_read_only, free_bytes })
}

/// The control group of a process, as far as it limits it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Processes and threads now, and how many are allowed.
    pub(crate) tasks: Option<(u64, u64)>,
    /// Bytes that are used and allowed.
    pub(crate) memory: Option<(u64, u64)>,
    /// Processes of the group that were killed for lack of memory.
    pub(crate) kills: Option<u64>,
    /// How much of one processor it may use.
    pub(crate) quota_percent: Option<u64>,
    /// Periods in which it was held back, of all.
    pub(crate) throttled: Option<(u64, u64)>,
    /// Where each of these is set.
    pub(crate) tasks_place: String,
    pub(crate) memory_place: String,
    pub(crate) processor_place: String,
}

/// A process that the kernel killed for lack of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Which.
    pub pid: u32,
    /// Its program.
    pub name: String,
    /// When.
    pub seconds_ago: u64,
}

/// What limits a process; reads files of the system.
pub(crate) fn group(pid: u32) -> Group {
    system::group(pid)
}

/// Processes that the kernel killed for lack of memory, as far as its log may be read.
#[must_use]
pub fn kills() -> Vec<Kill> {
    system::kills()
}

/// The kernel's log, the newest last; empty without the right to read it, and on other systems.
pub(crate) fn kernel_log() -> Vec<crate::journal::Record> {
    #[cfg(target_os = "linux")]
    return linux::kernel_log();
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}

/// The debugger of a process.
pub(crate) fn tracer(pid: u32) -> Option<Process> {
    system::tracer(pid)
}

/// The state of one process; reads files of the system.
pub(crate) fn vitals(pid: u32) -> Vitals {
    system::vitals(pid)
}

/// For each thread of a process, the time it ran or waited to run so far, in nanoseconds.
pub(crate) fn runnable(pid: u32) -> Vec<(u32, u64)> {
    system::runnable(pid)
}

/// The words a process was started with; empty when they may not be read.
pub(crate) fn arguments(pid: u32) -> Vec<String> {
    system::arguments(pid)
}

/// Whether a sandbox filters the system calls of a process (seccomp), as far as that can be seen.
pub(crate) fn is_filtered(pid: u32) -> bool {
    system::is_filtered(pid)
}

/// The names of all programs that run, and of what the kernel has loaded; blocks for a moment.
pub(crate) fn running() -> crate::guards::Running {
    system::running()
}

/// The process that holds a socket, when it can be seen.
pub(crate) fn holder_of(inode: u64) -> Option<Process> {
    system::holder_of(inode)
}

/// Who listens on `port` in other network namespaces; empty without the right to look.
pub(crate) fn elsewhere(port: u16) -> Vec<Elsewhere> {
    system::elsewhere(port)
}

/// Why the tables cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// This build does not know how to ask this operating system.
    Platform(&'static str),
    /// A file of the system could not be read.
    Unreadable {
        /// Which one.
        path: String,
        /// The system's reason.
        reason: String,
    },
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(name) => {
                write!(f, "the list of listening sockets is not available on {name} yet")
            }
            Self::Unreadable { path, reason } => write!(f, "`{path}` cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// The process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line, with values that look like secrets left out.
    pub command: String,
    /// Its user.
    pub user: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID {} `{}` of user {}", self.pid, self.command, self.user)
    }
}

/// All TCP sockets of this machine's network namespace, with the owners of those that listen.
///
/// Reads files of the system and blocks for some milliseconds.
///
/// # Errors
/// [`Unavailable`] when the system has no such table or does not let it be read.
pub fn table() -> Result<Table, Unavailable> {
    system::table()
}

/// The listening TCP sockets; see [`table`].
///
/// # Errors
/// As [`table`].
pub fn listeners() -> Result<Vec<Listener>, Unavailable> {
    Ok(table()?.listeners)
}

/// Who listens on `port`; `None` also when the process belongs to someone else and is hidden.
#[must_use]
pub fn holder(port: u16) -> Option<Holder> {
    let found = listeners().ok()?.into_iter().filter(|listener| listener.port == port);
    let process = found.filter_map(|listener| listener.owner.or(listener.guess)).next()?;
    Some(Holder { pid: process.pid, command: process.command, user: process.user })
}

/// Why the process of a socket is not shown, in a few words.
#[must_use]
pub fn why_hidden() -> &'static str {
    #[cfg(unix)]
    {
        hidden_from(rustix::process::geteuid().is_root())
    }
    #[cfg(not(unix))]
    "an administrator sees which"
}

/// Root sees every process of its container, or of the machine outside of one.
#[cfg(unix)]
fn hidden_from(is_root: bool) -> &'static str {
    if is_root { "outside this container, or the system itself" } else { "root sees which" }
}

/// Processes whose command line contains `number` as a whole number.
///
/// This program and the ones that started it are left out: their command line is the question.
#[must_use]
pub(crate) fn processes_naming(number: &str) -> Vec<Process> {
    system::processes_naming(number)
}

/// Whether `number` stands in `text` with no digit beside it.
pub(crate) fn names_number(text: &str, number: &str) -> bool {
    !number.is_empty()
        && text.match_indices(number).any(|(at, found)| {
            let before = text.get(..at).and_then(|head| head.chars().next_back());
            let after = text.get(at + found.len()..).and_then(|tail| tail.chars().next());
            !before.is_some_and(|c| c.is_ascii_digit())
                && !after.is_some_and(|c| c.is_ascii_digit())
        })
}
