//! Linux: routes, rules and interfaces by `NETLINK_ROUTE`, which needs no rights.

use std::net::IpAddr;

use super::{Barrier, Path};
use crate::netlink::bytes::{attribute, text, u32_at, write};
use crate::netlink::{dump, one};

const GET_LINK: u16 = 18;
const GET_ROUTE: u16 = 26;
const GET_RULE: u16 = 34;

/// `struct rtmsg` and `struct fib_rule_hdr` are of one size.
const ROUTE_HEAD: usize = 12;
const LINK_HEAD: usize = 16;

/// Kinds of routes, and actions of rules, that end the way.
const BLACKHOLE: u8 = 6;
const UNREACHABLE: u8 = 7;
const PROHIBIT: u8 = 8;

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(four) => (2, four.octets().to_vec()),
        IpAddr::V6(six) => (10, six.octets().to_vec()),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

pub(super) fn path(to: IpAddr) -> Option<Path> {
    let (family, bytes) = octets(to);
    let bits = u8::try_from(bytes.len() * 8).ok()?;
    let mut question = vec![family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    write(&mut question, 1, &bytes);
    let message = one(None, GET_ROUTE, &question).ok()?;
    let body = message.body.get(ROUTE_HEAD..)?;
    let index = attribute(body, 4).and_then(|value| u32_at(value, 0))?;
    let gateway = attribute(body, 5).and_then(address);
    let links = dump(None, GET_LINK, &[0; LINK_HEAD]).ok()?;
    let link = links.iter().find(|link| u32_at(&link.body, 4) == Some(index))?;
    let link = link.body.get(LINK_HEAD..)?;
    Some(Path {
        interface: attribute(link, 3).map(text)?,
        kind: attribute(link, 18).and_then(|info| attribute(info, 1)).map(text).unwrap_or_default(),
        mtu: attribute(link, 4).and_then(|value| u32_at(value, 0)),
        gateway,
    })
}

/// The flag of an interface that was switched on.
const IS_UP: u32 = 1;

pub(super) fn loopback_is_up() -> Option<bool> {
    let links = dump(None, GET_LINK, &[0; LINK_HEAD]).ok()?;
    let is_lo = |body: &[u8]| {
        let attributes = body.get(LINK_HEAD..)?;
        (attribute(attributes, 3).map(text)? == "lo").then(|| u32_at(body, 8))?
    };
    let flags = links.iter().find_map(|link| is_lo(&link.body))?;
    Some(flags & IS_UP != 0)
}

pub(super) fn barriers(to: IpAddr) -> Vec<Barrier> {
    let (family, _) = octets(to);
    let mut question = vec![family];
    question.resize(ROUTE_HEAD, 0);
    let rows = |kind| dump(None, kind, &question).unwrap_or_default();
    let routes = rows(GET_ROUTE);
    let rules = rows(GET_RULE);
    let routes = routes.iter().filter_map(|row| barrier(&row.body, to, "route"));
    let rules = rules.iter().filter_map(|row| barrier(&row.body, to, "rule"));
    rules.chain(routes).collect()
}

/// A route or rule that ends the way and covers the address.
pub(super) fn barrier(body: &[u8], to: IpAddr, object: &str) -> Option<Barrier> {
    let (family, bits, action) = (*body.first()?, *body.get(1)?, *body.get(7)?);
    let word = match action {
        BLACKHOLE => "blackhole",
        UNREACHABLE => "unreachable",
        PROHIBIT => "prohibit",
        _ => return None,
    };
    let attributes = body.get(ROUTE_HEAD..)?;
    let target = attribute(attributes, 1).and_then(address);
    if !covers(target, bits, to) {
        return None;
    }
    let place = target.map_or_else(
        || if object == "route" { "default".to_owned() } else { "all".to_owned() },
        |target| format!("{target}/{bits}"),
    );
    let table = attribute(attributes, 15).and_then(|value| u32_at(value, 0)).unwrap_or_default();
    let six = if family == 10 { "-6 " } else { "" };
    // The kernel has an unreachable default route of its own where IPv6 has no other.
    if object == "route" && family == 10 && bits == 0 && action == UNREACHABLE {
        return None;
    }
    Some(if object == "route" {
        let table =
            if matches!(table, 0 | 254) { String::new() } else { format!(" table {table}") };
        Barrier {
            text: format!("{word} {place}{table}"),
            removal: format!("sudo ip {six}route del {word} {place}{table}"),
        }
    } else {
        let priority = attribute(attributes, 6).and_then(|value| u32_at(value, 0));
        let priority = priority.unwrap_or_default();
        Barrier {
            text: format!("rule {priority}: to {place} {word}"),
            removal: format!("sudo ip {six}rule del priority {priority}"),
        }
    })
}

/// Whether a network (none is everything) contains an address.
fn covers(network: Option<IpAddr>, bits: u8, address: IpAddr) -> bool {
    let Some(network) = network else { return true };
    let (family, network) = octets(network);
    let (own, address) = octets(address);
    let bit = |bytes: &[u8], at: usize| bytes.get(at / 8).map(|byte| byte >> (7 - at % 8) & 1);
    family == own && (0..usize::from(bits)).all(|at| bit(&network, at) == bit(&address, at))
}

#[cfg(test)]
mod tests {
    use super::{PROHIBIT, barrier, loopback_is_up, path};
    use crate::netlink::bytes::write;

    #[test]
    fn the_way_to_this_machine_is_loopback() {
        let path = path("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(path.interface, "lo");
        assert!(!path.is_tunnel() && path.gateway.is_none());
        assert_eq!(loopback_is_up(), Some(true));
    }

    #[test]
    fn only_a_barrier_that_covers_the_address_counts() {
        let mut row = vec![2, 8, 0, 0, 254, 0, 0, PROHIBIT, 0, 0, 0, 0];
        write(&mut row, 1, &[10, 0, 0, 0]);
        let found = barrier(&row, "10.1.2.3".parse().unwrap(), "route").unwrap();
        assert_eq!(found.removal, "sudo ip route del prohibit 10.0.0.0/8");
        assert_eq!(barrier(&row, "11.1.2.3".parse().unwrap(), "route"), None);
        assert_eq!(barrier(&row, "::1".parse().unwrap(), "route"), None);
        assert_eq!(barrier(&row[..10], "10.1.2.3".parse().unwrap(), "route"), None);
    }
}
