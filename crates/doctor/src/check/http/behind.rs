//! Asks the server behind a reverse proxy, which the proxy's own settings name.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use crate::behind::{Behind, servers};
use crate::case::Case;
use crate::probe::dial::{Dial, Dialed, open};
use crate::probe::first::{Protocol, recognise};
use crate::probe::http::{exchange, get};
use crate::probe::tls::{Handshake, Peer, handshake};
use crate::report::{Confidence, Fix, Verdict};
use crate::sockets::{Process, arguments};

/// Limit: one connection and one answer of the server behind.
const LIMIT: Duration = Duration::from_millis(600);

/// Verdicts that say "the service behind it", without knowing it.
const OPEN: &[&str] = &["http.503", "upstream.timeout", "upstream.unknown"];

/// What the server behind does.
#[derive(Debug)]
struct Look {
    behind: Behind,
    dial: Dial,
    /// What it speaks, when it took the connection.
    speaks: Option<Protocol>,
}

/// Names the server behind, when the proxy's settings may be read and one in them is broken.
pub(super) async fn named(verdict: Verdict, case: &Case) -> Verdict {
    let Some(owner) = case.owner().filter(|_| OPEN.contains(&verdict.id)) else { return verdict };
    let pid = owner.pid;
    let read = tokio::task::spawn_blocking(move || {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        servers(Path::new("/"), &folder, &arguments(pid))
    });
    let found = read.await.unwrap_or_default();
    // A proxy that passes on to itself is asked only by its own port.
    let own = case.facts.port.unwrap_or_default();
    let others = found.into_iter().filter(|behind| behind.address.port() != own);
    let looks = join_all(others.map(look)).await;
    let bad: Vec<&Look> = looks.iter().filter(|look| fault(look).is_some()).collect();
    match bad.as_slice() {
        [] => verdict,
        [first, rest @ ..] => blame(verdict, owner, first, rest),
    }
}

async fn look(behind: Behind) -> Look {
    let (dial, stream) = open(behind.address, LIMIT).await;
    let speaks = match stream {
        Some(mut stream) => {
            let asked = get(&behind.address.to_string(), "/");
            match recognise(&exchange(&mut stream, &asked, LIMIT).await.bytes) {
                None if !behind.is_tls => tls(&behind).await,
                other => other,
            }
        }
        None => None,
    };
    Look { behind, dial, speaks }
}

/// Whether a server that says nothing to plain HTTP speaks TLS.
async fn tls(behind: &Behind) -> Option<Protocol> {
    let stream = open(behind.address, LIMIT).await.1?;
    let peer = Peer { name: behind.address.ip().to_string(), roots: None };
    match handshake(stream, &peer, LIMIT).await {
        Handshake::Done(..) | Handshake::Refused(_) => Some(Protocol::Tls),
        Handshake::NotTls(_) | Handshake::Silent => None,
    }
}

/// What is wrong with the server behind: the id, and the words.
fn fault(look: &Look) -> Option<(&'static str, &'static str)> {
    match (look.dial.dialed, look.speaks) {
        (Dialed::Refused | Dialed::SelfConnected, _) => {
            Some(("upstream.refused", "refuses connections"))
        }
        (Dialed::TimedOut | Dialed::NoRoute, _) => Some(("upstream.timeout", "cannot be reached")),
        (Dialed::Connected, Some(Protocol::Http)) if look.behind.is_tls => {
            Some(("upstream.protocol", "speaks plain HTTP, and the gateway asks it with https"))
        }
        (Dialed::Connected, Some(Protocol::Tls)) if !look.behind.is_tls => {
            Some(("upstream.protocol", "speaks TLS, and the gateway asks it with http"))
        }
        _ => None,
    }
}

fn blame(mut verdict: Verdict, owner: &Process, first: &Look, rest: &[&Look]) -> Verdict {
    let Some((id, what)) = fault(first) else { return verdict };
    let Behind { address, place, .. } = &first.behind;
    verdict.id = id;
    verdict.sentence =
        format!("the server is a gateway and works; the service behind it, {address}, {what}");
    if rest.is_empty() {
        verdict.confidence = Confidence::Certain;
    }
    let line = |look: &Look| {
        format!("{} names {}; {}", look.behind.place, look.behind.address, {
            let what = fault(look).map_or("", |(_, what)| what);
            format!("it {what} ({})", look.dial.line())
        })
    };
    verdict = verdict
        .because(format!("{owner} is the gateway"))
        .because(line(first))
        .because_all(rest.iter().map(|look| line(look)));
    verdict.fix = match id {
        "upstream.protocol" => {
            vec![Fix::say(format!("change http to https, or https to http, at {place}"))]
        }
        _ => vec![
            Fix::say(format!("start the service that is to listen on {address}")),
            Fix::say(format!("or correct the address at {place}, and reload the gateway")),
        ],
    };
    verdict
}
