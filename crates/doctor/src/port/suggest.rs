//! Finds free ports by binding them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::ephemeral_range;

/// Ports in 3000-9000 that browsers refuse to open (the Fetch standard's list of bad ports).
const BROWSER_REFUSES: &[u16] =
    &[3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697];

/// Ports developers know by heart, tried before the rest of 3000-9000.
const FAMILIAR: &[u16] = &[8000, 8080, 3000, 5000, 8888, 9000, 4000, 8001, 8081, 3001];

/// Up to `count` ports that are free now, from the neighbourhood of `near` and from 3000-9000.
///
/// The two sources take turns, `near`'s first. Each port was bound on 127.0.0.1 and, where the
/// machine has it, on `::1`, and closed again; ports lent to outgoing connections are left out.
#[must_use]
pub fn suggest(near: u16, count: usize) -> Vec<u16> {
    let lent = ephemeral_range();
    let wanted =
        |port: &u16| *port != near && !lent.as_ref().is_some_and(|range| range.contains(port));
    let around = near.saturating_sub(10).max(1024)..near;
    let mut neighbours = (near..=near.saturating_add(99)).chain(around).filter(wanted);
    let rest = (3000..=9000).filter(|port| !FAMILIAR.contains(port));
    let mut usual = FAMILIAR
        .iter()
        .copied()
        .chain(rest)
        .filter(|port| wanted(port) && !BROWSER_REFUSES.contains(port));
    let mut free = Vec::new();
    while free.len() < count {
        let before = free.len();
        for mut source in [&mut neighbours as &mut dyn Iterator<Item = u16>, &mut usual] {
            let next = Iterator::find(&mut source, |port| !free.contains(port) && is_free(*port));
            free.extend(next.filter(|_| free.len() < count));
        }
        if free.len() == before {
            break;
        }
    }
    free
}

/// Whether `port` can be bound now on both loopback addresses; tries it and lets it go.
#[must_use]
pub fn is_free(port: u16) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, Unsupported};
    let four = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let six = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    // A machine without IPv6 has nothing to lose there.
    let six_free = match six {
        Ok(_) => true,
        Err(error) => {
            matches!(error.kind(), AddrNotAvailable | Unsupported)
                || error.raw_os_error() == Some(97)
        }
    };
    four.is_ok() && six_free
}
