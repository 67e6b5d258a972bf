//! From the hosts of the configuration to the addresses to bind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The address.
    pub(crate) address: IpAddr,
    /// What the user wrote.
    pub(crate) host: String,
    /// The machine may not have this address: a missing IPv6 is no error then.
    pub(crate) optional: bool,
}

/// The addresses that `hosts` stand for, without repetition, IPv4 first where a host is both.
///
/// # Errors
/// A name that cannot be resolved, in words for the user.
pub(crate) async fn addresses(hosts: &[String]) -> Result<Vec<Wanted>, String> {
    let mut found: Vec<Wanted> = Vec::new();
    for host in hosts {
        for (address, optional) in of_host(host).await? {
            if !found.iter().any(|known| known.address == address) {
                found.push(Wanted { address, host: host.clone(), optional });
            }
        }
    }
    if found.is_empty() {
        return Err("`server.host` names no address: write `localhost` for this machine".to_owned());
    }
    Ok(found)
}

async fn of_host(host: &str) -> Result<Vec<(IpAddr, bool)>, String> {
    let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
    let both = |four: Ipv4Addr, six: Ipv6Addr| {
        // Two sockets instead of one for both: tools then show the IPv4 line people look for.
        vec![(IpAddr::V4(four), false), (IpAddr::V6(six), true)]
    };
    match bare.to_ascii_lowercase().as_str() {
        "localhost" => return Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        "::" | "*" => return Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        _ => {}
    }
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![(address, false)]);
    }
    let resolved = tokio::net::lookup_host((bare, 0)).await.map_err(|error| {
        format!(
            "cannot listen on `{host}`: the name has no address ({error}); write an address of \
             this machine, or `localhost`"
        )
    })?;
    Ok(resolved.map(|socket| (socket.ip(), false)).collect())
}

/// Whether somebody on another machine could connect to `address`.
pub(crate) fn is_exposed(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

/// The addresses this machine has, where the system says so (Linux), for the user to choose from.
pub(crate) fn of_this_machine() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = four(&read("/proc/net/fib_trie"));
    found.extend(six(&read("/proc/net/if_inet6")));
    found
}

/// Lines `|-- 192.0.2.1` that are followed by `/32 host LOCAL`.
fn four(trie: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last: Option<IpAddr> = None;
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = last
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// Lines that begin with 32 hexadecimal digits.
fn six(table: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let digits = line.split_whitespace().next().filter(|digits| digits.len() == 32)?;
        Some(IpAddr::V6(u128::from_str_radix(digits, 16).ok()?.into()))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::{addresses, four, of_this_machine, six};

    #[tokio::test]
    async fn hosts_become_addresses_with_both_families_where_a_name_is_both() {
        let check = async |host: &str| {
            let hosts = [host.to_owned()];
            let found = addresses(&hosts).await.unwrap();
            found.iter().map(|wanted| wanted.address.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(check("localhost").await, "127.0.0.1 ::1");
        assert_eq!(check("127.0.0.1").await, "127.0.0.1");
        assert_eq!(check("[::1]").await, "::1");
        assert_eq!(check("0.0.0.0").await, "0.0.0.0");
        assert_eq!(check("::").await, "0.0.0.0 ::");
        let twice = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        assert_eq!(addresses(&twice).await.unwrap().len(), 2);
        assert!(addresses(&[]).await.is_err());
    }

    #[test]
    fn the_tables_of_linux_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        \
                    /32 link BROADCAST\n";
        assert_eq!(four(trie), ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(six(table), ["::1".parse::<std::net::IpAddr>().unwrap()]);
        if cfg!(target_os = "linux") {
            assert!(of_this_machine().contains(&"127.0.0.1".parse().unwrap()));
        }
    }
}
