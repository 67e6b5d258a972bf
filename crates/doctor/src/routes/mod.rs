//! The way packets take to an address: interface, table, and what forbids it; read, never changed.

#[cfg(target_os = "linux")]
mod linux;

use std::net::IpAddr;

/// The way to an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// The interface packets leave by.
    pub(crate) interface: String,
    /// What it is: `tun`, `wireguard`, `bridge`; empty for a plain one.
    pub(crate) kind: String,
    /// The largest packet it takes.
    pub(crate) mtu: Option<u32>,
    pub(crate) gateway: Option<IpAddr>,
}

impl Path {
    /// Whether the interface is the end of a tunnel, as VPNs have it.
    pub(crate) fn is_tunnel(&self) -> bool {
        let kinds = ["tun", "wireguard", "ppp", "xfrm", "vti", "vti6", "gre", "ipip", "sit"];
        let names = ["tun", "tap", "wg", "ppp", "utun", "ipsec", "tailscale", "nordlynx"];
        kinds.contains(&self.kind.as_str())
            || names.iter().any(|name| self.interface.starts_with(name))
    }
}

/// A route or a rule that forbids the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// As `ip` prints it: `prohibit 10.0.0.0/8`.
    pub(crate) text: String,
    /// The command that takes it away.
    pub(crate) removal: String,
}

/// The way to an address; `None` when there is none, or this system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn path(to: IpAddr) -> Option<Path> {
    linux::path(to)
}

/// Routes and rules that forbid the way to an address.
#[cfg(target_os = "linux")]
pub(crate) fn barriers(to: IpAddr) -> Vec<Barrier> {
    linux::barriers(to)
}

/// Whether the loopback interface is switched on; `None` where this system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn loopback_is_up() -> Option<bool> {
    linux::loopback_is_up()
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn loopback_is_up() -> Option<bool> {
    None
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn path(_to: IpAddr) -> Option<Path> {
    None
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn barriers(_to: IpAddr) -> Vec<Barrier> {
    Vec::new()
}
