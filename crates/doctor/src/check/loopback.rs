//! Rung 1: this machine can talk to itself, over IPv4 and over IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{About, Check, Pending, Step, no_address};
use crate::case::Case;
use crate::firewall::{self, Look, Way};
use crate::probe::dial::{Dialed, classify};
use crate::report::{Fix, Verdict};
use crate::routes;

/// See the module.
pub(crate) struct Loopback;

/// Limit: one exchange of a byte with ourselves.
const EXCHANGE: Duration = Duration::from_millis(800);

/// How many ports Linux lends when nobody changed it.
const USUAL_PORTS: usize = 60_999 - 32_768 + 1;

/// A port no rule is likely to name.
const ANY: u16 = 49999;

impl Check for Loopback {
    fn about(&self) -> About {
        About {
            id: "loopback",
            title: "loopback interface",
            proves: "a byte sent to 127.0.0.1 (and ::1) arrives, with nobody else involved",
            rung: 1,
            budget: Duration::from_secs(1),
            verdicts: &[
                "net.ephemeral_exhausted",
                "net.lo_down",
                "net.loopback_blocked",
                "net.loopback_diverted",
                "net.route_forbidden",
                "sandbox.landlock",
                "sandbox.seccomp",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        no_address(case)
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let (four, six) = tokio::join!(
        talk_to_self(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        talk_to_self(IpAddr::V6(Ipv6Addr::LOCALHOST))
    );
    match (four, six) {
        (Ok(()), Ok(())) => Step::pass("127.0.0.1 and ::1 work"),
        (Ok(()), Err(broken)) => {
            let seen = format!("::1 {}: IPv6 is probably off", broken.word());
            Step::pass("127.0.0.1 works, ::1 does not").seen([seen])
        }
        (Err(Dialed::Other | Dialed::NotAvailable), _) if is_exhausted().await => {
            Step::name(exhausted())
        }
        (Err(broken), six) => {
            let six_works = six.is_ok();
            let way = tokio::task::spawn_blocking(move || of_way(broken, six_works)).await;
            let verdict = match way.ok().flatten() {
                Some(verdict) => verdict,
                None => of_rule(name(broken, six_works)).await,
            };
            let is_six = case.host().parse::<Ipv6Addr>().is_ok();
            let concerns = six.is_err() || !is_six;
            if concerns && super::is_loopback_host(case.host()) {
                Step::name(verdict)
            } else {
                Step::warn(verdict.sentence)
            }
        }
    }
}

/// Listens on a free port, connects to it, and passes one byte.
async fn talk_to_self(address: IpAddr) -> Result<(), Dialed> {
    let exchange = async {
        let listener = TcpListener::bind(SocketAddr::new(address, 0)).await?;
        let place = listener.local_addr()?;
        let (mut out, accepted) = tokio::try_join!(TcpStream::connect(place), listener.accept())?;
        let (mut inward, _) = accepted;
        out.write_all(b"?").await?;
        inward.read_u8().await
    };
    match tokio::time::timeout(EXCHANGE, exchange).await {
        Err(_elapsed) => Err(Dialed::TimedOut),
        Ok(Err(error)) => Err(classify(&error)),
        Ok(Ok(_)) => Ok(()),
    }
}

/// Whether the system has no port left to lend.
async fn is_exhausted() -> bool {
    let lent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    lent.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

fn exhausted() -> Verdict {
    let range = crate::port::ephemeral_range();
    let shown = range.as_ref().map(|range| format!(" ({}-{})", range.start(), range.end()));
    let sentence = format!(
        "this machine has no free local port left to lend{}, so no connection can be made",
        shown.unwrap_or_default()
    );
    let verdict = Verdict::certain("net.ephemeral_exhausted", sentence)
        .because("a free port was asked for, and the system said that all are in use");
    let is_narrow = range.is_some_and(|range| range.len() < USUAL_PORTS);
    let wide = "sudo sysctl -w net.ipv4.ip_local_port_range='32768 60999'";
    let close = Fix::say("close idle connections, or end the program that opened them");
    if is_narrow {
        return verdict.fix(Fix::run_as_root("lend as many as is usual", wide)).fix(close);
    }
    verdict.fix(close)
}

/// Whether the way to 127.0.0.1 itself is closed or led elsewhere, as VPNs and their kill switches
/// do; asks the system's tables.
fn of_way(broken: Dialed, six_works: bool) -> Option<Verdict> {
    if matches!(broken, Dialed::Forbidden) {
        return None;
    }
    let seen = seen(broken);
    if routes::loopback_is_up() == Some(false) {
        return (!six_works).then(|| is_down(seen, "the interface lo is switched off"));
    }
    let to = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Some(path) = routes::path(to) else {
        let barrier = routes::barriers(to).into_iter().next()?;
        let sentence = format!(
            "this machine's own routing forbids the way to 127.0.0.1 (`{}`), as VPNs and their \
             kill switches do",
            barrier.text
        );
        return Some(
            Verdict::certain("net.route_forbidden", sentence)
                .because(format!("the routing table has `{}`, and no other way", barrier.text))
                .because(seen)
                .fix(Fix::run_as_root(
                    "end the VPN that set it, or take it away when nobody needs it",
                    barrier.removal,
                )),
        );
    };
    if path.interface == "lo" {
        return None;
    }
    let interface = &path.interface;
    let kind = if path.is_tunnel() { "the VPN interface" } else { "the interface" };
    let sentence =
        format!("packets to 127.0.0.1 leave through {kind} {interface} and not through loopback");
    Some(
        Verdict::certain("net.loopback_diverted", sentence)
            .because(format!("the route to 127.0.0.1 is {interface}"))
            .because(seen)
            .fix(Fix::say("let the VPN leave 127.0.0.0/8 out (split tunnelling), or end it"))
            .fix(Fix::run("see which rule or route does it", "ip rule; ip route show table all")),
    )
}

fn seen(broken: Dialed) -> String {
    format!("a connection of this program to itself on 127.0.0.1: {}", broken.word())
}

fn is_down(seen: String, proof: &str) -> Verdict {
    let sentence =
        "the loopback interface is down, so nothing on this machine can be reached locally";
    Verdict::certain("net.lo_down", sentence)
        .because(seen)
        .because(proof)
        .fix(Fix::run_as_root("bring it up", "sudo ip link set lo up"))
}

/// Why 127.0.0.1 does not work, while `::1` does or does not.
fn name(broken: Dialed, six_works: bool) -> Verdict {
    let seen = seen(broken);
    match broken {
        Dialed::Forbidden => Verdict::certain(
            "sandbox.seccomp",
            "this program may not open network sockets, because it runs in a sandbox",
        )
        .because(seen)
        .fix(Fix::say("run the command outside the sandbox, or allow network in it")),
        Dialed::Denied => Verdict::likely(
            "sandbox.landlock",
            "this program may not connect to 127.0.0.1, because a sandbox denies TCP",
        )
        .because(seen)
        .fix(Fix::say("allow TCP in the sandbox, or run the command outside it")),
        Dialed::Connected
        | Dialed::SelfConnected
        | Dialed::Refused
        | Dialed::TimedOut
        | Dialed::NoRoute
        | Dialed::NotAvailable
        | Dialed::Reset
        | Dialed::Other => match has_loopback_route() {
            Some(false) if six_works => Verdict::certain(
                "net.lo_down",
                "127.0.0.1 is missing on the loopback interface, which has only ::1",
            )
            .because(seen)
            .because("the routing table has no entry for 127.0.0.1")
            .fix(Fix::run_as_root("give it back", "sudo ip addr add 127.0.0.1/8 dev lo")),
            Some(false) => is_down(seen, "the routing table has no entry for 127.0.0.1"),
            Some(true) | None => firewall::steps(std::env::consts::OS).into_iter().fold(
                Verdict::likely(
                    "net.loopback_blocked",
                    "this machine cannot talk to itself on 127.0.0.1: a packet filter blocks \
                     loopback",
                )
                .because(seen),
                Verdict::fix,
            ),
        },
    }
}

/// Names the rule, when a packet filter blocks loopback and its rules can be read.
async fn of_rule(mut verdict: Verdict) -> Verdict {
    if verdict.id != "net.loopback_blocked" {
        return verdict;
    }
    let way = Way { to: Ipv4Addr::LOCALHOST.into(), port: ANY, is_local: true, length: None };
    match tokio::task::spawn_blocking(move || firewall::look(way)).await {
        Ok(Look::Read { culprits, .. }) => {
            if let Some(culprit) = culprits.iter().rfind(|one| one.is_sure) {
                verdict.evidence.push(culprit.line());
                verdict.fix.clone_from(&culprit.fixes);
            }
            verdict
        }
        Ok(Look::Hidden { reason, notes }) => verdict.because(reason).because_all(notes),
        Err(_) => verdict,
    }
}

/// Linux lists 127.0.0.1 among its routes exactly while `lo` is up; other systems do not say.
fn has_loopback_route() -> Option<bool> {
    let routes = std::fs::read_to_string("/proc/net/fib_trie").ok()?;
    Some(routes.contains("127.0.0.1"))
}
