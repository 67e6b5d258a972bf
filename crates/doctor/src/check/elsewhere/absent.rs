//! Nothing listens over TCP here, and something else of that port does exist.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpSocket;

use super::lent;
use crate::case::Case;
use crate::containers;
use crate::report::{Fix, Verdict};
use crate::sockets::{Process, Table, elsewhere};

/// UDP only, bound without listening, or inside a container; in this order of certainty.
pub(super) async fn name(case: &Case, port: u16, table: &Table) -> Option<Verdict> {
    if let Some(verdict) = udp_only(port, table) {
        return Some(verdict);
    }
    let found = tokio::task::spawn_blocking(move || (bind(port), elsewhere(port))).await;
    let (held, inside) = found.unwrap_or_default();
    if let Some(error) = held {
        let used = table.connections.iter().any(|connection| connection.port == port);
        let verdict = match error.kind() {
            ErrorKind::AddrInUse if used => lent::name(port, table),
            ErrorKind::AddrInUse => Some(bound_only(port, table)),
            _ => super::kept::name(port, &error, std::env::consts::OS),
        };
        if verdict.is_some() {
            return verdict;
        }
    }
    let first = inside.first()?;
    let owner = first.owner.as_ref().map_or("a process".to_owned(), ToString::to_string);
    let place = SocketAddr::new(first.address, first.port);
    let container = first.owner.as_ref();
    let container = container.and_then(|owner| containers::of_process(Path::new("/"), owner.pid));
    let known = container.as_ref().map(|one| format!("; it is {}", one.line()));
    let known = known.unwrap_or_default();
    let evidence = format!("{place} of another network namespace is {owner}{known}");
    let publish = format!("docker run -p 127.0.0.1:{port}:{port} …");
    let verdict = if first.address.is_loopback() {
        let sentence = format!(
            "the server runs in a container and listens on port {port} of the container's own \
             loopback, which is not this machine's"
        );
        Verdict::certain("container.loopback_bind", sentence).because(evidence).fix(Fix::run(
            "start it with --host 0.0.0.0 inside the container, and publish the port",
            publish,
        ))
    } else {
        let sentence = format!(
            "the server listens on port {port} inside a container, and the port is not published"
        );
        Verdict::certain("container.not_published", sentence)
            .because(evidence)
            .fix(Fix::run("make the container anew with the port published", publish))
            .because_all(container.map(|one| format!("its ports: {}", one.ports_command())))
    };
    let asked = case.facts.dials.iter().map(crate::probe::dial::Dial::line);
    Some(verdict.because_all(asked))
}

fn udp_only(port: u16, table: &Table) -> Option<Verdict> {
    let row = table.udp.iter().find(|row| row.port == port)?;
    let sentence = format!("only a UDP socket is open on port {port}, and TCP is needed");
    Some(
        Verdict::certain("listen.udp_only", sentence)
            .because(format!("{} over UDP is {}", row.place(), row.holder_text()))
            .fix(Fix::say("start the TCP server, or use the port it listens on")),
    )
}

/// Why the port cannot be bound, though nothing listens on it; nothing listens meanwhile.
fn bind(port: u16) -> Option<std::io::Error> {
    let place = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    TcpSocket::new_v4().and_then(|socket| socket.bind(place)).err()
}

fn bound_only(port: u16, table: &Table) -> Verdict {
    let holder = table.bound.iter().find(|bound| bound.port == port);
    let holder = holder.and_then(|bound| Some((bound.address, bound.owner.as_ref()?)));
    let sentence =
        format!("a process holds port {port} without listening on it: it bound it and stopped");
    Verdict::certain("listen.bound_only", sentence)
        .because("connections are refused, and the port cannot be bound (address in use)")
        .because_all(
            holder.map(|(address, owner)| format!("{} is {owner}", SocketAddr::new(address, port))),
        )
        .fix(Fix::say(format!(
            "restart the program that should serve port {port}; until then no other can use it"
        )))
}

/// A process that was started for the port and serves a UNIX socket, or may not bind the port.
pub(super) fn of_process(port: u16, process: &Process, table: &Table) -> Option<Verdict> {
    let owns = |owner: &Option<Process>| owner.as_ref().is_some_and(|o| o.pid == process.pid);
    if let Some(unix) = table.unix.iter().find(|unix| owns(&unix.owner)) {
        let path = &unix.path;
        let sentence = format!("the server listens on the UNIX socket {path}, not on a TCP port");
        return Some(
            Verdict::likely("listen.unix_socket", sentence).because(process.to_string()).fix(
                Fix::run(
                    "ask it there, or start it with a port",
                    format!("curl --unix-socket {path} http://localhost/"),
                ),
            ),
        );
    }
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(1024);
    if port >= first || process.user == "root" {
        return None;
    }
    let sentence =
        format!("the server runs as {} and may not use port {port}, below {first}", process.user);
    Some(
        Verdict::likely("listen.privileged", sentence)
            .because(process.to_string())
            .fix(Fix::say(format!("give it a port from {first} up, for example --port 8080")))
            .fix(Fix::run_as_root(
                "or let ordinary users have it",
                format!("sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"),
            )),
    )
}
