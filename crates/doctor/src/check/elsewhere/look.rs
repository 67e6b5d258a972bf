//! Looks at other ports of this machine: who listens, and whether rapport or HTTP answers there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use crate::probe::dial::open;
use crate::probe::first::{Protocol, recognise};
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

/// Whether a server of this product answers on a port of this machine, on any loopback address.
pub(crate) async fn answers_as_ours(port: u16) -> bool {
    one(port, String::new(), None).await.answers == "rapport"
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
        "rapport" => 5,
        "mcp" => 4,
        "http" => 3,
        "other" => 2,
        "silent" => 1,
        _ => 0,
    }
}

/// Paths at which MCP servers answer a plain `GET`, which opens no session.
const MCP_PATHS: &[&str] = &["/mcp", "/api/mcp/status", "/mcp/context/0"];

/// How an HTTP server shows that it is one of MCP, when it does.
async fn mcp(address: SocketAddr, host: &str) -> Option<String> {
    let asked = MCP_PATHS.iter().map(|path| async move {
        let (_, stream) = open(address, LOOK).await;
        let reply = exchange(&mut stream?, &get(host, path), LOOK).await;
        Answer::read(&reply, path)
    });
    let answers = join_all(asked).await;
    answers
        .iter()
        .flatten()
        .find(|answer| is_mcp(answer))
        .map(|answer| format!("GET {} gave HTTP {} as such servers do", answer.path, answer.status))
}

/// The refusal of a `GET` that every Streamable HTTP server words as JSON-RPC, its stream, or the
/// status of a server of contexts.
fn is_mcp(answer: &Answer) -> bool {
    if answer.path.ends_with("/status") {
        let count = ["sessions_count", "active_sessions", "sessions", "contexts"];
        return answer.status == 200
            && answer.json().is_some_and(|value| {
                value.get("status").is_some_and(serde_json::Value::is_string)
                    && count.iter().any(|name| value.get(name).is_some())
            });
    }
    let names_context =
        || answer.json().and_then(|value| Some(value.get("error")?.as_str()?.to_ascii_lowercase()));
    if answer.path.starts_with("/mcp/context/") {
        return answer.status == 404 && names_context().is_some_and(|e| e.contains("context"));
    }
    let is_rpc = || answer.json().is_some_and(|value| value.get("jsonrpc").is_some());
    match answer.status {
        200 => answer.kind() == "text/event-stream" && answer.header("mcp-session-id").is_some(),
        400..=499 => is_rpc() || answer.header("mcp-session-id").is_some(),
        _ => false,
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
        if answer.is_rapport() {
            return ("rapport", format!("it answers as rapport (HTTP {status})"));
        }
        if let Some(seen) = mcp(address, &host).await {
            return ("mcp", format!("it answers as an MCP server ({seen})"));
        }
        return ("http", format!("it answers as an HTTP server (HTTP {status})"));
    }
    match (recognise(&reply.bytes), reply.end) {
        (Some(Protocol::Mcp), _) => ("mcp", "it speaks MCP/1.0".to_owned()),
        (Some(protocol), _) => ("other", format!("it speaks {}", protocol.name())),
        (None, End::Silent) => ("silent", "it takes a connection and says nothing".to_owned()),
        (None, _) => ("silent", "it takes a connection and closes it".to_owned()),
    }
}
