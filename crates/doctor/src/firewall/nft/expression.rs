//! The parts of a rule: what it loads, compares and does.

use super::legacy;
use crate::netlink::bytes::{attribute, be32_at, be64_at, text as name_of};

/// How a comparison must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Differs,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A value that is loaded into a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `meta`, with the kernel's number of the key.
    Meta(u32),
    /// `ct`, with the kernel's number of the key.
    Tracked(u32),
    /// Bytes of the network header: offset and length.
    Network(usize, usize),
    /// Bytes of the transport header: offset and length.
    Transport(usize, usize),
    /// The kind of the destination address.
    DestinationKind,
    /// Anything a look from outside cannot know.
    Unknown,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Accept,
    Drop,
    Continue,
    Return,
    Jump(String),
    Goto(String),
    /// Handed to a program.
    Queue,
}

/// How a rejection is told to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reject {
    Reset,
    Icmp,
}

/// One part of a rule; a register is the kernel's number of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Load {
        to: u32,
        key: Key,
    },
    Compare {
        from: u32,
        order: Order,
        value: Vec<u8>,
    },
    Range {
        from: u32,
        inside: bool,
        first: Vec<u8>,
        last: Vec<u8>,
    },
    Mask {
        from: u32,
        to: u32,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Swap {
        from: u32,
        to: u32,
        length: usize,
        size: usize,
    },
    Lookup {
        from: u32,
        to: Option<u32>,
        set: String,
        inside: bool,
    },
    Value {
        to: u32,
        value: Vec<u8>,
    },
    Verdict(Act),
    Reject(Reject),
    Redirect {
        port: Option<u32>,
    },
    Destination {
        address: Option<u32>,
        port: Option<u32>,
    },
    Counter {
        packets: u64,
    },
    /// Ports a rule of iptables wants: first and last, of the source and of the destination.
    Ports {
        source: (u16, u16),
        destination: (u16, u16),
        inverted: u8,
    },
    /// Ranges of destination ports a rule of iptables wants, and whether it wants all others.
    OneOf {
        ports: Vec<(u16, u16)>,
        inverted: bool,
    },
    /// States of the connection a rule of iptables wants, as bits.
    State {
        mask: u32,
    },
    /// Says nothing about where the packet goes.
    Silent,
    /// Matches sometimes, or by what cannot be known from outside.
    Perhaps(String),
}

fn number(data: &[u8], kind: u16) -> Option<u32> {
    be32_at(attribute(data, kind)?, 0)
}

fn value(data: &[u8], kind: u16) -> Option<Vec<u8>> {
    attribute(attribute(data, kind)?, 1).map(<[u8]>::to_vec)
}

fn size(data: &[u8], kind: u16) -> Option<usize> {
    usize::try_from(number(data, kind)?).ok()
}

impl Expression {
    /// Reads a part; what is not known is [`Self::Perhaps`].
    pub(super) fn read(name: &str, data: &[u8]) -> Self {
        Self::known(name, data).unwrap_or_else(|| Self::Perhaps(name.to_owned()))
    }

    fn known(name: &str, data: &[u8]) -> Option<Self> {
        Some(match name {
            "meta" => match (number(data, 1), number(data, 3)) {
                (Some(to), _) => Self::Load { to, key: Key::Meta(number(data, 2)?) },
                (None, Some(_)) => Self::Silent,
                (None, None) => return None,
            },
            "payload" => match number(data, 1) {
                Some(to) => Self::Load { to, key: payload(data)? },
                None => Self::Silent,
            },
            "ct" => match number(data, 1) {
                Some(to) => Self::Load { to, key: Key::Tracked(number(data, 2)?) },
                None => Self::Silent,
            },
            "fib" => Self::Load { to: number(data, 1)?, key: fib(data) },
            "cmp" => Self::Compare {
                from: number(data, 1)?,
                order: order(number(data, 2)?)?,
                value: value(data, 3)?,
            },
            "range" => Self::Range {
                from: number(data, 1)?,
                inside: number(data, 2)? == 0,
                first: value(data, 3)?,
                last: value(data, 4)?,
            },
            "bitwise" if number(data, 6).unwrap_or_default() == 0 => Self::Mask {
                from: number(data, 1)?,
                to: number(data, 2)?,
                mask: value(data, 4)?,
                xor: value(data, 5)?,
            },
            "byteorder" => Self::Swap {
                from: number(data, 1)?,
                to: number(data, 2)?,
                length: size(data, 4)?,
                size: size(data, 5)?,
            },
            "lookup" => Self::Lookup {
                set: name_of(attribute(data, 1)?),
                from: number(data, 2)?,
                to: number(data, 3),
                inside: number(data, 5).unwrap_or_default() & 1 == 0,
            },
            "immediate" => immediate(data)?,
            "reject" => {
                Self::Reject(if number(data, 1)? == 1 { Reject::Reset } else { Reject::Icmp })
            }
            "redir" => Self::Redirect { port: number(data, 1) },
            "nat" if number(data, 1)? == 1 => {
                Self::Destination { address: number(data, 3), port: number(data, 5) }
            }
            "counter" => Self::Counter { packets: be64_at(attribute(data, 2)?, 0)? },
            "nat" | "masq" | "log" | "notrack" | "objref" | "ct_timeout" | "flow_offload"
            | "dup" | "last" | "dynset" => Self::Silent,
            "queue" => Self::Verdict(Act::Queue),
            "match" => legacy::of_match(&name_of(attribute(data, 1)?), attribute(data, 3)?)?,
            "target" => legacy::target(&name_of(attribute(data, 1)?), attribute(data, 3)?)?,
            "numgen" | "hash" | "socket" | "osf" | "rt" | "exthdr" | "tunnel" | "xfrm" => {
                Self::Load { to: number(data, 1)?, key: Key::Unknown }
            }
            _ => return None,
        })
    }
}

fn payload(data: &[u8]) -> Option<Key> {
    let (offset, length) = (size(data, 3)?, size(data, 4)?);
    Some(match number(data, 2)? {
        1 => Key::Network(offset, length),
        2 => Key::Transport(offset, length),
        _ => Key::Unknown,
    })
}

/// `fib daddr type`: result 3 is the kind of an address, flag 2 the destination.
fn fib(data: &[u8]) -> Key {
    match (number(data, 2), number(data, 3)) {
        (Some(3), Some(flags)) if flags & 2 != 0 => Key::DestinationKind,
        _ => Key::Unknown,
    }
}

fn order(number: u32) -> Option<Order> {
    [Order::Equal, Order::Differs, Order::Less, Order::AtMost, Order::More, Order::AtLeast]
        .get(usize::try_from(number).ok()?)
        .copied()
}

fn immediate(data: &[u8]) -> Option<Expression> {
    let content = attribute(data, 2)?;
    if let Some(verdict) = attribute(content, 2) {
        return Some(Expression::Verdict(act(verdict)?));
    }
    let to = number(data, 1)?;
    Some(Expression::Value { to, value: attribute(content, 1)?.to_vec() })
}

/// A verdict: the kernel's code, and the chain of a jump.
pub(super) fn act(verdict: &[u8]) -> Option<Act> {
    let chain = || attribute(verdict, 2).map(name_of);
    Some(match number(verdict, 1)?.cast_signed() {
        0 => Act::Drop,
        1 => Act::Accept,
        -1 => Act::Continue,
        -3 => Act::Jump(chain()?),
        -4 => Act::Goto(chain()?),
        -5 => Act::Return,
        code if code & 0xff == 3 => Act::Queue,
        _ => return None,
    })
}
