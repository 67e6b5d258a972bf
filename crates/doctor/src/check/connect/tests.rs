//! Every pair of what `connect` said and what the socket table says has its verdict.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Scene;
use super::judge::judge;
use crate::case::Learned;
use crate::check::Step;
use crate::probe::dial::{Dial, Dialed};
use crate::sockets::{Listener, Process};

fn dial(address: &str, dialed: Dialed) -> Dial {
    let address: SocketAddr = address.parse().unwrap();
    Dial { address, dialed, elapsed: Duration::from_millis(1), error: None }
}

fn row(address: &str, pid: u32, waiting: u32) -> Listener {
    let command = format!("server {pid}");
    let user = "ann".to_owned();
    let owner = Process { pid, command, user, started: None, state: Some('S') };
    Listener {
        address: address.parse::<IpAddr>().unwrap(),
        port: 80,
        inode: 1,
        uid: 0,
        waiting,
        queue_limit: None,
        v6_only: None,
        owner: Some(owner),
        guess: None,
    }
}

fn scene<'a>(host: &'a str, dials: Vec<Dial>, rows: Vec<Listener>) -> Scene<'a> {
    Scene {
        host,
        port: 80,
        is_local: true,
        dials,
        extra: Vec::new(),
        rows: Some(rows),
        accepted_later: false,
    }
}

fn id(step: &Step) -> Option<&'static str> {
    step.verdict.as_ref().map(|verdict| verdict.id)
}

const FOUR: &str = "127.0.0.1:80";
const SIX: &str = "[::1]:80";

#[test]
fn refused_without_a_row_is_left_to_the_search_for_another_port() {
    let step = judge(&scene("localhost", vec![dial(FOUR, Dialed::Refused)], Vec::new()));
    assert_eq!(id(&step), None);
    let Learned::Connections { nothing_listens, .. } = step.learned else { panic!("no facts") };
    assert!(nothing_listens);
}

#[test]
fn a_row_and_a_failure_are_a_firewall() {
    let cases = [
        (Dialed::Refused, "firewall.reject"),
        (Dialed::NoRoute, "firewall.reject"),
        (Dialed::TimedOut, "firewall.drop"),
    ];
    for (dialed, expected) in cases {
        for bound in ["127.0.0.1", "0.0.0.0", "::"] {
            let scene = scene("127.0.0.1", vec![dial(FOUR, dialed)], vec![row(bound, 1, 0)]);
            assert_eq!(id(&judge(&scene)), Some(expected), "{dialed:?} {bound}");
        }
    }
    let mut flaky =
        scene("localhost", vec![dial(FOUR, Dialed::Refused)], vec![row("127.0.0.1", 1, 0)]);
    flaky.accepted_later = true;
    assert_eq!(id(&judge(&flaky)), Some("firewall.intermittent"));
}

#[test]
fn silence_with_a_queue_is_a_server_that_does_not_accept() {
    let rows = vec![row("127.0.0.1", 1, 6)];
    let step = judge(&scene("localhost", vec![dial(FOUR, Dialed::TimedOut)], rows));
    assert_eq!(id(&step), Some("tcp.backlog_full"));
}

#[test]
fn silence_without_a_row_is_a_firewall_too() {
    let step = judge(&scene("localhost", vec![dial(FOUR, Dialed::TimedOut)], Vec::new()));
    assert_eq!(id(&step), Some("firewall.drop"));
}

#[test]
fn another_address_is_named_before_a_firewall() {
    let refused = || vec![dial(FOUR, Dialed::Refused)];
    let outer = judge(&scene("localhost", refused(), vec![row("10.0.0.5", 1, 0)]));
    assert_eq!(id(&outer), Some("listen.external_only"));
    let other = judge(&scene("localhost", refused(), vec![row("127.0.0.2", 1, 0)]));
    assert_eq!(id(&other), Some("listen.other_loopback"));
    let mut six = scene("127.0.0.1", refused(), vec![row("::1", 1, 0)]);
    six.extra = vec![dial(SIX, Dialed::Connected)];
    assert_eq!(id(&judge(&six)), Some("listen.family"));
    six.host = "localhost";
    assert_eq!(id(&judge(&six)), Some("name.family_mismatch"));
}

#[test]
fn two_programs_under_one_name_are_named_and_workers_of_one_are_not() {
    let both = || vec![dial(FOUR, Dialed::Connected), dial(SIX, Dialed::Connected)];
    let rows = vec![row("127.0.0.1", 1, 0), row("::1", 2, 0)];
    assert_eq!(id(&judge(&scene("localhost", both(), rows))), Some("listen.family_split"));
    let mut workers = vec![row("127.0.0.1", 1, 0), row("::1", 2, 0)];
    for worker in &mut workers {
        worker.owner.as_mut().unwrap().command = "gunicorn app".to_owned();
    }
    assert_eq!(id(&judge(&scene("localhost", both(), workers))), None);
    let one = vec![row("127.0.0.1", 7, 0), row("::1", 7, 0)];
    assert_eq!(id(&judge(&scene("localhost", both(), one))), None);
}

#[test]
fn sandboxes_and_missing_addresses_are_named() {
    let cases = [
        (FOUR, Dialed::Forbidden, "sandbox.seccomp"),
        (FOUR, Dialed::Denied, "sandbox.landlock"),
        (FOUR, Dialed::SelfConnected, "listen.self_connect"),
        (SIX, Dialed::NotAvailable, "name.ipv6_disabled"),
        (FOUR, Dialed::NotAvailable, "net.ephemeral_exhausted"),
    ];
    for (address, dialed, expected) in cases {
        let step = judge(&scene("localhost", vec![dial(address, dialed)], Vec::new()));
        assert_eq!(id(&step), Some(expected), "{dialed:?}");
    }
}

#[test]
fn another_machine_is_judged_without_the_table_of_this_one() {
    let cases = [
        (Dialed::Refused, "tcp.refused"),
        (Dialed::TimedOut, "net.timeout"),
        (Dialed::NoRoute, "net.unreachable"),
    ];
    for (dialed, expected) in cases {
        let mut far = scene("box", vec![dial("10.0.0.9:80", dialed)], vec![row("0.0.0.0", 1, 0)]);
        far.is_local = false;
        assert_eq!(id(&judge(&far)), Some(expected));
    }
}

#[test]
fn one_family_is_enough() {
    let dials = vec![dial(SIX, Dialed::Refused), dial(FOUR, Dialed::Connected)];
    let step = judge(&scene("localhost", dials, vec![row("127.0.0.1", 1, 0)]));
    assert_eq!(id(&step), None);
    assert!(step.summary.contains("::1 is refused"), "{}", step.summary);
}
