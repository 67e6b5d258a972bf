//! Rung 2: a TCP connection succeeds, and when it does not, the socket table tells why.

mod filter;
mod judge;
mod route;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use super::{About, Check, Pending, Step, no_address};
use crate::case::{Case, Names};
use crate::probe::dial::{Dial, Dialed, dial};
use crate::sockets::Listener;

/// See the module.
pub(crate) struct Connect;

/// Limit: on this machine an answer comes at once or never; one repeated packet is waited for.
const NEAR: Duration = Duration::from_millis(1300);

/// Limit: over a network.
const FAR: Duration = Duration::from_millis(3000);

/// Limit: a refusal by a rule that rejects only some connections shows within this many tries.
const REPEATS: usize = 8;

impl Check for Connect {
    fn about(&self) -> About {
        About {
            id: "connect",
            title: "TCP connection, for each address",
            proves: "the port accepts connections at an address the host name stands for",
            rung: 2,
            budget: Duration::from_secs(5),
            verdicts: &[
                "firewall.drop",
                "firewall.intermittent",
                "firewall.redirect",
                "firewall.reject",
                "listen.external_only",
                "listen.family",
                "listen.family_split",
                "listen.other_loopback",
                "listen.self_connect",
                "listen.shadowed",
                "listen.two_owners",
                "name.family_mismatch",
                "name.ipv6_disabled",
                "net.ephemeral_exhausted",
                "net.route_forbidden",
                "net.timeout",
                "net.unreachable",
                "net.vpn",
                "sandbox.landlock",
                "sandbox.seccomp",
                "security.apparmor",
                "security.selinux",
                "tcp.backlog_full",
                "tcp.refused",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if let Some(reason) = no_address(case) {
            return Some(reason);
        }
        match (&case.facts.names, case.facts.port) {
            (Some(_), Some(_)) => None,
            (None, _) => Some("the name has no address".to_owned()),
            (_, None) => Some("there is no port".to_owned()),
        }
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Everything the judgement needs, so that it can be tested without a network.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) is_local: bool,
    /// At the addresses the host stands for.
    pub(super) dials: Vec<Dial>,
    /// At the other loopback addresses, for comparison.
    pub(super) extra: Vec<Dial>,
    /// The sockets that listen on the port; `None` when the table cannot be read.
    pub(super) rows: Option<Vec<Listener>>,
    /// After a refusal, one of several repetitions was accepted.
    pub(super) accepted_later: bool,
}

async fn look(case: &Case) -> Step {
    let (Some(names), Some(port)) = (&case.facts.names, case.facts.port) else {
        return Step::cannot_tell("there is no address to connect to");
    };
    let limit = if names.is_local { NEAR } else { FAR };
    let own = join_all(names.addresses.iter().map(|ip| dial(SocketAddr::new(*ip, port), limit)));
    let others = other_loopbacks(names);
    let extra = join_all(others.iter().map(|ip| dial(SocketAddr::new(*ip, port), limit)));
    let (dials, extra) = tokio::join!(own, extra);
    let rows = case
        .facts
        .listeners()
        .map(|all| all.iter().filter(|row| row.port == port).cloned().collect::<Vec<Listener>>());
    let accepted_later = match (&rows, dials.first()) {
        (Some(rows), Some(first)) if !rows.is_empty() && first.dialed == Dialed::Refused => {
            repeat(first.address, limit).await
        }
        _ => false,
    };
    let scene = Scene {
        host: case.host(),
        port,
        is_local: names.is_local,
        dials,
        extra,
        rows,
        accepted_later,
    };
    let step = route::named(judge::judge(&scene), &scene).await;
    filter::named(step, &scene).await
}

/// The loopback addresses the host did not resolve to, when it stands for loopback at all.
fn other_loopbacks(names: &Names) -> Vec<IpAddr> {
    let loopbacks = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if !names.addresses.iter().any(IpAddr::is_loopback) {
        return Vec::new();
    }
    loopbacks.into_iter().filter(|address| !names.addresses.contains(address)).collect()
}

async fn repeat(address: SocketAddr, limit: Duration) -> bool {
    for _ in 0..REPEATS {
        if matches!(dial(address, limit).await.dialed, Dialed::Connected | Dialed::Reset) {
            return true;
        }
    }
    false
}
