//! Broken networks, each in a network namespace of its own; skipped without the rights to make one.

use std::net::TcpListener;
use std::process::Command;

use super::{report, verbose};

/// Inside a namespace of its own any port is free.
const PORT: &str = "45678";

/// Where the subject listens, and what it diagnoses, when it runs in a namespace.
const LISTEN: &str = "DOCTOR_TEST_LISTEN";
const TARGET: &str = "DOCTOR_TEST_TARGET";

#[expect(clippy::disallowed_methods, reason = "the test speaks to itself in another namespace")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What runs inside; outside it shows that a listener alone raises no false alarm of a firewall.
#[tokio::test]
async fn the_subject_is_diagnosed() {
    let place = variable(LISTEN).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let held = (!place.is_empty()).then(|| TcpListener::bind(&place).unwrap());
    let own = held.as_ref().map(|held| held.local_addr().unwrap().to_string());
    let inside = variable(TARGET);
    let report = report(&inside.clone().or(own).unwrap()).await;
    println!("{}", report.to_json());
    if inside.is_none() {
        assert!(!report.verdict.id.starts_with("firewall."), "{}", verbose(&report));
    }
}

/// Runs `setup` and then the subject in a fresh namespace; `None` when that is not possible.
fn diagnosed(needs: &str, setup: &str, listen: &str, target: &str) -> Option<String> {
    let possible = format!("unshare -n sh -c 'command -v {needs}'");
    let ready = Command::new("sh").args(["-c", &possible]).output().unwrap();
    if !ready.status.success() {
        println!("skipped: no rights for a network namespace, or `{needs}` is missing");
        return None;
    }
    let own = std::env::current_exe().unwrap();
    let name = "namespaces::the_subject_is_diagnosed";
    let script = format!("{setup} exec {} --exact {name} --nocapture", own.display());
    let output = Command::new("unshare")
        .args(["-n", "sh", "-ec", &script])
        .env(LISTEN, listen)
        .env(TARGET, target)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\"schema\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

#[track_caller]
fn expect(needs: &str, setup: &str, listen: &str, target: &str, id: &str) {
    if let Some(text) = diagnosed(needs, setup, listen, target) {
        assert!(text.contains(&format!("\"verdict\":{{\"id\":\"{id}\"")), "{text}");
    }
}

fn filter(chain: &str, rule: &str) -> String {
    format!(
        "ip link set lo up; nft add table inet t; \
         nft 'add chain inet t c {{ type filter hook {chain} priority 0; }}'; \
         nft add rule inet t c {rule};"
    )
}

/// A listener at the address that is diagnosed.
fn listening() -> String {
    format!("127.0.0.1:{PORT}")
}

#[test]
fn a_loopback_interface_that_is_down_is_named() {
    expect("ip", "", "", &listening(), "net.lo_down");
}

#[test]
fn a_firewall_that_drops_is_named() {
    let setup = filter("input", &format!("tcp dport {PORT} drop"));
    expect("nft", &setup, &listening(), &listening(), "firewall.drop");
    let replies = filter("output", &format!("tcp sport {PORT} drop"));
    expect("nft", &replies, &listening(), &listening(), "firewall.drop");
}

#[test]
fn a_firewall_that_rejects_is_told_from_a_port_without_listener() {
    for how in ["reject with tcp reset", "reject", "reject with icmpx type admin-prohibited"] {
        let setup = filter("input", &format!("tcp dport {PORT} {how}"));
        expect("nft", &setup, &listening(), &listening(), "firewall.reject");
    }
    // Servers of other tests, in their namespaces, would be found as those of containers.
    expect("ip", "ip link set lo up;", "", "127.0.0.1:45677", "listen.none");
}

#[test]
fn a_firewall_that_rejects_now_and_then_is_named() {
    let rule = format!("tcp dport {PORT} ct state new numgen inc mod 2 0 reject with tcp reset");
    expect("nft", &filter("input", &rule), &listening(), &listening(), "firewall.intermittent");
}

#[test]
fn rules_for_other_ports_are_no_fault() {
    let setup = filter("input", "tcp dport 1 drop");
    let Some(text) = diagnosed("nft", &setup, &listening(), &listening()) else { return };
    assert!(!text.contains("firewall."), "{text}");
}

#[test]
fn a_host_without_a_route_is_named() {
    let setup = "ip link set lo up;";
    expect("ip", setup, "", "10.9.9.9:80", "net.unreachable");
}

#[test]
fn a_server_on_the_outer_address_only_is_named() {
    let setup = "ip link set lo up; ip addr add 10.7.7.7/32 dev lo;";
    let outer = format!("10.7.7.7:{PORT}");
    expect("ip", setup, &outer, &listening(), "listen.external_only");
}
