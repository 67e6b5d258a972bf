//! The socket calls of a command that is started and watched, in words.

use std::fmt;
#[cfg(any(target_os = "linux", test))]
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus};

use serde::Serialize;

/// One call, and what its error means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// The process or thread that made it.
    pub pid: u32,
    /// `bind`, `listen`, `accept` or `connect`.
    pub call: &'static str,
    /// The descriptor of the socket.
    pub socket: i32,
    /// The address, for `bind` and `connect`.
    pub address: Option<String>,
    /// The name of the error, such as `EADDRINUSE`; its number when it has none here.
    pub error: Option<String>,
    /// What the error means for this call.
    pub meaning: Option<&'static str>,
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, call, socket, address, error, meaning } = self;
        let address = address.as_ref().map_or_else(String::new, |address| format!(", {address}"));
        let error = error.as_deref().unwrap_or("ok");
        write!(f, "{pid} {call}({socket}{address}) = {error}")?;
        meaning.map_or(Ok(()), |meaning| write!(f, ": {meaning}"))
    }
}

// Calls are followed on Linux alone; their words are tested everywhere.
/// Errors by name: the calls they are said of (all when none is named), and what they mean.
#[cfg(any(target_os = "linux", test))]
const ERRORS: &[(i32, &str, &[&str], &str)] = &[
    (1, "EPERM", &[], "a sandbox, a firewall or a security module forbids it"),
    (2, "ENOENT", &["connect"], "there is no UNIX socket of that name: its server does not run"),
    (2, "ENOENT", &["bind"], "the folder of the UNIX socket is not there"),
    (4, "EINTR", &[], "a signal came first; programs try again"),
    (9, "EBADF", &[], "the socket is closed already"),
    (11, "EAGAIN", &["accept"], "nobody waits; the program goes on and asks again later"),
    (11, "EAGAIN", &["connect"], "no local port is free, or the queue of a UNIX socket is full"),
    (13, "EACCES", &["bind"], "ports below 1024 need a privilege, or a security module forbids it"),
    (13, "EACCES", &["connect"], "a firewall, a sandbox or the rights of a UNIX socket forbid it"),
    (22, "EINVAL", &["bind"], "the socket has an address already, or this is none"),
    (22, "EINVAL", &["accept"], "the socket does not listen"),
    (23, "ENFILE", &[], "the machine has as many files open as it may"),
    (24, "EMFILE", &[], "the process has as many descriptors open as it may (ulimit -n)"),
    (88, "ENOTSOCK", &[], "the descriptor is no socket"),
    (95, "EOPNOTSUPP", &[], "this kind of socket takes no connections"),
    (97, "EAFNOSUPPORT", &[], "the address is of another family, or the machine has no IPv6"),
    (98, "EADDRINUSE", &["bind"], "another socket has the port: rapport ports list PORT names it"),
    (98, "EADDRINUSE", &[], "another socket has the port"),
    (99, "EADDRNOTAVAIL", &["bind"], "this machine has no such address"),
    (99, "EADDRNOTAVAIL", &["connect"], "no local port is free, or there is no such address here"),
    (101, "ENETUNREACH", &[], "there is no way to that network"),
    (103, "ECONNABORTED", &[], "the caller went away before it was taken"),
    (104, "ECONNRESET", &[], "the other side ended the connection"),
    (106, "EISCONN", &[], "the socket is connected already"),
    (110, "ETIMEDOUT", &[], "no answer came: a firewall drops it, or the machine is away"),
    (111, "ECONNREFUSED", &[], "nothing listens there, or a firewall rejects it"),
    (113, "EHOSTUNREACH", &[], "there is no way to that machine"),
    (114, "EALREADY", &[], "an earlier try is still under way"),
    (115, "EINPROGRESS", &[], "no error: the answer comes later"),
];

/// Starts `command`, hands it to `started`, and follows it to its end on the calling thread;
/// `each` gets every call that says something.
///
/// # Errors
/// `Unsupported` where this build cannot follow calls; `PermissionDenied` where the system does
/// not allow it; else what keeps the command from being started.
#[cfg(target_os = "linux")]
pub fn run(
    command: &mut Command,
    started: impl FnOnce(&mut Child),
    mut each: impl FnMut(Traced),
) -> std::io::Result<ExitStatus> {
    native::linux::trace::run(command, started, |call| {
        let traced = read(call.pid, call.name, call.socket, (&call.address, call.error));
        if says_something(&traced) {
            each(traced);
        }
    })
}

/// Not on this system.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn run(
    _command: &mut Command,
    _started: impl FnOnce(&mut Child),
    _each: impl FnMut(Traced),
) -> std::io::Result<ExitStatus> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A server that waits in a loop accepts nobody for ever, and the C library asks a cache of names
/// that hardly any machine has.
#[cfg(any(target_os = "linux", test))]
fn says_something(traced: &Traced) -> bool {
    let is_idle = traced.call == "accept" && traced.error.as_deref() == Some("EAGAIN");
    let address = traced.address.as_deref().unwrap_or_default();
    !is_idle && !address.contains("/run/nscd/")
}

#[cfg(any(target_os = "linux", test))]
fn read(
    pid: u32,
    call: &'static str,
    socket: i32,
    (address, error): (&[u8], Option<i32>),
) -> Traced {
    let known = ERRORS.iter().filter(|(number, ..)| Some(*number) == error);
    let fits = |calls: &[&str]| calls.is_empty() || calls.contains(&call);
    let (mut known, of_call) = (known.clone(), known.clone().find(|(_, _, calls, _)| fits(calls)));
    let name = known.next().map(|(_, name, ..)| (*name).to_owned());
    Traced {
        pid,
        call,
        socket,
        address: written(address),
        error: error.map(|number| name.unwrap_or_else(|| format!("error {number}"))),
        meaning: of_call.map(|(.., meaning)| *meaning),
    }
}

/// An address of the kernel in words; `None` for families that nobody asks about.
#[cfg(any(target_os = "linux", test))]
fn written(bytes: &[u8]) -> Option<String> {
    const UNIX: u16 = 1;
    const FOUR: u16 = 2;
    const SIX: u16 = 10;
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    match family {
        FOUR => {
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::from((Ipv4Addr::from(address), port()?)).to_string())
        }
        SIX => {
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(SocketAddr::from((Ipv6Addr::from(address), port()?)).to_string())
        }
        UNIX => {
            let path = bytes.get(2..)?;
            let (mark, path) = match path {
                [0, rest @ ..] => ("@", rest),
                path => ("", path),
            };
            let path = path.split(|byte| *byte == 0).next()?;
            let path: String =
                String::from_utf8_lossy(path).chars().filter(|c| !c.is_control()).collect();
            Some(format!("{mark}{path}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn calls_are_said_in_words() {
        let four: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            read(7, "bind", 3, (four, Some(98))).to_string(),
            "7 bind(3, 127.0.0.1:8080) = EADDRINUSE: another socket has the port: rapport ports \
             list PORT names it"
        );
        let mut six = vec![10, 0, 0x1f, 0x90, 0, 0, 0, 0];
        six.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        let line = read(7, "connect", 3, (&six, Some(111))).to_string();
        assert!(line.starts_with("7 connect(3, [::1]:8080) = ECONNREFUSED: nothing"), "{line}");
        assert_eq!(read(7, "listen", 3, (&[], None)).to_string(), "7 listen(3) = ok");
        let unix = read(7, "connect", 3, (b"\x01\0/run/x.sock\0rest", Some(2))).to_string();
        assert!(unix.starts_with("7 connect(3, /run/x.sock) = ENOENT: there is no UNIX"), "{unix}");
        let odd = read(7, "accept", 3, (&[], Some(250))).to_string();
        assert_eq!(odd, "7 accept(3) = error 250");
        assert_eq!(read(7, "bind", 3, (&[2], None)).address, None);
        assert!(!super::says_something(&read(7, "accept", 3, (&[], Some(11)))));
        assert!(super::says_something(&read(7, "accept", 3, (&[], None))));
    }
}
