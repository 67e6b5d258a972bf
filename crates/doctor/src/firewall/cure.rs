//! What mends a rule that stands in the way: the narrowest change that lets loopback pass.

use super::nft::{Family, Hook, Suspect};
use super::{Culprit, Deed, Way};
use crate::report::Fix;

/// A rule as a person can find and mend it.
pub(super) fn culprit(suspect: &Suspect, way: &Way) -> Culprit {
    let (family, table) = (suspect.home.family.word(), &suspect.home.table);
    let hook = hook(suspect.hook);
    let rule = match suspect.handle {
        Some(number) if suspect.home.is_legacy => {
            format!("{} # rule {number} of the chain", suspect.text)
        }
        Some(handle) => format!("{} # handle {handle}", suspect.text),
        None => suspect.text.clone(),
    };
    Culprit {
        deed: suspect.deed,
        is_sure: suspect.is_sure,
        place: match suspect.home.is_legacy {
            true => format!("{} table {table}, chain {} ({hook})", tool(suspect), suspect.chain),
            false => format!("table {family} {table}, chain {} ({hook})", suspect.chain),
        },
        rule,
        counter: suspect.counter,
        fixes: fixes(suspect, way),
    }
}

fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    }
}

fn fixes(suspect: &Suspect, way: &Way) -> Vec<Fix> {
    let port = way.port;
    let (family, table) = (suspect.home.family.word(), &suspect.home.table);
    let delete = suspect.handle.map(|handle| {
        let chain = &suspect.chain;
        let command = match suspect.home.is_legacy {
            true => format!("sudo {} -t {table} -D {chain} {handle}", tool(suspect)),
            false => format!("sudo nft delete rule {family} {table} {chain} handle {handle}"),
        };
        Fix::run_as_root("remove the rule, when nobody needs it", command)
    });
    let words = "let loopback pass before the rule; do not turn the firewall off";
    let allow = if suspect.chain.starts_with("ufw") {
        Fix::run_as_root("allow the port in ufw", format!("sudo ufw allow {port}/tcp"))
    } else if suspect.home.table == "firewalld" {
        let add = format!("sudo firewall-cmd --add-port={port}/tcp");
        Fix::run_as_root(
            "allow the port in firewalld, now and after a restart",
            format!("{add} && {add} --permanent"),
        )
    } else if matches!(suspect.deed, Deed::Redirect(_)) {
        // What turns a connection is undone by removing it; nothing has to be let through.
        return delete.into_iter().collect();
    } else if is_of_iptables(suspect) {
        let tool = tool(suspect);
        let (flag, base) = (interface(suspect.hook, "-i", "-o"), &suspect.base);
        let packets =
            if way.is_local { format!("{flag} lo") } else { format!("-p tcp --dport {port}") };
        let table = if *table == "filter" { String::new() } else { format!("-t {table} ") };
        Fix::run_as_root(words, format!("sudo {tool} {table}-I {base} {packets} -j ACCEPT"))
    } else {
        let packets = match (way.is_local, suspect.is_reply) {
            (true, _) => format!("{} lo", interface(suspect.hook, "iif", "oif")),
            (false, false) => format!("tcp dport {port}"),
            (false, true) => format!("tcp sport {port}"),
        };
        let base = &suspect.base;
        let words = if way.is_local { words } else { "let the connection pass before the rule" };
        Fix::run_as_root(
            words,
            format!("sudo nft insert rule {family} {table} {base} {packets} accept"),
        )
    };
    std::iter::once(allow).chain(delete).collect()
}

/// The way to name an interface where packets come in, or where they go out.
fn interface<'a>(hook: Hook, comes: &'a str, goes: &'a str) -> &'a str {
    if matches!(hook, Hook::Output | Hook::Postrouting) { goes } else { comes }
}

/// The command that keeps the table; plain `iptables` is one or the other, as its system chose.
fn tool(suspect: &Suspect) -> &'static str {
    match (suspect.home.family, suspect.home.is_legacy) {
        (Family::Ip6, true) => "ip6tables-legacy",
        (_, true) => "iptables-legacy",
        (Family::Ip6, false) => "ip6tables",
        (_, false) => "iptables",
    }
}

/// Whether the table is one that iptables keeps, and would not expect others to change.
fn is_of_iptables(suspect: &Suspect) -> bool {
    let builtin = ["INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"];
    matches!(suspect.home.family, Family::Ip | Family::Ip6)
        && ["filter", "nat", "mangle", "raw", "security"].contains(&suspect.home.table.as_str())
        && builtin.contains(&suspect.base.as_str())
}
