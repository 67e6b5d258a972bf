//! Firewalls that stand in the way, each in a namespace of its own: the rule is named, and the
//! command of the fix is run there, word for word.

use serde_json::Value;

use super::net::{HERE, LO, PORT, diagnosed, possible};

const SIX: &str = "[::1]:45679";

/// A table with one base chain `c`, and what follows; ranges around the port are not lent out.
fn filter(chain: &str, rules: &str) -> String {
    format!(
        "{LO} sysctl -qw net.ipv4.ip_local_port_range='50000 60000'; nft add table inet t; \
         nft 'add chain inet t c {{ type filter hook {chain} priority 0; }}'; {rules}"
    )
}

fn rule(chain: &str, rule: &str) -> String {
    filter(chain, &format!("nft 'add rule inet t c {rule}';"))
}

/// One broken network: the verdict with all parts of its proof, and its own fix heals it.
#[track_caller]
fn follow(setup: &str, at: &str, id: &str, proof: &[&str]) -> Value {
    if !possible("nft") {
        return Value::Null;
    }
    let json = diagnosed(setup, at, at);
    let verdict = &json["verdict"];
    assert_eq!(verdict["id"], id, "{json:#}");
    assert_eq!(json["exit_code"], 1, "{json:#}");
    let said = format!("{}\n{}", verdict["sentence"], verdict["evidence"]);
    for part in proof {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    let command = verdict["fix"][0]["command"].as_str().unwrap();
    let command = command.strip_prefix("sudo ").unwrap();
    let healed = diagnosed(&format!("{setup} {command};"), at, at);
    assert_eq!(healed["verdict"]["id"], "ok", "after `{command}`: {healed:#}");
    json
}

#[test]
fn a_rule_that_drops_is_named_and_its_fix_heals() {
    let listens = "a server listens on port 45679";
    for (hook, text) in [
        ("input", format!("tcp dport {PORT} drop")),
        ("output", format!("tcp dport {PORT} drop")),
        ("output", format!("tcp sport {PORT} drop")),
        ("input", format!("tcp sport {PORT} drop")),
        ("prerouting", "tcp dport 45000-46000 counter drop".to_owned()),
        ("postrouting", format!("ip daddr 127.0.0.0/8 tcp dport {PORT} drop")),
    ] {
        let place = format!("table inet t, chain c ({hook})");
        let word = text.split(" counter").next().unwrap();
        let word = word.strip_suffix(" drop").unwrap_or(word);
        follow(&rule(hook, &text), HERE, "firewall.drop", &[listens, &place, word, "# handle"]);
    }
}

#[test]
fn rules_are_found_behind_sets_maps_jumps_and_defaults() {
    let cases = [
        (rule("input", "tcp dport { 22, 45679 } drop"), "tcp dport { 22, 45679 } drop"),
        (
            filter(
                "input",
                "nft 'add set inet t shut { type inet_service; flags interval; \
                 elements = { 40000-45000, 45600-45700 }; }'; \
                 nft 'add rule inet t c tcp dport @shut drop';",
            ),
            "tcp dport @shut drop",
        ),
        (
            rule("input", "tcp dport vmap { 22 : accept, 45679 : drop }"),
            "tcp dport map { 22, 45679 }",
        ),
        (
            filter(
                "input",
                "nft add chain inet t deep; nft 'add rule inet t c meta l4proto tcp jump deep'; \
                 nft 'add rule inet t deep ct state new tcp dport 45679 drop';",
            ),
            "chain deep",
        ),
        (
            rule("output", "meta skuid 0 ct state new tcp dport 45679 counter drop"),
            "meta skuid 0 ct state new tcp dport 45679",
        ),
    ];
    for (setup, proof) in cases {
        follow(&setup, HERE, "firewall.drop", &[proof]);
    }
    follow(&rule("input", "ip6 daddr ::1 tcp dport 45679 drop"), SIX, "firewall.drop", &["::1"]);
}

#[test]
fn the_counter_of_the_rule_is_evidence() {
    let setup = rule("input", &format!("tcp dport {PORT} counter drop"));
    follow(&setup, HERE, "firewall.drop", &["its counter went from", "with one more try"]);
}

#[test]
fn a_rule_that_rejects_is_named_and_its_fix_heals() {
    for how in ["reject with tcp reset", "reject", "reject with icmpx type admin-prohibited"] {
        let setup = rule("input", &format!("tcp dport {PORT} {how}"));
        let proof = ["a server listens on port 45679", "tcp dport 45679 reject"];
        follow(&setup, HERE, "firewall.reject", &proof);
    }
    let flaky = format!("tcp dport {PORT} ct state new numgen inc mod 2 0 reject with tcp reset");
    follow(&rule("input", &flaky), HERE, "firewall.intermittent", &["some of the connections"]);
}

#[test]
fn a_rule_against_loopback_itself_is_named_and_its_fix_heals() {
    let setup = rule("input", "iif lo ct state new drop");
    follow(&setup, HERE, "net.loopback_blocked", &["iif lo ct state new drop", "table inet t"]);
    let closed = format!(
        "{LO} nft add table inet t; \
         nft 'add chain inet t c {{ type filter hook input priority 0; policy drop; }}'; \
         nft 'add rule inet t c ct state established,related accept'; \
         nft 'add rule inet t c tcp dport 22 accept';"
    );
    follow(&closed, HERE, "net.loopback_blocked", &["`policy drop`"]);
}

#[test]
fn a_redirection_is_named_and_its_fix_heals() {
    let nat = |to: &str| {
        format!(
            "{LO} nft add table ip n; \
             nft 'add chain ip n o {{ type nat hook output priority -100; }}'; \
             nft 'add rule ip n o tcp dport {PORT} redirect to :{to}';"
        )
    };
    let json = follow(&nat("45999"), HERE, "firewall.redirect", &["to :45999", "chain o (output)"]);
    if !json.is_null() {
        let delete = json["verdict"]["fix"][0]["command"].as_str().unwrap();
        assert!(delete.starts_with("sudo nft delete rule ip n o handle "), "{delete}");
    }
}

#[test]
fn packets_that_are_dropped_by_their_size_are_named() {
    let setup = rule("input", "meta length > 1200 tcp dport 45679 drop");
    let proof = ["were sent", "not confirmed", "meta length > 1200"];
    follow(&setup, HERE, "tcp.mtu_blackhole", &proof);
}

#[test]
fn packets_that_are_lost_by_their_size_on_the_way_are_named_without_a_rule() {
    if !possible("nft") {
        return;
    }
    // What drops them is on another machine's side, where no rule can be seen: a device's hook.
    let setup = format!(
        "{LO} nft add table netdev t; nft 'add chain netdev t c {{ type filter hook ingress \
         device lo priority 0; }}'; \
         nft 'add rule netdev t c meta length > 1400 tcp dport 45679 drop';"
    );
    let json = diagnosed(&setup, HERE, HERE);
    assert_eq!(json["verdict"]["id"], "tcp.mtu_blackhole", "{json:#}");
    let command = json["verdict"]["fix"][0]["command"].as_str().unwrap();
    let mend = command.strip_prefix("sudo ").unwrap();
    let json = diagnosed(&format!("{setup} {mend};"), HERE, HERE);
    assert_eq!(json["verdict"]["id"], "ok", "after `{mend}`: {json:#}");
}

#[test]
fn rules_of_iptables_get_a_command_of_iptables() {
    if !possible("nft") {
        return;
    }
    let setup = format!(
        "{LO} nft add table ip filter; \
         nft 'add chain ip filter INPUT {{ type filter hook input priority 0; }}'; \
         nft 'add rule ip filter INPUT tcp dport {PORT} drop';"
    );
    let json = diagnosed(&setup, HERE, HERE);
    assert_eq!(json["verdict"]["id"], "firewall.drop", "{json:#}");
    assert_eq!(json["verdict"]["fix"][0]["command"], "sudo iptables -I INPUT -i lo -j ACCEPT");
}

#[test]
fn rules_that_let_the_port_pass_raise_no_alarm() {
    if !possible("nft") {
        return;
    }
    let setups = [
        rule("input", "tcp dport 1 drop"),
        rule("input", "udp dport 45679 drop"),
        rule("output", "meta skuid 4711 drop"),
        // As ufw does it: loopback first, then what is established, and then nothing.
        format!(
            "{LO} nft add table inet t; nft 'add chain inet t c {{ type filter hook input \
             priority 0; policy drop; }}'; nft 'add rule inet t c iifname lo accept'; \
             nft 'add rule inet t c ct state invalid drop';"
        ),
        rule("input", "limit rate over 100000/second burst 1000 packets drop"),
    ];
    for setup in setups {
        let json = diagnosed(&setup, HERE, HERE);
        assert_eq!(json["verdict"]["id"], "ok", "{setup}: {json:#}");
        let finding = json["findings"].as_array().unwrap().iter();
        let finding = finding.clone().find(|one| one["check"] == "firewall").unwrap();
        assert_eq!(finding["outcome"], "pass", "{finding:#}");
    }
}

#[test]
fn rules_of_the_older_iptables_are_named_and_their_fixes_heal() {
    if !possible("iptables-legacy") {
        return;
    }
    let four = "iptables-legacy table filter, chain INPUT (input)";
    let port = format!("-p tcp -m tcp --dport {PORT}");
    for (setup, at, id, proof) in [
        (
            format!("iptables-legacy -A INPUT -p tcp --dport {PORT} -j DROP"),
            HERE,
            "firewall.drop",
            [four.to_owned(), format!("-A INPUT {port} -j DROP # rule 1 of the chain")],
        ),
        (
            format!(
                "iptables-legacy -N own; iptables-legacy -A own -j REJECT; \
                 iptables-legacy -A INPUT -p tcp --dport {PORT} -j own"
            ),
            HERE,
            "firewall.reject",
            ["chain own (input)".to_owned(), "-A own -j REJECT # rule 1".to_owned()],
        ),
        (
            "iptables-legacy -P INPUT DROP".to_owned(),
            HERE,
            "net.loopback_blocked",
            [four.to_owned(), "`-P INPUT DROP`".to_owned()],
        ),
        (
            format!("ip6tables-legacy -A OUTPUT -d ::1 -p tcp --dport {PORT} -j DROP"),
            SIX,
            "firewall.drop",
            ["ip6tables-legacy table filter".to_owned(), format!("-d ::1/128 {port} -j DROP")],
        ),
    ] {
        let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
        follow(&format!("{LO} {setup};"), at, id, &proof);
    }
}

#[test]
fn rules_of_the_older_iptables_that_let_the_port_pass_raise_no_alarm() {
    if !possible("iptables-legacy") {
        return;
    }
    let setup = format!(
        "{LO} iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -i lo -j ACCEPT; \
         iptables-legacy -A OUTPUT ! -d 127.0.0.0/8 -j DROP;"
    );
    let json = diagnosed(&setup, HERE, HERE);
    assert_eq!(json["verdict"]["id"], "ok", "{json:#}");
}
