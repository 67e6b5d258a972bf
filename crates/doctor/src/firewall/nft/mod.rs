//! The kernel's packet filter: nftables (rules of iptables-nft are in it), and the older iptables.

mod expression;
mod legacy;
mod packet;
mod registers;
mod set;
mod text;
mod walk;
mod xtables;

#[cfg(test)]
mod tests;

use std::io;

use rustix::net::netlink::NETFILTER;

use crate::netlink::bytes::{attribute, attributes, be32_at, be64_at, text as name_of, write};
use crate::netlink::{Message, dump};

pub(super) use packet::Flow;
pub(super) use walk::{Suspect, suspects};

use expression::Expression;
use set::Set;

/// The part of netfilter that holds nftables.
const SUBSYSTEM: u16 = 10 << 8;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const GET_RULE: u16 = SUBSYSTEM | 7;
const GET_SET: u16 = SUBSYSTEM | 10;
const GET_ELEMENTS: u16 = SUBSYSTEM | 13;

/// Every netfilter message begins with its family and three more bytes.
const GENERIC: usize = 4;

/// Limit: sets whose elements are asked for.
const SETS_MAX: usize = 500;

/// A family of tables, as nft writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Inet,
    Ip,
    Ip6,
    /// Bridges, ARP and devices: nothing on the way of a local connection.
    Other,
}

impl Family {
    fn read(number: u8) -> Self {
        match number {
            1 => Self::Inet,
            2 => Self::Ip,
            10 => Self::Ip6,
            _ => Self::Other,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Other => "other",
        }
    }
}

/// A table's place for chains and sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) family: Family,
    pub(super) table: String,
    /// Whether the older iptables keeps it, and not nftables.
    pub(super) is_legacy: bool,
}

impl Home {
    fn new(family: Family, table: String) -> Self {
        Self { family, table, is_legacy: false }
    }
}

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// A list of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    home: Home,
    name: String,
    /// Hook and priority of a base chain.
    hook: Option<(Hook, i32)>,
    drops_by_default: bool,
    is_nat: bool,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    home: Home,
    chain: String,
    /// The kernel's number of it; of the older iptables, its number in the chain.
    handle: u64,
    expressions: Vec<Expression>,
    /// How the older iptables prints it.
    said: Option<String>,
}

/// Everything the kernel filters by.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    chains: Vec<Chain>,
    rules: Vec<Rule>,
    sets: Vec<Set>,
}

impl Ruleset {
    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }
}

/// Reads the whole rule set of this network namespace, that of the older iptables included.
///
/// # Errors
/// `PermissionDenied` without root.
pub(super) fn read() -> io::Result<Ruleset> {
    let mut rules = match read_nftables() {
        Ok(rules) => rules,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        // A kernel without nftables has no such rules.
        Err(_) => Ruleset::default(),
    };
    xtables::add(&mut rules);
    Ok(rules)
}

fn read_nftables() -> io::Result<Ruleset> {
    let ask = |kind| dump(Some(NETFILTER), kind, &[0; GENERIC]);
    let chains = ask(GET_CHAIN)?.iter().filter_map(chain).collect::<Vec<_>>();
    if chains.is_empty() {
        return Ok(Ruleset::default());
    }
    let rules = ask(GET_RULE)?.iter().filter_map(rule).collect();
    let mut sets: Vec<Set> = ask(GET_SET)?.iter().filter_map(set_of).collect();
    for set in sets.iter_mut().take(SETS_MAX) {
        set.add(elements(set)?.iter().filter_map(list));
    }
    Ok(Ruleset { chains, rules, sets })
}

fn head(message: &Message) -> Option<(Family, &[u8])> {
    Some((Family::read(*message.body.first()?), message.body.get(GENERIC..)?))
}

fn named(body: &[u8], kind: u16) -> Option<String> {
    attribute(body, kind).map(name_of)
}

fn chain(message: &Message) -> Option<Chain> {
    let (family, body) = head(message)?;
    let hook = attribute(body, 4).and_then(|hook| {
        let number = be32_at(attribute(hook, 1)?, 0)?;
        let priority = be32_at(attribute(hook, 2)?, 0)?.cast_signed();
        let hook = match number {
            0 => Hook::Prerouting,
            1 => Hook::Input,
            2 => Hook::Forward,
            3 => Hook::Output,
            4 => Hook::Postrouting,
            _ => return None,
        };
        Some((hook, priority))
    });
    Some(Chain {
        home: Home::new(family, named(body, 1)?),
        name: named(body, 3)?,
        hook,
        drops_by_default: attribute(body, 5).and_then(|value| be32_at(value, 0)) == Some(0),
        is_nat: named(body, 7).as_deref() == Some("nat"),
    })
}

fn rule(message: &Message) -> Option<Rule> {
    let (family, body) = head(message)?;
    let expressions = attribute(body, 4).unwrap_or_default();
    Some(Rule {
        home: Home::new(family, named(body, 1)?),
        chain: named(body, 2)?,
        handle: attribute(body, 3).and_then(|value| be64_at(value, 0))?,
        expressions: attributes(expressions)
            .filter_map(|(_, one)| {
                let data = attribute(one, 2).unwrap_or_default();
                Some(Expression::read(&named(one, 1)?, data))
            })
            .collect(),
        said: None,
    })
}

fn set_of(message: &Message) -> Option<Set> {
    let (family, body) = head(message)?;
    let flags = attribute(body, 3).and_then(|value| be32_at(value, 0)).unwrap_or_default();
    let size = attribute(body, 5).and_then(|value| be32_at(value, 0)).unwrap_or_default();
    let home = Home::new(family, named(body, 1)?);
    Some(Set::new(home, named(body, 2)?, flags, usize::try_from(size).unwrap_or_default()))
}

/// Asks for the elements of one set.
fn elements(set: &Set) -> io::Result<Vec<Message>> {
    let family = match set.home.family {
        Family::Inet => 1,
        Family::Ip => 2,
        Family::Ip6 => 10,
        Family::Other => return Ok(Vec::new()),
    };
    let mut question = vec![family, 0, 0, 0];
    write(&mut question, 1, &ended(&set.home.table));
    write(&mut question, 2, &ended(&set.name));
    dump(Some(NETFILTER), GET_ELEMENTS, &question)
}

fn ended(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn list(message: &Message) -> Option<&[u8]> {
    attribute(head(message)?.1, 3)
}
