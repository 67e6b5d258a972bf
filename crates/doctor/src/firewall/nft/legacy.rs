//! Parts of rules that iptables-nft leaves in the form iptables gave them.

use super::expression::{Act, Expression, Reject};
use crate::netlink::bytes::{u16_at, u32_at};

/// Matches of `iptables -m`; `None` for those that cannot be judged from outside.
pub(super) fn of_match(name: &str, info: &[u8]) -> Option<Expression> {
    match name {
        "tcp" => tcp(info),
        "multiport" => multiport(info),
        "conntrack" => conntrack(info),
        "comment" => Some(Expression::Silent),
        _ => None,
    }
}

/// `struct xt_tcp`: source ports, destination ports, option, mask and value of flags, inversions.
fn tcp(info: &[u8]) -> Option<Expression> {
    let port = |at| u16_at(info, at);
    let (option, mask) = (*info.get(8)?, *info.get(9)?);
    // A rule that asks for flags or options cannot be judged here.
    (option == 0 && mask == 0).then_some(())?;
    Some(Expression::Ports {
        source: (port(0)?, port(2)?),
        destination: (port(4)?, port(6)?),
        inverted: *info.get(11)?,
    })
}

/// `struct xt_multiport_v1`: which port, how many, the ports, marks of ranges, inversion.
fn multiport(info: &[u8]) -> Option<Expression> {
    const DESTINATION: u8 = 1;
    (*info.first()? == DESTINATION).then_some(())?;
    let count = usize::from(*info.get(1)?).min(15);
    let mut ports = Vec::new();
    let mut at = 0;
    while at < count {
        let first = u16_at(info, 2 + at * 2)?;
        let is_range = *info.get(32 + at)? != 0;
        let last = if is_range { u16_at(info, 4 + at * 2)? } else { first };
        ports.push((first, last));
        at += if is_range { 2 } else { 1 };
    }
    Some(Expression::OneOf { ports, inverted: *info.get(47)? != 0 })
}

/// `struct xt_conntrack_mtinfo3`, when it asks for nothing but the state.
fn conntrack(info: &[u8]) -> Option<Expression> {
    const STATE: u16 = 1;
    let (wanted, inverted) = (u16_at(info, 146)?, u16_at(info, 148)?);
    let mask = u32::from(u16_at(info, 150)?);
    (wanted == STATE && inverted == 0).then_some(Expression::State { mask })
}

/// Targets of `iptables -j`.
pub(super) fn target(name: &str, info: &[u8]) -> Option<Expression> {
    /// `--reject-with tcp-reset` of IPv4.
    const TCP_RESET: u32 = 7;
    Some(match name {
        "REJECT" => {
            let with = u32_at(info, 0)?;
            Expression::Reject(if with == TCP_RESET { Reject::Reset } else { Reject::Icmp })
        }
        "LOG" | "MARK" | "CONNMARK" | "CT" | "TCPMSS" | "NFLOG" | "CHECKSUM" => Expression::Silent,
        // Where the port stands differs from one form of the structure to the next.
        "REDIRECT" => Expression::Redirect { port: None },
        "DNAT" => Expression::Destination { address: None, port: None },
        "NFQUEUE" => Expression::Verdict(Act::Queue),
        _ => return None,
    })
}
