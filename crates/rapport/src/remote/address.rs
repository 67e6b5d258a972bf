//! The address of a server: scheme, host, port and the path it is mounted at.

use std::fmt;
use std::net::IpAddr;

use doctor::port::{self, LogicalMap, Place};
use doctor::target::{Scheme, Target};

use super::failure::{Class, Failure};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// HTTP over TLS.
    pub(crate) tls: bool,
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    /// The real port.
    pub(crate) port: u16,
    /// Empty, or the path the server is mounted at, without a slash at its end.
    pub(crate) path: String,
}

/// How ports are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Numbers that are names for real ports are refused.
    pub(crate) strict: bool,
    /// Those numbers.
    pub(crate) logical: &'a LogicalMap,
}

impl Address {
    /// This machine's server at `port`, by whichever loopback address answers.
    pub(crate) fn local(port: u16) -> Self {
        Self { tls: false, host: "localhost".to_owned(), port, path: String::new() }
    }

    /// Reads a URL, `host:port`, a bare port or a bare host. The text beside it is a warning.
    ///
    /// # Errors
    /// [`Class::Usage`] for text that is no address, [`Class::InvalidPort`] for a port that is
    /// none.
    pub(crate) fn parse(text: &str, rules: Rules<'_>) -> Result<(Self, Option<String>), Failure> {
        let target = Target::parse(text)
            .map_err(|bad| Failure::new(Class::Usage, bad.sentence).hint(bad.fix))?;
        let tls = match target.scheme {
            None | Some(Scheme::Http) => false,
            Some(Scheme::Https) => true,
            Some(other) => {
                let text = format!("commands speak HTTP, not `{}`", other.name());
                return Err(Failure::new(Class::Usage, text)
                    .hint("write the address as http://HOST:PORT or https://HOST:PORT"));
            }
        };
        // The doctor leaves out what may be a secret; so does everything made from this.
        let place = Place::Url(target.to_string());
        let (port, warning) = match &target.port {
            Some(text) => read_port(text, place, rules)?,
            None => (target.scheme.and_then(Scheme::default_port).unwrap_or(port::HOME), None),
        };
        let path = target.path.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok((Self { tls, host: target.host, port, path }, warning))
    }

    /// The address of a loopback interface, or a name that cannot be anything else.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.trim_end_matches('.').to_ascii_lowercase();
        let named = host == "localhost" || host.ends_with(".localhost");
        named || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// `localhost:61900`: what goes into the `Host` header and after `rapport doctor`.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            // A zone is of this machine only and no part of a URL.
            let host = self.host.split('%').next().unwrap_or(&self.host);
            format!("[{host}]:{}", self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// Reads a port a client can connect to.
///
/// # Errors
/// [`Class::InvalidPort`], with the verdict of the doctor.
pub(crate) fn read_port(
    text: &str,
    place: Place,
    rules: Rules<'_>,
) -> Result<(u16, Option<String>), Failure> {
    let refused = |invalid: port::InvalidPort| {
        Failure::new(Class::InvalidPort, invalid.to_string())
            .hint(format!("rapport doctor {}", invalid.value))
    };
    let found = port::resolve(text, place.clone(), rules.strict, rules.logical).map_err(refused)?;
    let port = port::for_client(found.port, place).map_err(refused)?;
    Ok((port, found.warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, strict: bool) -> Result<(Address, Option<String>), Failure> {
        Address::parse(text, Rules { strict, logical: &LogicalMap::default() })
    }

    #[test]
    fn every_way_to_write_an_address_is_understood() {
        for (text, url) in [
            ("localhost:7000", "http://localhost:7000"),
            ("7000", "http://localhost:7000"),
            ("host.example", "http://host.example:61900"),
            ("https://host.example", "https://host.example:443"),
            ("http://[::1]:7000/ai/", "http://[::1]:7000/ai"),
            ("http://user:pw@localhost:7000", "http://localhost:7000"),
        ] {
            assert_eq!(read(text, false).unwrap().0.to_string(), url, "{text}");
        }
    }

    #[test]
    fn the_impossible_port_is_a_name_for_the_home_port_unless_ports_are_strict() {
        let (address, warning) = read("localhost:619009", false).unwrap();
        assert_eq!(address, Address::local(61900));
        assert!(warning.unwrap().contains("29185"));
        let failure = read("localhost:619009", true).unwrap_err();
        assert_eq!(failure.class(), Class::InvalidPort);
        assert!(failure.to_string().contains("did you mean 61900"), "{failure}");
    }

    #[test]
    fn what_commands_cannot_speak_is_refused() {
        assert_eq!(read("ws://localhost:1", false).unwrap_err().class(), Class::Usage);
        assert_eq!(read("localhost:0", false).unwrap_err().class(), Class::InvalidPort);
        assert_eq!(read("htp://x", false).unwrap_err().class(), Class::Usage);
    }

    #[test]
    fn loopback_is_told_from_elsewhere() {
        for text in ["localhost:1", "a.localhost:1", "127.9.9.9:1", "[::1]:1"] {
            assert!(read(text, false).unwrap().0.is_loopback(), "{text}");
        }
        assert!(!read("localhost.example:1", false).unwrap().0.is_loopback());
    }
}
