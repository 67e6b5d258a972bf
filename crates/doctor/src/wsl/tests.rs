//! Recorded surroundings of WSL, as machines have them.

use std::path::Path;

use super::{Network, here};

const TWO: &str = "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1) \
                   (gcc (GCC) 11.2.0, GNU ld (GNU Binutils) 2.37) #1 SMP 2024";
const ONE: &str = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) (gcc 5.4.0 \
                   (GCC) ) #2311-Microsoft Tue Nov 08 17:09:00 PST 2022";
const OTHER: &str =
    "Linux version 6.8.0-1015-azure (buildd@lcy02) (x86_64-linux-gnu-gcc-13) #17 SMP";

/// What is found with these files below a root.
fn found(files: &[(&str, &str)]) -> Option<Network> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    here(root.path()).map(|wsl| wsl.network)
}

#[test]
fn the_kernel_says_which_subsystem_it_is() {
    assert_eq!(found(&[("proc/version", TWO)]), Some(Network::Nat));
    assert_eq!(found(&[("proc/version", ONE)]), Some(Network::Shared));
    assert_eq!(found(&[("proc/version", OTHER)]), None, "a machine at Microsoft's is no WSL");
    assert_eq!(found(&[]), None);
    assert!(here(Path::new("/no/such/root")).is_none());
}

#[test]
fn the_mode_of_the_network_is_what_is_in_force() {
    let config = "mnt/c/Users/ann/.wslconfig";
    let with = |text| found(&[("proc/version", TWO), (config, text)]);
    assert_eq!(with("[wsl2]\r\nnetworkingMode=virtioproxy\r\n"), Some(Network::Virtio));
    assert_eq!(with("\u{feff}[wsl2]\nNetworkingMode = Bridged # home\n"), Some(Network::Bridged));
    assert_eq!(with("[wsl2]\nnetworkingMode=none\n"), Some(Network::None));
    assert_eq!(with("[experimental]\nnetworkingMode=bridged\n"), Some(Network::Nat));
    // It was written and Windows was not told: the interface of that mode is missing.
    assert_eq!(with("[wsl2]\nnetworkingMode=mirrored\n"), Some(Network::Nat));
    let mirror = "sys/class/net/loopback0/flags";
    let mirrored = found(&[("proc/version", TWO), (mirror, "0x9\n")]);
    assert_eq!(mirrored, Some(Network::Mirrored));
    assert!(mirrored.is_some_and(Network::shares_loopback) && !Network::Nat.shares_loopback());
}
