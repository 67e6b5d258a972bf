//! Rules that were written by hand, followed for one connection; real ones are in the lab.

use std::net::IpAddr;

use super::expression::{Act, Expression, Key, Order};
use super::legacy::{of_match, target};
use super::packet::Flow;
use super::{Chain, Family, Home, Hook, Rule, Ruleset, suspects};
use crate::firewall::Deed;

fn home() -> Home {
    Home::new(Family::Inet, "t".to_owned())
}

fn chain(name: &str, hook: Option<Hook>, drops_by_default: bool) -> Chain {
    let hook = hook.map(|hook| (hook, 0));
    Chain { home: home(), name: name.to_owned(), hook, drops_by_default, is_nat: false }
}

fn rule(chain: &str, handle: u64, expressions: Vec<Expression>) -> Rule {
    Rule { home: home(), chain: chain.to_owned(), handle, expressions, said: None }
}

fn load(key: Key) -> Expression {
    Expression::Load { to: 1, key }
}

fn equals(value: &[u8]) -> Expression {
    Expression::Compare { from: 1, order: Order::Equal, value: value.to_vec() }
}

fn to_port(port: u16) -> [Expression; 2] {
    [load(Key::Transport(2, 2)), equals(&port.to_be_bytes())]
}

fn flow(port: u16) -> Flow {
    let to: IpAddr = "127.0.0.1".parse().unwrap();
    Flow { to, port, client: 54321, is_local: true, uid: 1000, length: None }
}

fn input(rules: Vec<Rule>, drops_by_default: bool) -> Ruleset {
    let chains = vec![chain("in", Some(Hook::Input), drops_by_default), chain("sub", None, false)];
    Ruleset { chains, rules, sets: Vec::new() }
}

fn with(parts: [Expression; 2], act: Act) -> Vec<Expression> {
    parts.into_iter().chain([Expression::Verdict(act)]).collect()
}

#[test]
fn the_rule_that_drops_the_port_is_found_and_others_are_not() {
    let rules = input(
        vec![
            rule("in", 1, with(to_port(80), Act::Drop)),
            rule("in", 2, with(to_port(8080), Act::Drop)),
        ],
        false,
    );
    let found = suspects(&rules, &flow(8080));
    assert_eq!(found.len(), 1);
    assert!(found[0].is_sure && found[0].handle == Some(2) && found[0].deed == Deed::Drop);
    assert_eq!(found[0].text, "tcp dport 8080 drop");
    assert!(suspects(&rules, &flow(443)).is_empty());
}

#[test]
fn what_was_accepted_before_is_not_dropped_after() {
    let accept = vec![load(Key::Meta(4)), equals(&1_u32.to_ne_bytes())];
    let accept: Vec<_> = accept.into_iter().chain([Expression::Verdict(Act::Accept)]).collect();
    let rules = input(vec![rule("in", 1, accept)], true);
    assert!(suspects(&rules, &flow(80)).is_empty(), "loopback passes");
    let closed = suspects(&input(Vec::new(), true), &flow(80));
    assert_eq!((closed[0].handle, closed[0].text.as_str()), (None, "policy drop"));
}

#[test]
fn a_limit_makes_everything_after_it_uncertain() {
    let limited = vec![Expression::Perhaps("limit".to_owned()), Expression::Verdict(Act::Accept)];
    let rules = input(
        vec![rule("in", 1, limited), rule("in", 2, vec![Expression::Verdict(Act::Drop)])],
        false,
    );
    let found = suspects(&rules, &flow(80));
    assert!(!found.is_empty() && found.iter().all(|one| !one.is_sure), "{found:?}");
}

#[test]
fn jumps_are_followed_and_their_return_too() {
    let rules = input(
        vec![
            rule("in", 1, vec![Expression::Verdict(Act::Jump("sub".to_owned()))]),
            rule("in", 4, with(to_port(82), Act::Drop)),
            rule("sub", 2, with(to_port(81), Act::Drop)),
            rule("sub", 3, with(to_port(80), Act::Accept)),
        ],
        false,
    );
    assert!(suspects(&rules, &flow(80)).is_empty());
    assert_eq!(suspects(&rules, &flow(81))[0].handle, Some(2));
    assert_eq!(suspects(&rules, &flow(82))[0].handle, Some(4));
}

#[test]
fn rules_of_iptables_are_understood() {
    let mut tcp = vec![0_u8; 12];
    tcp[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
    tcp[4..6].copy_from_slice(&8080_u16.to_ne_bytes());
    tcp[6..8].copy_from_slice(&8080_u16.to_ne_bytes());
    let port = of_match("tcp", &tcp).unwrap();
    let mut state = vec![0_u8; 160];
    state[146..148].copy_from_slice(&1_u16.to_ne_bytes());
    state[150..152].copy_from_slice(&6_u16.to_ne_bytes());
    let established = of_match("conntrack", &state).unwrap();
    let mut many = vec![0_u8; 48];
    many[0] = 1;
    many[1] = 3;
    for (at, port) in [22_u16, 3000, 3010].iter().enumerate() {
        many[2 + at * 2..4 + at * 2].copy_from_slice(&port.to_ne_bytes());
    }
    many[33] = 1;
    let several = of_match("multiport", &many).unwrap();
    let reject = target("REJECT", &3_u32.to_ne_bytes()).unwrap();
    let accept = || Expression::Verdict(Act::Accept);
    let rules = input(
        vec![
            rule("in", 1, vec![established, accept()]),
            rule("in", 2, vec![several, accept()]),
            rule("in", 3, vec![port, reject]),
        ],
        false,
    );
    let found = suspects(&rules, &flow(8080));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].deed, found[0].is_sure), (Deed::Reject, true));
    assert_eq!(found[0].text, "tcp dport 8080 reject");
    assert!(suspects(&rules, &flow(3005)).is_empty());
    assert!(of_match("recent", &[0; 64]).is_none() && of_match("tcp", &[0; 3]).is_none());
}

#[test]
fn a_rule_about_size_meets_only_packets_with_data() {
    let long = vec![
        load(Key::Meta(0)),
        Expression::Swap { from: 1, to: 1, length: 4, size: 4 },
        Expression::Compare { from: 1, order: Order::More, value: 1200_u32.to_be_bytes().to_vec() },
        Expression::Verdict(Act::Drop),
    ];
    let rules = input(vec![rule("in", 1, long)], false);
    assert!(suspects(&rules, &flow(80)).is_empty());
    let found = suspects(&rules, &Flow { length: Some(3000), ..flow(80) });
    assert_eq!(found[0].text, "meta length > 1200 drop");
}
