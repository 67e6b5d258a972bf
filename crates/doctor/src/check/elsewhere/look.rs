//! Looks at other ports of this machine: who listens, and whether rapport or HTTP answers there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use crate::probe::dial::open;
use crate::probe::first::recognise;
use crate::probe::http::{Answer, End, exchange, get};
use crate::report::Neighbour;
use crate::sockets::Listener;

/// Limit: one connection and one answer of a port that was not asked for.
const LOOK: Duration = Duration::from_millis(800);

/// Looks at all `ports` at once; `listeners` is `None` when the socket table cannot be read.
pub(super) async fn look_at(
    ports: Vec<(u16, String)>,
    listeners: Option<&[Listener]>,
) -> Vec<Neighbour> {
    join_all(ports.into_iter().map(|(port, reason)| one(port, reason, listeners))).await
}

async fn one(port: u16, reason: String, listeners: Option<&[Listener]>) -> Neighbour {
    let rows: Vec<&Listener> =
        listeners.unwrap_or_default().iter().filter(|row| row.port == port).collect();
    let known = listeners.is_some();
    let addresses: Vec<IpAddr> = if known {
        rows.iter().map(|row| reachable(row.address)).collect()
    } else {
        vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
    };
    let mut answers = "nothing";
    let mut said = String::new();
    for address in addresses {
        let (answer, text) = ask(SocketAddr::new(address, port)).await;
        if rank(answer) > rank(answers) {
            (answers, said) = (answer, text);
        }
    }
    let listening = !rows.is_empty() || answers != "nothing";
    let holders: Vec<String> =
        rows.iter().map(|row| format!("{} by {}", row.place(), row.holder_text())).collect();
    let summary = match (listening, holders.is_empty()) {
        (false, _) => format!("nothing listens ({reason})"),
        (true, true) => format!("something listens; {said} ({reason})"),
        (true, false) => format!("{}; {said} ({reason})", holders.join(", ")),
    };
    Neighbour { port, reason, listening, listeners: holders, answers, summary }
}

/// Where to connect to reach a socket that may be bound to every interface.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(four) if four.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(six) if six.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// How much an answer says.
pub(super) fn rank(answers: &str) -> u8 {
    match answers {
        "rapport" => 4,
        "http" => 3,
        "other" => 2,
        "silent" => 1,
        _ => 0,
    }
}

async fn ask(address: SocketAddr) -> (&'static str, String) {
    let (dial, stream) = open(address, LOOK).await;
    let Some(mut stream) = stream else {
        let answer =
            if dial.dialed == crate::probe::dial::Dialed::Refused { "nothing" } else { "silent" };
        return (answer, format!("it does not take a connection ({})", dial.dialed.word()));
    };
    let host = format!("localhost:{}", address.port());
    let reply = exchange(&mut stream, &get(&host, "/health"), LOOK).await;
    if let Some(answer) = Answer::read(&reply, "/health") {
        let status = answer.status;
        return if answer.is_rapport() {
            ("rapport", format!("it answers as rapport (HTTP {status})"))
        } else {
            ("http", format!("it answers as an HTTP server (HTTP {status})"))
        };
    }
    match (recognise(&reply.bytes), reply.end) {
        (Some(protocol), _) => ("other", format!("it speaks {}", protocol.name())),
        (None, End::Silent) => ("silent", "it takes a connection and says nothing".to_owned()),
        (None, _) => ("silent", "it takes a connection and closes it".to_owned()),
    }
}
