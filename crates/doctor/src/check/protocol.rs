//! Rung 3: the port speaks a protocol, and it is the one the address asks for.

use std::time::Duration;

use super::tls::client_certificate;
use super::websocket::stripped;
use super::{About, Check, Pending, Step, limits, listen, process, relay};
use crate::case::{Case, Learned};
use crate::probe::first::Protocol as Tongue;
use crate::probe::http::End;
use crate::probe::speech::{Ask, Spoken, listen_and_speak};
use crate::probe::tls::{Peer, Refusal};
use crate::report::{Fix, Verdict};
use crate::sockets::Listener;
use crate::target::{Scheme, Target};

/// See the module.
pub(crate) struct Protocol;

impl Check for Protocol {
    fn about(&self) -> About {
        About {
            id: "protocol",
            title: "protocol spoken",
            proves: "the server answers in the protocol the address names, or in any known one",
            rung: 3,
            budget: Duration::from_millis(9000),
            verdicts: &[
                "container.backend_dead",
                "http.no_response",
                "process.busy_loop",
                "process.frozen",
                "process.single_threaded",
                "process.stopped",
                "process.traced",
                "protocol.ftp",
                "protocol.h2c",
                "protocol.http",
                "protocol.json_lines",
                "protocol.mcp",
                "protocol.mysql",
                "protocol.not_websocket",
                "protocol.postgres",
                "protocol.redis",
                "protocol.smtp",
                "protocol.ssh",
                "protocol.unknown",
                "protocol.websocket",
                "proxy.ws_upgrade_stripped",
                "resource.cpu_throttled",
                "resource.fd_limit",
                "resource.pids",
                "tcp.closed_at_once",
                "tcp.reset",
                "tls.client_cert",
                "tls.handshake",
                "tls.http_to_https",
                "tls.https_to_http",
                "tls.version",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        case.facts.connected.is_none().then(|| "no connection".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let (Some(target), Some(address)) = (case.address(), case.facts.connected) else {
        return Step::cannot_tell("there is no connection");
    };
    let port = address.port();
    if let Some(owner) = case.owner()
        && let Some(verdict) = process::asleep(owner, port).await
    {
        return Step::name(verdict);
    }
    let ask = Ask {
        address,
        scheme: target.scheme,
        peer: Peer { name: target.host.clone(), roots: case.roots.clone() },
        host: format!("{}:{port}", target.bracketed_host()),
        path: target.path.clone().unwrap_or_else(|| "/health".to_owned()),
    };
    let spoken = Box::pin(listen_and_speak(&ask)).await;
    let step = match mismatch(target, port, &spoken) {
        Some(verdict) => Step::name(verdict.because_all(spoken.evidence.clone())),
        None if spoken.protocol.is_some() => Step::pass(understood(&spoken)),
        None => Step::name(mute(case, target, port, &spoken).await),
    };
    step.seen(spoken.evidence.clone()).learned(Learned::Spoken(Box::new(spoken)))
}

fn understood(spoken: &Spoken) -> String {
    let mut names: Vec<&str> = spoken.protocol.iter().map(|protocol| protocol.name()).collect();
    names.extend(spoken.also.iter().map(|protocol| protocol.name()));
    format!("speaks {}", names.join(", "))
}

/// The verdict when the port speaks, but not what the address says; `None` when all is well.
fn mismatch(target: &Target, port: u16, spoken: &Spoken) -> Option<Verdict> {
    let protocol = spoken.protocol?;
    let host = target.bracketed_host();
    if let Some(refusal) = &spoken.tls_refused {
        return Some(refused(refusal, port));
    }
    match target.scheme {
        None => (protocol == Tongue::Unknown).then(|| strange(port)),
        Some(Scheme::Http | Scheme::Ws) if protocol == Tongue::Tls => {
            let with_s = if target.scheme == Some(Scheme::Ws) { "wss" } else { "https" };
            let sentence = format!("port {port} speaks TLS, and the address says plain HTTP");
            Some(
                Verdict::certain("tls.http_to_https", sentence)
                    .fix(Fix::say(format!("use {with_s}://{host}:{port}{}", path(target)))),
            )
        }
        Some(Scheme::Https | Scheme::Wss) if protocol == Tongue::Http => {
            let plain = if target.scheme == Some(Scheme::Wss) { "ws" } else { "http" };
            let sentence = format!("port {port} speaks plain HTTP, and the address says TLS");
            Some(
                Verdict::certain("tls.https_to_http", sentence)
                    .fix(Fix::say(format!("use {plain}://{host}:{port}{}", path(target)))),
            )
        }
        Some(Scheme::Ws | Scheme::Wss) if protocol == Tongue::Http || spoken.tls.is_some() => {
            not_websocket(target, port, spoken)
        }
        Some(Scheme::Http | Scheme::Https) => match protocol {
            Tongue::Http | Tongue::Tls => None,
            other => Some(wrong_tongue(other, port, "HTTP")),
        },
        Some(Scheme::Tcp) => match protocol {
            Tongue::JsonLines | Tongue::Mcp => None,
            other => Some(wrong_tongue(other, port, "lines of JSON")),
        },
        Some(Scheme::Mcp) => match protocol {
            Tongue::Mcp => None,
            other => Some(wrong_tongue(other, port, "an MCP/1.0 session")),
        },
        Some(Scheme::Ws | Scheme::Wss) => Some(wrong_tongue(protocol, port, "WebSocket")),
    }
}

fn refused(refusal: &Refusal, port: u16) -> Verdict {
    let alert = format!("the alert says: {}", refusal.alert);
    if refusal.wanted_client {
        return client_certificate().because(alert);
    }
    if refusal.is_version {
        let sentence = format!("port {port} speaks TLS, and only versions that are older than 1.2");
        return Verdict::likely("tls.version", sentence).because(alert).fix(Fix::say(
            "let the server speak TLS 1.2 or 1.3 (nginx: ssl_protocols TLSv1.2 TLSv1.3;)",
        ));
    }
    let sentence = format!("port {port} speaks TLS and refuses the handshake of a plain client");
    Verdict::likely("tls.handshake", sentence)
        .because(alert)
        .fix(Fix::say("see which TLS version, name or client certificate it demands"))
}

fn path(target: &Target) -> &str {
    target.path.as_deref().unwrap_or("/")
}

fn not_websocket(target: &Target, port: u16, spoken: &Spoken) -> Option<Verdict> {
    if target.scheme == Some(Scheme::Wss) || spoken.speaks(Tongue::WebSocket) {
        return None;
    }
    if let Some(answer) = spoken.upgrade.as_deref().filter(|answer| answer.status == 426) {
        return Some(stripped(answer));
    }
    let sentence =
        format!("port {port} speaks HTTP and does not change to WebSocket at {}", path(target));
    let fix = "use http:// for it, or the path at which the server offers WebSocket";
    Some(Verdict::certain("protocol.not_websocket", sentence).fix(Fix::say(fix)))
}

fn strange(port: u16) -> Verdict {
    let sentence = format!("port {port} answers with bytes that no known protocol begins with");
    Verdict::uncertain("protocol.unknown", sentence)
        .fix(Fix::say("find out which program listens there and what it speaks"))
}

fn wrong_tongue(protocol: Tongue, port: u16, wanted: &str) -> Verdict {
    let (id, what) = match protocol {
        Tongue::Http => ("protocol.http", "an HTTP server"),
        Tongue::Http2 => ("protocol.h2c", "a server that speaks HTTP/2 only (gRPC for example)"),
        Tongue::Tls => ("tls.http_to_https", "a TLS server"),
        Tongue::WebSocket => ("protocol.websocket", "a WebSocket server"),
        Tongue::JsonLines => ("protocol.json_lines", "a server of JSON lines over plain TCP"),
        Tongue::Mcp => ("protocol.mcp", "a server of MCP/1.0 text sessions"),
        Tongue::Ssh => ("protocol.ssh", "an SSH server"),
        Tongue::Smtp => ("protocol.smtp", "a mail server"),
        Tongue::Ftp => ("protocol.ftp", "an FTP server"),
        Tongue::Redis => ("protocol.redis", "a Redis server"),
        Tongue::Postgres => ("protocol.postgres", "a PostgreSQL server"),
        Tongue::Mysql => ("protocol.mysql", "a MySQL server"),
        Tongue::Unknown => return strange(port),
    };
    let sentence = format!("port {port} is {what}, and the address asks for {wanted}");
    let fix = match protocol {
        Tongue::Http => Fix::say(format!("use http:// and port {port}")),
        Tongue::JsonLines => Fix::run(
            "send one JSON object per line",
            format!(
                "printf '{{\"sessionId\":\"1\",\"message\":\"hello\"}}\\n' | nc 127.0.0.1 {port}"
            ),
        ),
        Tongue::Http2 => Fix::run(
            "use a client that begins with HTTP/2",
            format!("curl --http2-prior-knowledge http://127.0.0.1:{port}/"),
        ),
        _ => Fix::say("use the port of the service you want; this one belongs to another"),
    };
    Verdict::certain(id, sentence).fix(fix)
}

/// The verdict for a port that accepts and says nothing understandable.
async fn mute(case: &Case, target: &Target, port: u16, spoken: &Spoken) -> Verdict {
    let look_at_log = || Fix::say("look at the server's log for the reason");
    let holder =
        listening(case, port).map(|row| format!("{} is {}", row.place(), row.holder_text()));
    let held = match case.owner().filter(|_| spoken.end != End::Silent) {
        Some(owner) => limits::mute(owner).await,
        None => None,
    };
    let verdict = match spoken.end {
        _ if let Some(verdict) = held => verdict,
        End::Closed | End::Reset if let Some(verdict) = relay::dead(case, port).await => verdict,
        End::Closed => {
            let sentence =
                format!("the server on port {port} closes every connection without an answer");
            Verdict::certain("tcp.closed_at_once", sentence).fix(look_at_log())
        }
        End::Reset => {
            let sentence = format!("the server on port {port} resets every connection");
            Verdict::certain("tcp.reset", sentence).fix(Fix::say(
                "look at its log; a container's port with nothing behind it does this too",
            ))
        }
        End::Silent | End::Answered => silent(case, target, port).await,
    };
    verdict.because_all(spoken.evidence.clone()).because_all(holder)
}

fn listening(case: &Case, port: u16) -> Option<&Listener> {
    case.facts.listeners()?.iter().find(|row| row.port == port)
}

async fn silent(case: &Case, target: &Target, port: u16) -> Verdict {
    let waiting = match listen::read_table().await {
        Ok(table) => table
            .listeners
            .iter()
            .filter(|row| row.port == port)
            .map(|row| row.waiting)
            .sum::<u32>(),
        Err(_) => 0,
    };
    if let Some(owner) = case.owner() {
        let own = case.facts.table.iter().flatten().flat_map(|table| &table.connections);
        // Only a server that does not take the next connection is busy with one.
        let idle = own.filter(|one| waiting > 0 && one.port == port && one.is_established);
        let idle: Vec<u16> = idle.map(|one| one.remote_port).collect();
        if let Some(verdict) = process::mute(owner, port, &idle).await {
            return verdict;
        }
    }
    let sentence = format!("the server on port {port} takes connections and never answers");
    // Without a scheme the server may be well and wait for bytes of a protocol nobody told us.
    let verdict = if waiting > 0 {
        Verdict::certain("http.no_response", sentence)
            .because(format!("{waiting} connections wait, and the program does not take them"))
    } else if matches!(target.scheme, Some(Scheme::Tcp | Scheme::Mcp) | None) {
        Verdict::uncertain("http.no_response", sentence)
    } else {
        Verdict::likely("http.no_response", sentence)
    };
    verdict.fix(Fix::say("see what the program is doing (its log, a stack dump), then restart it"))
}
