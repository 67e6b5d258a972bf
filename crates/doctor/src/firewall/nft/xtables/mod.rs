//! Tables of the older iptables, read into the same rules as those of nftables.

mod said;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use native::linux::tables::{Protocol, Table, read};

use super::expression::{Act, Expression, Key, Order};
use super::legacy;
use super::{Chain, Family, Home, Hook, Rule, Ruleset};
use crate::netlink::bytes::{text as name_of, u16_at, u32_at};

/// Where what stands in an entry of a table; both forms differ in the length of addresses.
struct Shape {
    address: usize,
    /// Of the names of interfaces; the masks follow behind both.
    interfaces: usize,
    protocol: usize,
    flags: usize,
    inversions: usize,
    target: usize,
    counters: usize,
    /// Where the matches begin.
    length: usize,
}

const FOUR: Shape = Shape {
    address: 4,
    interfaces: 16,
    protocol: 80,
    flags: 82,
    inversions: 83,
    target: 88,
    counters: 96,
    length: 112,
};
const SIX: Shape = Shape {
    address: 16,
    interfaces: 64,
    protocol: 128,
    flags: 131,
    inversions: 132,
    target: 140,
    counters: 152,
    length: 168,
};

/// Before the data of a match and of a target: its size, its name, its revision.
const PART_BYTES: usize = 32;
const NAME_BYTES: usize = 16;

const VIA_IN: u8 = 0x01;
const VIA_OUT: u8 = 0x02;
const SOURCE: u8 = 0x08;
const DESTINATION: u8 = 0x10;
const PROTOCOL: u8 = 0x40;
/// Of IPv4: later parts of a packet alone. Of IPv6: the protocol is asked for.
const FLAG: u8 = 0x01;
const GOTO: u8 = 0x02;

/// The names of the base chains, in the kernel's order of their hooks.
const BASES: [(&str, Hook); 5] = [
    ("PREROUTING", Hook::Prerouting),
    ("INPUT", Hook::Input),
    ("FORWARD", Hook::Forward),
    ("OUTPUT", Hook::Output),
    ("POSTROUTING", Hook::Postrouting),
];

/// Adds the rules of all tables that this namespace has.
pub(super) fn add(rules: &mut Ruleset) {
    let lists = [
        (Protocol::Four, Family::Ip, "/proc/thread-self/net/ip_tables_names"),
        (Protocol::Six, Family::Ip6, "/proc/thread-self/net/ip6_tables_names"),
    ];
    for (protocol, family, list) in lists {
        // Tables that are not listed would be made by being asked for.
        let names = std::fs::read_to_string(list).unwrap_or_default();
        for name in names.split_whitespace() {
            if let Ok(table) = read(protocol, name) {
                add_table(rules, family, name, &table);
            }
        }
    }
}

/// A table while it is read.
struct Page<'a> {
    shape: &'static Shape,
    home: Home,
    info: &'a [u8],
    entries: &'a [u8],
    /// Chains of the user, by the place of their first rule.
    chains: HashMap<usize, String>,
}

fn add_table(rules: &mut Ruleset, family: Family, name: &str, table: &Table) {
    let shape = if family == Family::Ip6 { &SIX } else { &FOUR };
    let home = Home { family, table: name.to_owned(), is_legacy: true };
    let (info, entries) = (table.info.as_slice(), table.entries.as_slice());
    let mut page = Page { shape, home, info, entries, chains: HashMap::new() };
    let places = page.places();
    for (at, next) in &places {
        if let Some(chain) = page.begins(*at) {
            page.chains.insert(*next, chain);
        }
    }
    let mut chain: Option<String> = None;
    let mut number = 0;
    for (at, next) in places.iter().copied() {
        if let Some(base) = page.base(at) {
            (chain, number) = (Some(base.name.clone()), 0);
            rules.chains.push(base);
        } else if let Some(own) = page.begins(at) {
            // The last entry of all has the same form, and begins nothing.
            let is_chain = page.chains.contains_key(&next) && next < entries.len();
            chain = is_chain.then_some(own.clone());
            number = 0;
            if is_chain {
                let (home, name) = (page.home.clone(), own);
                let none = Chain { home, name, hook: None, drops_by_default: false, is_nat: false };
                rules.chains.push(none);
            }
            continue;
        }
        // The last of a chain is its policy, or the way back out of it.
        let is_last = page.ends(at).is_some() || page.begins(next).is_some();
        if is_last {
            continue;
        }
        if let Some(chain) = &chain {
            number += 1;
            rules.rules.extend(page.rule(at, (chain, number)));
        }
    }
}

impl Page<'_> {
    /// Where each entry begins, and the one behind it.
    fn places(&self) -> Vec<(usize, usize)> {
        let (mut places, mut at) = (Vec::new(), 0);
        while let Some(length) = u16_at(self.entries, at + self.shape.target + 2) {
            let length = usize::from(length);
            if length < self.shape.length {
                break;
            }
            places.push((at, at + length));
            at += length;
        }
        places
    }

    /// The base chain that begins at an entry.
    fn base(&self, at: usize) -> Option<Chain> {
        let hooks = u32_at(self.info, 32)?;
        let (place, (name, hook)) = (0..)
            .zip(BASES)
            .find(|(place, _)| hooks & (1 << place) != 0 && self.hook_at(36, *place) == Some(at))?;
        let last = self.hook_at(56, place)?;
        let drops_by_default = matches!(self.verdict(last), Some(Act::Drop));
        let is_nat = self.home.table == "nat";
        let priority = priority(&self.home.table, hook);
        let (home, name) = (self.home.clone(), name.to_owned());
        Some(Chain { home, name, hook: Some((hook, priority)), drops_by_default, is_nat })
    }

    /// The place in a list of five numbers, one for each hook.
    fn hook_at(&self, list: usize, place: usize) -> Option<usize> {
        usize::try_from(u32_at(self.info, list + place * 4)?).ok()
    }

    /// Whether an entry is the policy of a base chain.
    fn ends(&self, at: usize) -> Option<()> {
        let hooks = u32_at(self.info, 32)?;
        let is_end =
            |place: &usize| hooks & (1 << place) != 0 && self.hook_at(56, *place) == Some(at);
        (0..BASES.len()).find(is_end).map(|_| ())
    }

    /// The name of a chain of the user's, when the entry begins one.
    fn begins(&self, at: usize) -> Option<String> {
        let target = self.target(at)?;
        (part_name(target) == "ERROR")
            .then(|| name_of(target.get(PART_BYTES..).unwrap_or_default()))
    }

    fn target(&self, at: usize) -> Option<&[u8]> {
        let from = at + usize::from(u16_at(self.entries, at + self.shape.target)?);
        let to = at + usize::from(u16_at(self.entries, at + self.shape.target + 2)?);
        self.entries.get(from..to)
    }

    /// What a plain target wants.
    fn verdict(&self, at: usize) -> Option<Act> {
        let target = self.target(at)?;
        if !part_name(target).is_empty() {
            return None;
        }
        let flags = self.entries.get(at + self.shape.flags)?;
        Some(match u32_at(target, PART_BYTES)?.cast_signed() {
            -1 => Act::Drop,
            -2 => Act::Accept,
            -4 => Act::Queue,
            -5 => Act::Return,
            place => {
                let chain = self.chains.get(&usize::try_from(place).ok()?);
                match chain {
                    Some(chain) if flags & GOTO != 0 => Act::Goto(chain.clone()),
                    Some(chain) => Act::Jump(chain.clone()),
                    // A rule without a target goes on with the next one.
                    None => Act::Continue,
                }
            }
        })
    }

    fn rule(&self, at: usize, (chain, number): (&str, u64)) -> Option<Rule> {
        let entry = self.entries.get(at..)?;
        let mut expressions = self.conditions(entry)?;
        for part in self.matches(entry) {
            expressions.push(matched(part));
        }
        let counter = self.shape.counters;
        let packets = entry.get(counter..)?.first_chunk::<8>()?;
        expressions.push(Expression::Counter { packets: u64::from_ne_bytes(*packets) });
        let target = self.target(at)?;
        match self.verdict(at) {
            Some(act) => expressions.push(Expression::Verdict(act)),
            None => expressions.extend(wanted(target)),
        }
        let said = self.said(entry, chain, target);
        let (home, chain) = (self.home.clone(), chain.to_owned());
        Some(Rule { home, chain, handle: number, expressions, said: Some(said) })
    }

    /// The matches of an entry, each with its head.
    fn matches<'e>(&self, entry: &'e [u8]) -> Vec<&'e [u8]> {
        let end = u16_at(entry, self.shape.target).map(usize::from).unwrap_or_default();
        let (mut parts, mut at) = (Vec::new(), self.shape.length);
        while at < end {
            let size = u16_at(entry, at).map(usize::from).unwrap_or_default();
            match entry.get(at..at + size) {
                Some(part) if size >= PART_BYTES => parts.push(part),
                _ => break,
            }
            at += size;
        }
        parts
    }

    /// What the entry itself asks of addresses, interfaces and protocol.
    fn conditions(&self, entry: &[u8]) -> Option<Vec<Expression>> {
        let shape = self.shape;
        let inverted = |bit: u8| entry.get(shape.inversions).is_some_and(|bits| bits & bit != 0);
        let flags = *entry.get(shape.flags)?;
        let is_six = self.home.family == Family::Ip6;
        let mut found = Vec::new();
        // In the header the source stands behind twelve bytes, or behind eight.
        let first = if is_six { 8 } else { 12 };
        for (place, bit) in [(0, SOURCE), (1, DESTINATION)] {
            let at = |place: usize| {
                let from = place * shape.address;
                entry.get(from..from + shape.address)
            };
            let (address, mask) = (at(place)?, at(place + 2)?);
            let key = Key::Network(first + place * shape.address, shape.address);
            found.extend(under(key, (address, mask), inverted(bit)));
        }
        for (place, (bit, key)) in [(VIA_IN, 6), (VIA_OUT, 7)].into_iter().enumerate() {
            let at = |place: usize| {
                let from = shape.interfaces + place * NAME_BYTES;
                entry.get(from..from + NAME_BYTES)
            };
            let (name, mask) = (at(place)?, at(place + 2)?);
            found.extend(under(Key::Meta(key), (name, mask), inverted(bit)));
        }
        let protocol = u16_at(entry, shape.protocol)?;
        if protocol != 0 && (!is_six || flags & FLAG != 0) {
            let order = if inverted(PROTOCOL) { Order::Differs } else { Order::Equal };
            let value = vec![u8::try_from(protocol).unwrap_or_default()];
            found.push(Expression::Load { to: 1, key: Key::Meta(16) });
            found.push(Expression::Compare { from: 1, order, value });
        }
        if !is_six && flags & FLAG != 0 {
            found.push(Expression::Perhaps("fragment".to_owned()));
        }
        Some(found)
    }
}

/// A key under a mask is a value, or is none.
fn under(key: Key, (value, mask): (&[u8], &[u8]), inverted: bool) -> Vec<Expression> {
    if mask.iter().all(|byte| *byte == 0) {
        return Vec::new();
    }
    let order = if inverted { Order::Differs } else { Order::Equal };
    let value = value.iter().zip(mask).map(|(byte, mask)| byte & mask).collect();
    let (mask, xor) = (mask.to_vec(), vec![0; mask.len()]);
    vec![
        Expression::Load { to: 1, key },
        Expression::Mask { from: 1, to: 1, mask, xor },
        Expression::Compare { from: 1, order, value },
    ]
}

fn part_name(part: &[u8]) -> String {
    name_of(part.get(2..PART_BYTES - 1).unwrap_or_default())
}

/// Name, revision and data of a match or a target.
fn opened(part: &[u8]) -> (String, u8, &[u8]) {
    let revision = part.get(PART_BYTES - 1).copied().unwrap_or_default();
    (part_name(part), revision, part.get(PART_BYTES..).unwrap_or_default())
}

fn matched(part: &[u8]) -> Expression {
    let (name, revision, data) = opened(part);
    let known = match (name.as_str(), revision) {
        ("state", 0) => u32_at(data, 0).map(|mask| Expression::State { mask }),
        ("tcp", 0) | ("multiport", 1) | ("conntrack", 3) | ("comment", _) => {
            legacy::of_match(&name, data)
        }
        _ => None,
    };
    known.unwrap_or(Expression::Perhaps(name))
}

/// What a target with a name wants.
fn wanted(target: &[u8]) -> Vec<Expression> {
    /// The flag of a range that names ports.
    const NAMES_PORTS: u32 = 2;
    let (name, revision, data) = opened(target);
    // `struct nf_nat_ipv4_multi_range_compat`: count, flags, two addresses, two ports.
    let port = u32_at(data, 4).filter(|flags| flags & NAMES_PORTS != 0);
    let port = port.and_then(|_| data.get(16..18)).filter(|_| revision == 0);
    match (name.as_str(), port) {
        ("REDIRECT", Some(port)) => vec![
            Expression::Value { to: 2, value: port.to_vec() },
            Expression::Redirect { port: Some(2) },
        ],
        ("DNAT", Some(port)) => vec![
            Expression::Value { to: 2, value: port.to_vec() },
            Expression::Destination { address: None, port: Some(2) },
        ],
        _ => vec![legacy::target(&name, data).unwrap_or(Expression::Perhaps(name))],
    }
}

/// The order in which the kernel asks tables at one hook.
fn priority(table: &str, hook: Hook) -> i32 {
    match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    }
}
