//! How each client reads `http_proxy` and `NO_PROXY`: they agree on the names and on little else.

use std::net::{IpAddr, Ipv4Addr};

use crate::request::Environment;

/// A family of clients that read the variables in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Curl,
    /// Python's urllib and httpx.
    Urllib,
    Requests,
    /// Node's axios and its like; `fetch` reads no variable unless it is told to.
    Node,
    Go,
}

const ALL: &[Client] = &[Client::Curl, Client::Urllib, Client::Requests, Client::Node, Client::Go];

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Urllib => "Python urllib and httpx",
            Self::Requests => "Python requests",
            Self::Node => "Node axios",
            Self::Go => "Go",
        }
    }

    /// The variable that sends the client through a proxy, when one does.
    fn proxy(self, environment: &Environment, secure: bool) -> Option<&str> {
        let own = if secure { "https_proxy" } else { "http_proxy" };
        let (name, _) = match self {
            // In capitals it could be set by the header `Proxy:` of a CGI request.
            Self::Curl if !secure => environment.exact("http_proxy"),
            _ => environment.variable(own),
        }
        .or_else(|| match self {
            Self::Go => None,
            _ => environment.variable("all_proxy"),
        })?;
        Some(name)
    }

    /// Whether the client leaves the host out of the proxy by itself or by the list.
    fn spares(self, list: &str, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>().ok();
        // The only one that never sends loopback through a proxy.
        if self == Self::Go
            && (host == "localhost" || address.is_some_and(|address| address.is_loopback()))
        {
            return true;
        }
        if list.trim() == "*" {
            return true;
        }
        let separators: &[char] = if self == Self::Curl { &[',', ' '] } else { &[','] };
        list.split(separators)
            .map(|entry| entry.trim().to_ascii_lowercase())
            .filter(|entry| !entry.is_empty())
            .any(|entry| self.matches(&entry, host, address, port))
    }

    fn matches(self, entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let knows_networks = matches!(self, Self::Curl | Self::Requests | Self::Go);
        if knows_networks
            && let Some(address) = address
            && in_network(entry, address)
        {
            return true;
        }
        let plain = entry.trim_start_matches('[').replace(']', "");
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, digits)) if !plain.contains("::") => (name, digits.parse::<u16>().ok()),
            _ => (plain.as_str(), None),
        };
        if wanted.is_some_and(|wanted| wanted != port) || (wanted.is_some() && self == Self::Curl) {
            return false;
        }
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let starred = matches!(self, Self::Node | Self::Go);
        let name = if starred { name.trim_start_matches('*') } else { name };
        if name == "*" || (starred && name.is_empty()) {
            return true;
        }
        let ending = name.trim_start_matches('.');
        host == ending && (address.is_some() || !name.starts_with('.') || self != Self::Go)
            || address.is_none() && host.ends_with(&format!(".{ending}"))
    }
}

/// Whether an entry such as `127.0.0.0/8` holds the address.
fn in_network(entry: &str, address: IpAddr) -> bool {
    let (IpAddr::V4(address), Some((network, bits))) = (address, entry.split_once('/')) else {
        return false;
    };
    let (Ok(network), Ok(bits @ 0..=32)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>())
    else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

/// Clients that go through a proxy to reach the host, each with the variable that makes it.
pub(crate) fn proxied_clients(
    environment: &Environment,
    (host, port): (&str, u16),
    secure: bool,
) -> Vec<(Client, String)> {
    let host = host.to_ascii_lowercase();
    let list = environment.variable("no_proxy").map_or("", |(_, list)| list);
    ALL.iter()
        .filter_map(|client| {
            let name = client.proxy(environment, secure)?;
            (!client.spares(list, &host, port)).then(|| (*client, name.to_owned()))
        })
        .collect()
}

/// The other clients.
pub(crate) fn direct_clients(proxied: &[(Client, String)]) -> Vec<&'static str> {
    let others = ALL.iter().filter(|one| !proxied.iter().any(|(client, _)| client == *one));
    others.map(|client| client.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Client, proxied_clients};
    use crate::request::Environment;

    fn proxied(variables: &[(&str, &str)], host: &str) -> Vec<Client> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let environment = Environment::from_variables(variables);
        let found = proxied_clients(&environment, (host, 8080), false);
        found.into_iter().map(|(client, _)| client).collect()
    }

    #[test]
    fn each_client_reads_the_variables_in_its_own_way() {
        use Client::{Curl, Go, Node, Requests, Urllib};
        let lower = ("http_proxy", "http://p:1");
        let upper = ("HTTP_PROXY", "http://p:1");
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [Client]);
        let cases: &[Case<'_>] = &[
            // curl does not read HTTP_PROXY in capitals; Go never sends loopback to a proxy.
            (&[upper], "localhost", &[Urllib, Requests, Node]),
            (&[lower], "localhost", &[Curl, Urllib, Requests, Node]),
            (&[upper], "box", &[Urllib, Requests, Node, Go]),
            (&[("ALL_PROXY", "socks5://p:1")], "box", &[Curl, Urllib, Requests, Node]),
            (&[lower, ("NO_PROXY", "localhost")], "localhost", &[]),
            (&[lower, ("NO_PROXY", "localhost")], "127.0.0.1", &[Curl, Urllib, Requests, Node]),
            // A network is understood by some.
            (&[lower, ("no_proxy", "127.0.0.0/8")], "127.0.0.1", &[Urllib, Node]),
            // Spaces separate for curl alone.
            (&[lower, ("no_proxy", "a localhost")], "localhost", &[Urllib, Requests, Node]),
            // A port in the entry is no match for curl, and must be the right one for others.
            (&[lower, ("no_proxy", "localhost:8080")], "localhost", &[Curl]),
            (&[lower, ("no_proxy", "localhost:1")], "localhost", &[Curl, Urllib, Requests, Node]),
            (&[lower, ("no_proxy", "*")], "box", &[]),
            (&[lower, ("no_proxy", "*.corp")], "a.corp", &[Curl, Urllib, Requests]),
            (&[lower, ("no_proxy", ".corp")], "a.corp", &[]),
            (&[lower, ("no_proxy", "[::1]")], "::1", &[]),
        ];
        for (variables, host, expected) in cases {
            assert_eq!(proxied(variables, host), *expected, "{variables:?} {host}");
        }
    }
}
