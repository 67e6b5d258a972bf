//! The Windows Subsystem for Linux: whether this is it, and how its network is joined to Windows'.

#[cfg(test)]
mod tests;

use std::path::Path;

/// How the network of WSL 2 is joined to that of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// WSL 1 has no network of its own.
    Shared,
    /// A network behind Windows: its localhost is not Windows'.
    Nat,
    /// The interfaces of Windows, and its localhost.
    Mirrored,
    /// Windows carries connections; its localhost is another.
    Virtio,
    Bridged,
    None,
}

impl Network {
    /// As `.wslconfig` writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared (WSL 1)",
            Self::Nat => "nat",
            Self::Mirrored => "mirrored",
            Self::Virtio => "virtioproxy",
            Self::Bridged => "bridged",
            Self::None => "none",
        }
    }

    /// Whether localhost in here is that of Windows as well.
    pub(crate) fn shares_loopback(self) -> bool {
        matches!(self, Self::Shared | Self::Mirrored)
    }
}

/// What is known of the subsystem this runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wsl {
    pub(crate) network: Network,
    /// What shows it.
    pub(crate) evidence: String,
}

/// Whether this is WSL, by the files below `root`.
pub(crate) fn here(root: &Path) -> Option<Wsl> {
    let version = std::fs::read_to_string(root.join("proc/version")).ok()?;
    let kernel = kernel(&version)?;
    let shown: String = version.split_whitespace().take(3).collect::<Vec<&str>>().join(" ");
    let (network, how) = match kernel {
        Kernel::One => (Network::Shared, "it is WSL 1".to_owned()),
        // The mode in force is seen, the one in the file may be that of the next start.
        Kernel::Two if root.join("sys/class/net/loopback0").exists() => {
            (Network::Mirrored, "the interface loopback0 exists".to_owned())
        }
        Kernel::Two => configured(root)
            .filter(|(network, _)| *network != Network::Mirrored)
            .unwrap_or((Network::Nat, "the interface loopback0 does not exist".to_owned())),
    };
    Some(Wsl { network, evidence: format!("/proc/version says `{shown}`, and {how}") })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    One,
    Two,
}

/// `5.15.153.1-microsoft-standard-WSL2` or `4.4.0-19041-Microsoft`; nothing for other kernels.
fn kernel(version: &str) -> Option<Kernel> {
    let release = version.strip_prefix("Linux version ")?.split_whitespace().next()?;
    let lower = release.to_ascii_lowercase();
    if lower.contains("wsl2") || lower.contains("microsoft-standard") {
        return Some(Kernel::Two);
    }
    // Kernels that users build keep the name of their maker elsewhere, and are of WSL 2.
    release.ends_with("-Microsoft").then_some(Kernel::One)
}

/// The mode in the `.wslconfig` of a user of Windows, whose disk is mounted here.
fn configured(root: &Path) -> Option<(Network, String)> {
    let users = std::fs::read_dir(root.join("mnt/c/Users")).ok()?;
    users.flatten().find_map(|user| {
        let text = std::fs::read_to_string(user.path().join(".wslconfig")).ok()?;
        let network = mode(&text)?;
        Some((network, format!(".wslconfig says networkingMode={}", network.name())))
    })
}

/// `networkingMode` of the section `[wsl2]`.
fn mode(text: &str) -> Option<Network> {
    let mut is_section = false;
    let mut found = None;
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.starts_with('[') {
            is_section = line.to_ascii_lowercase().starts_with("[wsl2]");
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_section) else { continue };
        if name.trim().eq_ignore_ascii_case("networkingMode") {
            let value = value.split('#').next().unwrap_or_default().trim().to_ascii_lowercase();
            found = match value.as_str() {
                "nat" => Some(Network::Nat),
                "mirrored" => Some(Network::Mirrored),
                "virtioproxy" => Some(Network::Virtio),
                "bridged" => Some(Network::Bridged),
                "none" => Some(Network::None),
                _ => None,
            };
        }
    }
    found
}
