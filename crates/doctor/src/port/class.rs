//! What kind of port a number is: its IANA class, and the range the system lends to clients.

use std::fmt;
use std::ops::RangeInclusive;

/// The three ranges IANA divides the ports into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 0-1023; binding one usually needs a privilege.
    WellKnown,
    /// 1024-49151.
    Registered,
    /// 49152-65535.
    Dynamic,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WellKnown => "well-known (0-1023)",
            Self::Registered => "registered (1024-49151)",
            Self::Dynamic => "dynamic or private (49152-65535)",
        })
    }
}

/// The IANA class of `port`.
#[must_use]
pub fn class(port: u16) -> Class {
    match port {
        0..=1023 => Class::WellKnown,
        1024..=49151 => Class::Registered,
        49152..=65535 => Class::Dynamic,
    }
}

/// The ports this system gives to outgoing connections, or `None` when it does not say.
///
/// Linux is asked; macOS and Windows use 49152-65535 unless an administrator changed it.
#[must_use]
pub fn ephemeral_range() -> Option<RangeInclusive<u16>> {
    if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        read_range(&text)
    } else if cfg!(any(target_os = "macos", windows)) {
        Some(49152..=65535)
    } else {
        None
    }
}

/// The range of [`ephemeral_range`], when `port` is in it and not kept back from being lent.
pub(crate) fn lent_range(port: u16) -> Option<(u16, u16)> {
    let range = ephemeral_range().filter(|range| range.contains(&port))?;
    (!is_reserved(port)).then(|| (*range.start(), *range.end()))
}

/// Whether an administrator kept the port back from being lent to outgoing connections.
fn is_reserved(port: u16) -> bool {
    let list = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
    list.is_ok_and(|list| reserves(&list, port))
}

/// Reads a list such as `8080,9000-9010`.
pub(super) fn reserves(list: &str, port: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&port),
            _ => false,
        }
    })
}

pub(super) fn read_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    let first = numbers.next()?.ok()?;
    let last = numbers.next()?.ok()?;
    (first <= last).then_some(first..=last)
}

/// What a server should say before it binds `port`: one line per reason, usually none.
#[must_use]
pub fn bind_warnings(port: u16) -> Vec<String> {
    warnings(port, ephemeral_range().filter(|_| !is_reserved(port)).as_ref())
}

pub(super) fn warnings(port: u16, ephemeral: Option<&RangeInclusive<u16>>) -> Vec<String> {
    let mut warnings = Vec::new();
    if port != 0 && class(port) == Class::WellKnown {
        warnings.push(format!(
            "port {port} is below 1024, and most systems let only privileged programs bind it"
        ));
    }
    if let Some(range) = ephemeral.filter(|range| range.contains(&port)) {
        warnings.push(format!(
            "port {port} lies in the range this system lends to outgoing connections ({}-{}), so \
             it may be taken by chance",
            range.start(),
            range.end()
        ));
    }
    warnings
}
