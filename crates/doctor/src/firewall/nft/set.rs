//! Sets and maps: what a rule looks up.

use super::Home;
use super::expression::{Act, act};
use super::packet::Bytes;
use super::registers::{Holds, all};
use crate::netlink::bytes::{attribute, attributes, be32_at};

const INTERVAL: u32 = 4;

/// A flag of an element: the end of the interval before it.
const ENDS: u32 = 1;
/// A flag of an element: it stands for all others.
const CATCHES_ALL: u32 = 2;

/// What a map gives for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mapped {
    Nothing,
    Value(Vec<u8>),
    Verdict(Act),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    key: Vec<u8>,
    /// The last key of the range, where elements carry it themselves.
    last: Option<Vec<u8>>,
    flags: u32,
    mapped: Mapped,
}

/// A set or a map of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) home: Home,
    pub(super) name: String,
    /// Bytes of a key.
    pub(super) size: usize,
    is_interval: bool,
    elements: Vec<Element>,
}

impl Set {
    pub(super) fn new(home: Home, name: String, flags: u32, size: usize) -> Self {
        Self { home, name, size, is_interval: flags & INTERVAL != 0, elements: Vec::new() }
    }

    /// Takes in lists of elements.
    pub(super) fn add<'a>(&mut self, lists: impl Iterator<Item = &'a [u8]>) {
        self.elements.extend(lists.flat_map(attributes).filter_map(|(_, one)| element(one)));
        // Where one interval ends and the next begins, the end comes first.
        self.elements.sort_by_key(|one| (one.key.clone(), one.flags & ENDS == 0));
    }

    /// The keys in it, for people: the first ones.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().filter(|one| one.flags & ENDS == 0).map(|one| one.key.as_slice())
    }

    /// Whether a key is in it, and what it is mapped to.
    pub(super) fn find(&self, key: &Bytes) -> (Holds, Mapped) {
        let Some(key) = all(key) else { return (Holds::Perhaps, Mapped::Nothing) };
        let others = self.elements.iter().find(|one| one.flags & CATCHES_ALL != 0);
        match self.exact(&key).or(others) {
            Some(found) => (Holds::Yes, found.mapped.clone()),
            None => (Holds::No, Mapped::Nothing),
        }
    }

    fn exact(&self, key: &[u8]) -> Option<&Element> {
        let known = self.elements.iter().filter(|one| one.flags & CATCHES_ALL == 0);
        if self.elements.iter().any(|one| one.last.is_some()) {
            let mut own = known.filter(|one| one.flags & ENDS == 0);
            return own.find(|one| {
                let last = one.last.as_deref().unwrap_or(&one.key);
                parts(key, &one.key, last).all(|inside| inside)
            });
        }
        if !self.is_interval {
            let mut own = known;
            return own.find(|one| one.key == key);
        }
        // An interval goes from its element to the next one that ends it.
        let before = known.rev().find(|one| one.key.as_slice() <= key)?;
        (before.flags & ENDS == 0).then_some(before)
    }
}

/// Ranges of joined keys are ranges of each four bytes.
fn parts<'a>(key: &'a [u8], first: &'a [u8], last: &'a [u8]) -> impl Iterator<Item = bool> + 'a {
    let keys = key.chunks(4);
    keys.zip(first.chunks(4).zip(last.chunks(4)))
        .map(|(key, (first, last))| first <= key && key <= last)
}

fn element(one: &[u8]) -> Option<Element> {
    let flags = attribute(one, 3).and_then(|value| be32_at(value, 0)).unwrap_or_default();
    let key = match attribute(one, 1) {
        Some(key) => attribute(key, 1)?.to_vec(),
        None if flags & CATCHES_ALL != 0 => Vec::new(),
        None => return None,
    };
    let last = attribute(one, 10).and_then(|key| Some(attribute(key, 1)?.to_vec()));
    let mapped = match attribute(one, 2) {
        Some(data) => match (attribute(data, 1), attribute(data, 2)) {
            (Some(value), _) => Mapped::Value(value.to_vec()),
            (None, Some(verdict)) => act(verdict).map_or(Mapped::Nothing, Mapped::Verdict),
            (None, None) => Mapped::Nothing,
        },
        None => Mapped::Nothing,
    };
    Some(Element { key, last, flags, mapped })
}
