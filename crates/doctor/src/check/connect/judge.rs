//! Pairs what `connect` said with what the socket table says; neither alone names a cause.

use std::net::IpAddr;

use super::Scene;
use crate::case::Learned;
use crate::check::Step;
use crate::probe::dial::{Dial, Dialed};
use crate::report::{Fix, Verdict};
use crate::sockets::Listener;

pub(super) fn judge(scene: &Scene<'_>) -> Step {
    let seen: Vec<String> = scene.dials.iter().chain(&scene.extra).map(Dial::line).collect();
    // A reset comes after the handshake: somebody listens, and the next rung says what he does.
    let connected = [Dialed::Connected, Dialed::Reset]
        .into_iter()
        .find_map(|wanted| scene.dials.iter().find(|dial| dial.dialed == wanted));
    let step = match connected {
        Some(dial) => accepted(scene, dial),
        None => failed(scene),
    };
    let nothing_listens = connected.is_none() && step.verdict.is_none();
    step.seen(seen).learned(Learned::Connections {
        dials: scene.dials.iter().chain(&scene.extra).cloned().collect(),
        connected: connected.map(|dial| dial.address),
        nothing_listens,
    })
}

fn accepted(scene: &Scene<'_>, dial: &Dial) -> Step {
    if let Some(verdict) = two_programs(scene).or_else(|| same_place(scene, dial)) {
        return Step::name(verdict);
    }
    let refused: Vec<String> = scene
        .dials
        .iter()
        .filter(|other| !matches!(other.dialed, Dialed::Connected | Dialed::Reset))
        .map(|other| format!("{} is {}", other.address.ip(), other.dialed.word()))
        .collect();
    let note =
        if refused.is_empty() { String::new() } else { format!(" ({})", refused.join(", ")) };
    let verb = if dial.dialed == Dialed::Reset { "takes and resets" } else { "accepts" };
    Step::pass(format!("{} {verb} connections{note}", dial.address))
}

/// Different programs behind 127.0.0.1 and `::1` under one name.
fn two_programs(scene: &Scene<'_>) -> Option<Verdict> {
    if scene.dials.len() < 2 || scene.dials.iter().any(|dial| dial.dialed != Dialed::Connected) {
        return None;
    }
    let rows = scene.rows.as_ref()?;
    let owner = |wanted: fn(&IpAddr) -> bool| {
        let row = rows.iter().find(|row| wanted(&row.address) && row.address.is_loopback())?;
        row.owner.as_ref().map(|owner| (row, owner))
    };
    let (four, four_owner) = owner(IpAddr::is_ipv4)?;
    let (six, six_owner) = owner(IpAddr::is_ipv6)?;
    // Workers of one server have different PIDs and the same command line.
    if four_owner.pid == six_owner.pid || four_owner.command == six_owner.command {
        return None;
    }
    let sentence = format!(
        "two different programs listen on port {}: one on 127.0.0.1, another on ::1, and {} \
         reaches either",
        scene.port, scene.host
    );
    Some(
        Verdict::likely("listen.family_split", sentence)
            .because(format!("{} is {four_owner}", four.place()))
            .because(format!("{} is {six_owner}", six.place()))
            .fix(Fix::say(format!(
                "stop the wrong one, or name the address: 127.0.0.1:{0} or [::1]:{0}",
                scene.port
            ))),
    )
}

/// Two programs share a place, or one hides the other from this address.
fn same_place(scene: &Scene<'_>, dial: &Dial) -> Option<Verdict> {
    let asked = dial.address.ip();
    let rows: Vec<&Listener> = scene.rows.iter().flatten().collect();
    let own = rows.iter().find(|row| row.address == asked)?;
    let owner = own.owner.as_ref()?;
    let differs = |row: &&&Listener| {
        row.owner
            .as_ref()
            .is_some_and(|other| other.pid != owner.pid && other.command != owner.command)
    };
    let is_wide = |row: &&&Listener| {
        row.address.is_unspecified() && (row.address.is_ipv4() == asked.is_ipv4())
    };
    let port = scene.port;
    if let Some(twin) = rows.iter().filter(|row| row.address == asked).find(differs) {
        let other = twin.owner.as_ref()?;
        let sentence = format!(
            "two programs listen on port {port} together, and connections go to either at random"
        );
        return Some(
            Verdict::likely("listen.two_owners", sentence)
                .because(format!("one is {owner}"))
                .because(format!("the other is {other}"))
                .fix(Fix::run(
                    "end the one that should not be there",
                    format!("kill {}", other.pid),
                )),
        );
    }
    let hidden = rows.iter().filter(is_wide).find(differs)?;
    let other = hidden.owner.as_ref()?;
    let sentence = format!("a program on {} hides the server on {}", own.place(), hidden.place());
    Some(
        Verdict::likely("listen.shadowed", sentence)
            .because(format!("{} is {owner}", own.place()))
            .because(format!("{} is {other}", hidden.place()))
            .fix(Fix::say(format!("end PID {} or move one of the two", owner.pid))),
    )
}

fn failed(scene: &Scene<'_>) -> Step {
    let Some(first) = worst(&scene.dials) else {
        return Step::cannot_tell("the name stands for no address");
    };
    match first.dialed {
        Dialed::Forbidden => Step::name(
            Verdict::certain("sandbox.seccomp", "this program may not open network sockets")
                .because(first.line())
                .fix(Fix::say("run the command outside its sandbox, or allow network in it")),
        ),
        Dialed::Denied => Step::name(
            Verdict::likely("sandbox.landlock", "this program may not connect to that address")
                .because(first.line())
                .fix(Fix::say(format!(
                    "allow TCP port {} in the sandbox, or look for a prohibiting route (ip rule)",
                    scene.port
                ))),
        ),
        Dialed::SelfConnected => Step::name(self_connected(scene, first)),
        Dialed::NotAvailable => Step::name(not_available(scene, first)),
        _ if scene.is_local => local(scene, first),
        _ => Step::name(remote(scene, first)),
    }
}

/// The failure that says most: a denial, then silence, then a refusal.
pub(super) fn worst(dials: &[Dial]) -> Option<&Dial> {
    dials.iter().min_by_key(|dial| match dial.dialed {
        Dialed::Forbidden => 0,
        Dialed::Denied => 1,
        Dialed::SelfConnected => 2,
        Dialed::TimedOut => 3,
        Dialed::NoRoute => 4,
        Dialed::Refused => 5,
        Dialed::Reset | Dialed::Other => 6,
        Dialed::Connected | Dialed::NotAvailable => 7,
    })
}

fn self_connected(scene: &Scene<'_>, dial: &Dial) -> Verdict {
    let port = scene.port;
    let sentence = format!(
        "nothing listens on port {port}: the connection that succeeded was TCP joining itself, \
         because {port} is lent to outgoing connections"
    );
    Verdict::certain("listen.self_connect", sentence)
        .because(dial.line())
        .fix(Fix::say("start the server, on a port outside the range the system lends"))
}

fn not_available(scene: &Scene<'_>, dial: &Dial) -> Verdict {
    if dial.address.is_ipv6() {
        let sentence =
            format!("{} stands for IPv6 only, and IPv6 is off on this machine", scene.host);
        return Verdict::certain("name.ipv6_disabled", sentence)
            .because(dial.line())
            .fix(Fix::say(format!("use 127.0.0.1:{}", scene.port)));
    }
    Verdict::likely(
        "net.ephemeral_exhausted",
        "this machine has no free local port left for an outgoing connection",
    )
    .because(dial.line())
    .fix(Fix::say("close idle connections, or end the program that opened them"))
}

fn remote(scene: &Scene<'_>, dial: &Dial) -> Verdict {
    let (host, port) = (scene.host, scene.port);
    let verdict = match dial.dialed {
        Dialed::TimedOut => Verdict::uncertain(
            "net.timeout",
            format!(
                "{host} does not answer on port {port}: it is off, or a firewall drops packets"
            ),
        )
        .fix(Fix::say("see whether another port of the machine answers, then its firewall")),
        Dialed::NoRoute => Verdict::certain(
            "net.unreachable",
            format!("there is no way to {host}: no route, or a firewall says so"),
        )
        .fix(Fix::say("check the network, the VPN and the address")),
        _ => Verdict::likely(
            "tcp.refused",
            format!(
                "{host} is up and refuses port {port}: nothing listens there for other machines"
            ),
        )
        .fix(Fix::say("start the server there, bound to an address other machines can reach")),
    };
    verdict.because(dial.line())
}

/// The address is on this machine, so the socket table has the other half of the answer.
fn local(scene: &Scene<'_>, dial: &Dial) -> Step {
    let Some(rows) = &scene.rows else {
        return Step::fail(format!("{} ({})", scene.host, dial.dialed.word()));
    };
    if let Some(verdict) = other_address(scene, rows) {
        return Step::name(verdict);
    }
    let covering = scene.dials.iter().find_map(|dial| {
        rows.iter().find(|row| covers(row, dial.address.ip())).map(|row| (dial, row))
    });
    match covering {
        Some((dial, row)) => Step::name(filtered(scene, dial, row)),
        None if dial.dialed == Dialed::TimedOut => {
            let sentence = format!(
                "packets to port {} are dropped without an answer, so a firewall stands before it",
                scene.port
            );
            Step::name(see_rules(Verdict::likely("firewall.drop", sentence)).because(dial.line()))
        }
        None => Step::fail(format!("{}: {}", dial.address, dial.dialed.word())),
    }
}

/// Whether a socket takes connections to `address`.
fn covers(row: &Listener, address: IpAddr) -> bool {
    let same_family = row.address.is_ipv4() == address.is_ipv4();
    let takes_both = row.address.is_ipv6() && row.v6_only != Some(true);
    row.address == address
        || address.is_unspecified()
        || (row.address.is_unspecified() && (same_family || takes_both))
}

/// The server listens on an address the client does not use.
fn other_address(scene: &Scene<'_>, rows: &[Listener]) -> Option<Verdict> {
    let port = scene.port;
    if let Some(works) = scene.extra.iter().find(|dial| dial.dialed == Dialed::Connected) {
        let (ip, asked) = (works.address.ip(), scene.dials.first()?.address.ip());
        let holder = rows.iter().find(|row| covers(row, ip)).map(Listener::holder_text);
        let evidence = holder.map_or(works.line(), |who| format!("{} is {who}", works.address));
        let use_it = Fix::say(format!("use {}, or bind the server to {asked} too", works.address));
        let verdict = if scene.host.parse::<IpAddr>().is_ok() {
            let sentence =
                format!("the server on port {port} listens on {ip} only, not on {asked}");
            Verdict::certain("listen.family", sentence)
        } else {
            let sentence = format!(
                "{} stands for {asked} only, and the server on port {port} listens on {ip} only",
                scene.host
            );
            Verdict::certain("name.family_mismatch", sentence)
        };
        let six_only = rows.iter().find(|row| row.v6_only == Some(true) && covers(row, ip));
        let six_only = six_only.filter(|row| row.address.is_unspecified()).map(|row| {
            format!("{} leaves IPv4 out (IPV6_V6ONLY, or net.ipv6.bindv6only=1)", row.place())
        });
        return Some(verdict.because(evidence).because_all(six_only).fix(use_it));
    }
    let row = rows.first()?;
    if scene.dials.iter().any(|dial| rows.iter().any(|row| covers(row, dial.address.ip()))) {
        return None;
    }
    let place = row.place();
    let evidence = format!("{place} is {}", row.holder_text());
    let (id, fix) = if row.address.is_loopback() {
        ("listen.other_loopback", format!("use {place}, or bind the server to 127.0.0.1"))
    } else {
        let text = format!("use {place}, or start the server with --host 127.0.0.1");
        ("listen.external_only", text)
    };
    let sentence = format!("the server listens on {place} only, not on {}", scene.host);
    Some(Verdict::certain(id, sentence).because(evidence).fix(Fix::say(fix)))
}

/// A socket listens, and connections to it fail all the same.
fn filtered(scene: &Scene<'_>, dial: &Dial, row: &Listener) -> Verdict {
    let port = scene.port;
    let listening = format!("{} is {}", row.place(), row.holder_text());
    // Where the limit of the queue is not known, any connection that waits makes it suspect.
    if dial.dialed == Dialed::TimedOut && row.is_full().unwrap_or(row.waiting > 0) {
        let sentence = format!(
            "the program on port {port} no longer accepts connections, and its queue is full"
        );
        let limit = row.queue_limit.map_or(String::new(), |limit| format!(" (limit {limit})"));
        return Verdict::likely("tcp.backlog_full", sentence)
            .because(format!("connections that wait at {}: {}{limit}", row.place(), row.waiting))
            .because(listening)
            .fix(Fix::say("restart it, and look for what blocks its main loop"));
    }
    let (id, sentence) = match dial.dialed {
        Dialed::TimedOut => (
            "firewall.drop",
            format!("a server listens on port {port}, but a firewall drops packets"),
        ),
        _ if scene.accepted_later => (
            "firewall.intermittent",
            format!(
                "connections to port {port} are rejected now and then, though a server listens"
            ),
        ),
        _ => (
            "firewall.reject",
            format!("a server listens on port {port}, but a firewall rejects connections to it"),
        ),
    };
    see_rules(Verdict::likely(id, sentence)).because(dial.line()).because(listening)
}

fn see_rules(verdict: Verdict) -> Verdict {
    let steps = crate::firewall::steps(std::env::consts::OS);
    steps.into_iter().fold(verdict, Verdict::fix)
}
