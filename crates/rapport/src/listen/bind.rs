//! Binds the sockets, and says why not when it cannot.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::address::{Wanted, of_this_machine};
use crate::config::Ports;

/// Limit: connections that wait for being accepted.
const BACKLOG: i32 = 1024;

/// Limit: free ports tried until one is free on both families.
const FREE_PORT_TRIES: usize = 32;

/// Limit: ports after the wanted one that `--port-fallback` tries.
const FALLBACK_PORTS: u16 = 100;

/// Where software ends up that cuts 619009 to 16 bits.
const WRAP_ALIAS: u16 = 29185;

/// The bound sockets.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The sockets, the main one first.
    pub(crate) listeners: Vec<TcpListener>,
    /// The port they share.
    pub(crate) port: u16,
    /// What the user should know, one line each: a changed port, a missing family.
    pub(crate) notes: Vec<String>,
}

/// Why nothing was bound.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The port is taken; the others may try the next.
    Taken(String),
    /// This program may not have the port.
    Denied(String),
    /// Anything else.
    Other(String),
}

impl Refusal {
    /// The text for the user.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Taken(text) | Self::Denied(text) | Self::Other(text) => text,
        }
    }
}

/// Binds `wanted` as the configuration says: one port, the first of a range, or the next free one.
///
/// # Errors
/// Why it is not possible, and what to do.
pub(crate) fn bind(wanted: &[Wanted], ports: &Ports) -> Result<Bound, Refusal> {
    let mut bound = match &ports.range {
        Some(range) => first_free(wanted, range.clone()).ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            Refusal::Other(format!(
                "Address already in use: every port of {first}-{last} is taken; widen \
                 `server.port_range`"
            ))
        })?,
        None => match all(wanted, ports.port) {
            Err(Refusal::Taken(text)) if ports.fallback => {
                let next = ports.port.saturating_add(1);
                let last = ports.port.saturating_add(FALLBACK_PORTS);
                let mut bound = first_free(wanted, next..=last).ok_or(Refusal::Taken(text))?;
                bound.notes.push(format!(
                    "port {} is taken: using {} because of `port_fallback`",
                    ports.port, bound.port
                ));
                bound
            }
            other => other?,
        },
    };
    if ports.wrap_alias {
        alias(wanted, &mut bound);
    }
    Ok(bound)
}

/// Whether a server could listen on `port` of `wanted` now; tries it and lets it go.
///
/// # Errors
/// As [`bind`].
pub(crate) fn try_port(wanted: &[Wanted], port: u16) -> Result<(), Refusal> {
    all(wanted, port).map(drop)
}

/// The extra listener of `ports.wrap_alias`; without it the server still works.
fn alias(wanted: &[Wanted], bound: &mut Bound) {
    match all(wanted, WRAP_ALIAS) {
        Ok(alias) => bound.listeners.extend(alias.listeners),
        Err(refusal) => {
            let text = refusal.into_text();
            bound.notes.push(format!("the alias port {WRAP_ALIAS} is not served: {text}"));
        }
    }
}

fn first_free(wanted: &[Wanted], ports: std::ops::RangeInclusive<u16>) -> Option<Bound> {
    ports.into_iter().find_map(|port| all(wanted, port).ok())
}

/// Binds every address on one port, or none.
fn all(wanted: &[Wanted], port: u16) -> Result<Bound, Refusal> {
    let tries = if port == 0 { FREE_PORT_TRIES } else { 1 };
    let mut last = None;
    for _ in 0..tries {
        match once(wanted, port) {
            Err(Refusal::Taken(text)) => last = Some(Refusal::Taken(text)),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| Refusal::Other("there is no address to listen on".to_owned())))
}

fn once(wanted: &[Wanted], port: u16) -> Result<Bound, Refusal> {
    let mut bound = Bound { listeners: Vec::new(), port, notes: Vec::new() };
    for want in wanted {
        // With port 0 the first socket takes a free one, and the others take the same.
        let address = SocketAddr::new(want.address, bound.port);
        match listener(address) {
            Ok(listener) => {
                bound.port = listener.local_addr().map_or(bound.port, |local| local.port());
                bound.listeners.push(listener);
            }
            Err(error) if want.optional && is_missing(&error) => {
                bound
                    .notes
                    .push(format!("{} is not served: this machine has no IPv6", want.address));
            }
            Err(error) => return Err(refuse(want, address, &error)),
        }
    }
    if bound.listeners.is_empty() {
        return Err(Refusal::Other("there is no address to listen on".to_owned()));
    }
    Ok(bound)
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT. On Windows the option would let
    // others take the port over, so it stays off there.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The machine does not have the address, or not the family.
fn is_missing(error: &std::io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        || error.raw_os_error() == Some(97)
}

fn refuse(want: &Wanted, address: SocketAddr, error: &std::io::Error) -> Refusal {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => Refusal::Taken(taken(address)),
        ErrorKind::PermissionDenied => Refusal::Denied(format!(
            "Permission denied: cannot listen on {address}, because {}",
            if port != 0 && port < 1024 {
                "ports below 1024 are for privileged programs: use a port from 1024 up, or allow \
                 it with `sudo setcap cap_net_bind_service=+ep $(command -v rapport)`"
            } else {
                "a security policy (SELinux, AppArmor, a sandbox) forbids it: see the system's \
                 audit log"
            }
        )),
        _ if is_missing(error) => {
            let mine: Vec<String> = of_this_machine().iter().map(IpAddr::to_string).collect();
            let mine = match mine.as_slice() {
                [] => String::new(),
                _ => format!("; it has {}", mine.join(", ")),
            };
            Refusal::Other(format!(
                "cannot listen on `{}`: this machine has no such address{mine}",
                want.host
            ))
        }
        _ => Refusal::Other(format!("cannot listen on {address}: {error}")),
    }
}

/// Who holds the port, and which one is free.
fn taken(address: SocketAddr) -> String {
    let port = address.port();
    let by =
        doctor::sockets::holder(port).map_or_else(String::new, |holder| format!(" by {holder}"));
    let free = doctor::port::suggest(port, 1);
    let instead = free.first().map_or_else(String::new, |free| {
        format!("; {free} is free: use `--port {free}`, or `--port-fallback`")
    });
    format!("Address already in use: {address} is taken{by}{instead}")
}

#[cfg(test)]
mod tests {
    use super::super::address::addresses;
    use super::{Bound, Refusal, bind};
    use crate::config::Ports;

    fn ports(port: u16) -> Ports {
        Ports {
            port,
            range: None,
            fallback: false,
            strict: false,
            wrap_alias: false,
            logical: doctor::port::LogicalMap::default(),
        }
    }

    async fn localhost(ports: &Ports) -> Result<Bound, Refusal> {
        bind(&addresses(&["localhost".to_owned()]).await.unwrap(), ports)
    }

    #[tokio::test]
    async fn port_zero_is_the_same_free_port_on_both_families() {
        let bound = localhost(&ports(0)).await.unwrap();
        assert_ne!(bound.port, 0);
        for listener in &bound.listeners {
            assert_eq!(listener.local_addr().unwrap().port(), bound.port);
        }
        assert_eq!(bound.listeners.len() + bound.notes.len(), 2);
    }

    #[tokio::test]
    async fn a_taken_port_is_refused_with_a_free_one_named_unless_the_next_is_allowed() {
        let first = localhost(&ports(0)).await.unwrap();
        let Err(Refusal::Taken(text)) = localhost(&ports(first.port)).await else {
            panic!("the port was taken twice")
        };
        assert!(text.starts_with("Address already in use"), "{text}");
        assert!(text.contains("is free"), "{text}");

        let next = Ports { fallback: true, ..ports(first.port) };
        let second = localhost(&next).await.unwrap();
        assert_ne!(second.port, first.port);
        assert!(second.notes.iter().any(|note| note.contains(&second.port.to_string())));
    }

    #[tokio::test]
    async fn a_family_that_is_taken_alone_makes_the_whole_port_taken() {
        let four = bind(&addresses(&["127.0.0.1".to_owned()]).await.unwrap(), &ports(0)).unwrap();
        assert!(matches!(localhost(&ports(four.port)).await, Err(Refusal::Taken(_))));
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_with_those_that_exist() {
        let wanted = addresses(&["192.0.2.1".to_owned()]).await.unwrap();
        let Err(Refusal::Other(text)) = bind(&wanted, &ports(0)) else { panic!("bound") };
        assert!(text.contains("`192.0.2.1`"), "{text}");
        if cfg!(target_os = "linux") {
            assert!(text.contains("127.0.0.1"), "{text}");
        }
    }
}
