//! Tables as a kernel gave them, after `iptables-legacy` had written them.

use std::net::IpAddr;

use native::linux::tables::Table;

use super::add_table;
use crate::firewall::Deed;
use crate::firewall::nft::{Family, Flow, Ruleset, Suspect, suspects};

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn table(text: &str) -> Table {
    let mut lines = text.lines().map(bytes);
    Table { info: lines.next().unwrap(), entries: lines.next().unwrap() }
}

fn read(family: Family, name: &str, text: &str) -> Ruleset {
    let mut rules = Ruleset::default();
    add_table(&mut rules, family, name, &table(text));
    rules
}

/// ```text
/// :FORWARD DROP
/// -A INPUT -i lo -p tcp -m multiport --dports 1,2,3 -j ACCEPT
/// -A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 61900 -j own
/// -A own -m conntrack --ctstate ESTABLISHED -j RETURN
/// -A own -p tcp -m comment --comment why -j REJECT --reject-with tcp-reset
/// ```
fn filter() -> Ruleset {
    read(Family::Ip, "filter", include_str!("filter4.hex"))
}

fn found(rules: &Ruleset, to: &str, port: u16) -> Vec<Suspect> {
    let to: IpAddr = to.parse().unwrap();
    suspects(rules, &Flow { to, port, client: 54_321, is_local: true, uid: 1000, length: None })
}

#[test]
fn every_rule_is_read_as_the_command_prints_it() {
    let rules = filter();
    let said: Vec<&str> = rules.rules.iter().filter_map(|rule| rule.said.as_deref()).collect();
    assert_eq!(
        said,
        [
            "-A INPUT -i lo -p tcp -m multiport --dports 1,2,3 -j ACCEPT",
            "-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 61900 -j own",
            "-A own -m conntrack --ctstate ESTABLISHED -j RETURN",
            "-A own -p tcp -m comment --comment \"why\" -j REJECT --reject-with tcp-reset",
        ]
    );
    let chains: Vec<(&str, bool)> =
        rules.chains.iter().map(|chain| (chain.name.as_str(), chain.drops_by_default)).collect();
    let all = [("INPUT", false), ("FORWARD", true), ("OUTPUT", false), ("own", false)];
    assert_eq!(chains, all);
}

#[test]
fn a_connection_is_followed_into_chains_of_the_users_own() {
    let all = found(&filter(), "127.0.0.1", 61_900);
    let [culprit] = &all[..] else { panic!("{all:?}") };
    assert_eq!((culprit.deed, culprit.is_sure), (Deed::Reject, true));
    assert_eq!((culprit.chain.as_str(), culprit.base.as_str()), ("own", "INPUT"));
    assert_eq!(culprit.handle, Some(2));
    assert!(found(&filter(), "127.0.0.1", 61_901).is_empty());
    assert!(found(&filter(), "10.1.2.3", 61_900).is_empty(), "a source that is let off");
}

#[test]
fn a_redirection_says_where_it_leads() {
    let all = found(&read(Family::Ip, "nat", include_str!("nat4.hex")), "127.0.0.1", 80);
    let [culprit] = &all[..] else { panic!("{all:?}") };
    assert_eq!(culprit.deed, Deed::Redirect(Some(61_900)));
}

#[test]
fn tables_of_ipv6_meet_ipv6_alone() {
    let rules = read(Family::Ip6, "filter", include_str!("filter6.hex"));
    let all = found(&rules, "::1", 61_900);
    let [culprit] = &all[..] else { panic!("{all:?}") };
    assert_eq!(culprit.deed, Deed::Drop);
    assert_eq!(culprit.text, "-A OUTPUT -d ::1/128 -p tcp -m tcp --dport 61900 -j DROP");
    assert!(found(&rules, "127.0.0.1", 61_900).is_empty());
}

#[test]
fn a_table_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
    let whole = table(include_str!("filter4.hex"));
    for length in 0..whole.entries.len() {
        let mut rules = Ruleset::default();
        let entries = whole.entries[..length].to_vec();
        add_table(&mut rules, Family::Ip, "filter", &Table { info: whole.info.clone(), entries });
        // The way back out of a chain is a rule like others where its end is not seen.
        assert!(rules.rules.len() <= 5, "{length}");
    }
}
