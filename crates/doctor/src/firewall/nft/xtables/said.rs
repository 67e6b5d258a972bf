//! A rule of the older iptables as `iptables-save` prints it, well enough to be recognised.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    DESTINATION, NAME_BYTES, PART_BYTES, PROTOCOL, Page, SOURCE, VIA_IN, VIA_OUT, opened, part_name,
};
use crate::firewall::nft::expression::{Expression, Reject};
use crate::firewall::nft::legacy;
use crate::netlink::bytes::{text as name_of, u16_at, u32_at};

impl Page<'_> {
    /// The rule in the words of the command that made it.
    pub(super) fn said(&self, entry: &[u8], chain: &str, target: &[u8]) -> String {
        let mut words = vec![format!("-A {chain}")];
        let inversions = entry.get(self.shape.inversions).copied().unwrap_or_default();
        let not = |bit: u8| if inversions & bit != 0 { "! " } else { "" };
        let length = self.shape.address;
        for (place, (flag, bit)) in [("-s", SOURCE), ("-d", DESTINATION)].into_iter().enumerate() {
            let at = |place: usize| entry.get(place * length..(place + 1) * length);
            if let (Some(address), Some(mask)) = (at(place), at(place + 2))
                && mask.iter().any(|byte| *byte != 0)
            {
                let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
                words.push(format!("{}{flag} {}/{bits}", not(bit), address_of(address)));
            }
        }
        for (place, (flag, bit)) in [("-i", VIA_IN), ("-o", VIA_OUT)].into_iter().enumerate() {
            let from = self.shape.interfaces + place * NAME_BYTES;
            let name = entry.get(from..from + NAME_BYTES).map(name_of).unwrap_or_default();
            if !name.is_empty() {
                words.push(format!("{}{flag} {name}", not(bit)));
            }
        }
        match u16_at(entry, self.shape.protocol).unwrap_or_default() {
            0 => {}
            6 => words.push(format!("{}-p tcp", not(PROTOCOL))),
            17 => words.push(format!("{}-p udp", not(PROTOCOL))),
            number => words.push(format!("{}-p {number}", not(PROTOCOL))),
        }
        words.extend(self.matches(entry).into_iter().map(part));
        words.extend(self.goal(target));
        words.join(" ")
    }

    fn goal(&self, target: &[u8]) -> Option<String> {
        let name = part_name(target);
        if !name.is_empty() {
            let (_, _, data) = opened(target);
            let reset =
                matches!(legacy::target(&name, data), Some(Expression::Reject(Reject::Reset)));
            let more = if reset { " --reject-with tcp-reset" } else { "" };
            return Some(format!("-j {name}{more}"));
        }
        let number = u32_at(target, PART_BYTES)?.cast_signed();
        Some(match number {
            -1 => "-j DROP".to_owned(),
            -2 => "-j ACCEPT".to_owned(),
            -4 => "-j QUEUE".to_owned(),
            -5 => "-j RETURN".to_owned(),
            place => format!("-j {}", self.chains.get(&usize::try_from(place).ok()?)?),
        })
    }
}

fn address_of(bytes: &[u8]) -> String {
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(four), _) => Ipv4Addr::from(four).to_string(),
        (_, Ok(six)) => Ipv6Addr::from(six).to_string(),
        _ => String::new(),
    }
}

/// A match in words.
fn part(part: &[u8]) -> String {
    let (name, _, data) = opened(part);
    let read = legacy::of_match(&name, data);
    match read {
        Some(Expression::Ports { source, destination, inverted }) => {
            let mut words = vec![format!("-m {name}")];
            let both = [("--sport", source, 1), ("--dport", destination, 2)];
            for (flag, ports, bit) in both.into_iter().filter(|(_, ports, _)| *ports != (0, 65_535))
            {
                let not = if inverted & bit != 0 { "! " } else { "" };
                words.push(format!("{not}{flag} {}", range(ports)));
            }
            words.join(" ")
        }
        Some(Expression::OneOf { ports, inverted }) => {
            let not = if inverted { "! " } else { "" };
            let list: Vec<String> = ports.into_iter().map(range).collect();
            format!("-m {name} {not}--dports {}", list.join(","))
        }
        Some(Expression::State { mask }) => format!("-m {name} --ctstate {}", states(mask)),
        _ if name == "comment" => format!("-m comment --comment \"{}\"", name_of(data)),
        _ => format!("-m {name}"),
    }
}

fn range((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}:{last}") }
}

fn states(mask: u32) -> String {
    let names = [(1, "INVALID"), (2, "ESTABLISHED"), (4, "RELATED"), (8, "NEW"), (64, "UNTRACKED")];
    let names = names.into_iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| name);
    names.collect::<Vec<_>>().join(",")
}
