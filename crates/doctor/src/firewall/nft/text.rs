//! A rule as nft would print it, well enough to be recognised in its list.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::expression::{Act, Expression, Key, Order, Reject};
use super::{Rule, Ruleset};
use crate::netlink::bytes::{be16_at, text as name_of, u32_at};

/// Limit: elements of a set that are printed.
const ELEMENTS_MAX: usize = 8;

/// The rule in words.
pub(super) fn of(rule: &Rule, rules: &Ruleset) -> String {
    let mut page = Page { rule, rules, loaded: HashMap::new(), masks: HashMap::new() };
    let mut words: Vec<String> = Vec::new();
    let mut lower: Option<(u32, String)> = None;
    for part in &rule.expressions {
        let word = page.word(part);
        // The kernel keeps a range as two comparisons.
        match (part, lower.take(), word) {
            (Expression::Compare { from, order: Order::AtLeast, value: first }, _, Some(word)) => {
                lower = Some((*from, value(page.key(*from), first)));
                words.push(word);
            }
            (Expression::Compare { from, order: Order::AtMost, value: last }, Some(low), _)
                if low.0 == *from =>
            {
                words.pop();
                let key = page.key(*from);
                words.push(format!("{} {}-{}", name(key), low.1, value(key, last)));
            }
            (_, _, word) => words.extend(word),
        }
    }
    words.join(" ")
}

struct Page<'a> {
    rule: &'a Rule,
    rules: &'a Ruleset,
    loaded: HashMap<u32, Key>,
    masks: HashMap<u32, Vec<u8>>,
}

impl Page<'_> {
    fn word(&mut self, part: &Expression) -> Option<String> {
        Some(match part {
            Expression::Load { to, key } => {
                self.loaded.insert(*to, *key);
                self.masks.remove(to);
                return None;
            }
            Expression::Mask { from, to, mask, .. } => {
                let key = self.key(*from);
                self.loaded.insert(*to, key);
                self.masks.insert(*to, mask.clone());
                return None;
            }
            Expression::Compare { from, order, value } => self.compared(*from, *order, value)?,
            Expression::Range { from, inside, first, last } => {
                let key = self.key(*from);
                let not = if *inside { "" } else { "!= " };
                format!("{} {not}{}-{}", name(key), value(key, first), value(key, last))
            }
            Expression::Lookup { from, to, set, inside } => {
                let not = if *inside { "" } else { "!= " };
                let verb = if to.is_some() { " map " } else { " " };
                format!("{}{verb}{not}{}", name(self.key(*from)), self.set(set, *from))
            }
            Expression::Verdict(act) => acted(act),
            Expression::Reject(Reject::Reset) => "reject with tcp reset".to_owned(),
            Expression::Reject(Reject::Icmp) => "reject".to_owned(),
            Expression::Redirect { port } => format!("redirect{}", self.target(*port)),
            Expression::Destination { port, .. } => format!("dnat{}", self.target(*port)),
            Expression::Counter { .. } => "counter".to_owned(),
            Expression::Ports { destination, source, .. } => {
                let range = |name: &str, (first, last): (u16, u16)| match (first, last) {
                    (0, u16::MAX) => None,
                    _ if first == last => Some(format!("tcp {name} {first}")),
                    _ => Some(format!("tcp {name} {first}-{last}")),
                };
                let both = [range("sport", *source), range("dport", *destination)];
                return Some(both.into_iter().flatten().collect::<Vec<_>>().join(" "))
                    .filter(|text| !text.is_empty());
            }
            Expression::OneOf { ports, inverted } => {
                let not = if *inverted { "!= " } else { "" };
                let list: Vec<String> =
                    ports
                        .iter()
                        .map(|(first, last)| {
                            if first == last {
                                first.to_string()
                            } else {
                                format!("{first}-{last}")
                            }
                        })
                        .collect();
                format!("tcp dport {not}{{ {} }}", list.join(", "))
            }
            Expression::State { mask } => format!("ct state {}", states(*mask)),
            Expression::Perhaps(other) => other.clone(),
            Expression::Value { to, value } => {
                self.masks.insert(*to, value.clone());
                return None;
            }
            Expression::Swap { from, to, .. } => {
                let key = self.key(*from);
                self.loaded.insert(*to, key);
                return None;
            }
            Expression::Silent => return None,
        })
    }

    fn key(&self, register: u32) -> Key {
        self.loaded.get(&register).copied().unwrap_or(Key::Unknown)
    }

    /// The port of a redirection, from the register that holds it.
    fn target(&self, port: Option<u32>) -> String {
        let value = port.and_then(|register| self.masks.get(&register));
        let port = value.and_then(|value| be16_at(value, 0));
        port.map_or_else(String::new, |port| format!(" to :{port}"))
    }

    fn compared(&self, from: u32, order: Order, bytes: &[u8]) -> Option<String> {
        let key = self.key(from);
        let loads = |wanted: fn(&Key) -> bool| {
            let mut parts = self.rule.expressions.iter();
            parts.any(|one| matches!(one, Expression::Load { key, .. } if wanted(key)))
        };
        // That it is about TCP, or IPv4, is said by the word before the port or address.
        if key == Key::Meta(16) && loads(|key| matches!(key, Key::Transport(..)))
            || key == Key::Meta(15) && loads(|key| matches!(key, Key::Network(..)))
        {
            return None;
        }
        if let (Key::Tracked(0), Some(mask)) = (key, self.masks.get(&from)) {
            let mask = u32_at(mask, 0).unwrap_or_default();
            return Some(format!("ct state {}", states(mask)));
        }
        let sign = match order {
            Order::Equal => "",
            Order::Differs => "!= ",
            Order::Less => "< ",
            Order::AtMost => "<= ",
            Order::More => "> ",
            Order::AtLeast => ">= ",
        };
        let bits = match self.masks.get(&from) {
            Some(mask) if matches!(key, Key::Network(..)) => {
                format!("/{}", mask.iter().map(|byte| byte.count_ones()).sum::<u32>())
            }
            _ => String::new(),
        };
        Some(format!("{} {sign}{}{bits}", name(key), value(key, bytes)))
    }

    fn set(&self, name: &str, from: u32) -> String {
        // Sets that nft named itself are shown by what is in them.
        let found =
            self.rules.sets.iter().find(|set| set.home == self.rule.home && set.name == name);
        match found.filter(|_| name.starts_with("__")) {
            Some(set) => {
                let key = self.key(from);
                let keys: Vec<String> =
                    set.keys().take(ELEMENTS_MAX).map(|bytes| value(key, bytes)).collect();
                let more = if set.keys().count() > ELEMENTS_MAX { ", …" } else { "" };
                format!("{{ {}{more} }}", keys.join(", "))
            }
            None => format!("@{name}"),
        }
    }
}

fn acted(act: &Act) -> String {
    match act {
        Act::Accept => "accept".to_owned(),
        Act::Drop => "drop".to_owned(),
        Act::Continue => "continue".to_owned(),
        Act::Return => "return".to_owned(),
        Act::Queue => "queue".to_owned(),
        Act::Jump(to) => format!("jump {to}"),
        Act::Goto(to) => format!("goto {to}"),
    }
}

fn name(key: Key) -> &'static str {
    match key {
        Key::Transport(0, 2) => "tcp sport",
        Key::Transport(2, 2) => "tcp dport",
        Key::Transport(13, _) => "tcp flags",
        Key::Network(12, 1..=4) => "ip saddr",
        Key::Network(16, 1..=4) => "ip daddr",
        Key::Network(8, 1..=16) => "ip6 saddr",
        Key::Network(24, 1..=16) => "ip6 daddr",
        Key::Meta(0) => "meta length",
        Key::Meta(1) => "meta protocol",
        Key::Meta(3) => "meta mark",
        Key::Meta(4) => "iif",
        Key::Meta(5) => "oif",
        Key::Meta(6) => "iifname",
        Key::Meta(7) => "oifname",
        Key::Meta(10) => "meta skuid",
        Key::Meta(11) => "meta skgid",
        Key::Meta(15) => "meta nfproto",
        Key::Meta(16) => "meta l4proto",
        Key::Tracked(0) => "ct state",
        Key::Tracked(_) => "ct",
        Key::DestinationKind => "fib daddr type",
        Key::Transport(..) | Key::Network(..) | Key::Meta(_) | Key::Unknown => "…",
    }
}

fn value(key: Key, bytes: &[u8]) -> String {
    let host = || u32_at(bytes, 0).unwrap_or_default();
    match (key, bytes) {
        (Key::Transport(0 | 2, 2), _) => be16_at(bytes, 0).unwrap_or_default().to_string(),
        (Key::Network(12 | 16, length @ 1..=4), _) => {
            let mut four = [0_u8; 4];
            four.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            format!("{}{}", Ipv4Addr::from(four), network(length, 4))
        }
        (Key::Network(8 | 24, length @ 1..=16), _) => {
            let mut six = [0_u8; 16];
            six.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            format!("{}{}", Ipv6Addr::from(six), network(length, 16))
        }
        (Key::Meta(4 | 5), _) if host() == 1 => "lo".to_owned(),
        // A size is compared in network order, a number of a user in that of the machine.
        (Key::Meta(0), [a, b, c, d]) => u32::from_be_bytes([*a, *b, *c, *d]).to_string(),
        (Key::Meta(4 | 5 | 10 | 11), [_, _, _, _]) => host().to_string(),
        (Key::Meta(6 | 7), _) => format!("\"{}\"", name_of(bytes)),
        (Key::Meta(15), [2]) => "ipv4".to_owned(),
        (Key::Meta(15), [10]) => "ipv6".to_owned(),
        (Key::Meta(16), [6]) => "tcp".to_owned(),
        (Key::Meta(16), [number]) => number.to_string(),
        (Key::Tracked(0), [_, _, _, _]) => states(host()),
        _ => hex(bytes),
    }
}

/// The kernel loads only the bytes of an address that a network of whole bytes needs.
fn network(length: usize, whole: usize) -> String {
    if length == whole { String::new() } else { format!("/{}", length * 8) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn states(mask: u32) -> String {
    let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let found: Vec<&str> =
        names.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name).collect();
    found.join(",")
}
