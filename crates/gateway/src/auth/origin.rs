//! Keeps hostile web pages out: `Host` against DNS rebinding, `Origin` against foreign pages.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use wire::{Code, Fault};

use crate::gate::Gateway;

/// Checks the two headers that a browser sets and a page cannot forge.
///
/// `authority` is the one of the request line, where HTTP/2 keeps the host.
///
/// # Errors
/// `forbidden`, naming the header and the setting that would allow it.
pub fn check(gate: &Gateway, authority: Option<&str>, headers: &HeaderMap) -> Result<(), Fault> {
    let snapshot = gate.now();
    let header = headers.get(HOST).map(|value| value.to_str().unwrap_or("?"));
    if let Some(host) = header.or(authority) {
        let name = name_of(host);
        if !is_ours(name) && !listed(&snapshot.settings.allowed_hosts, name, host) {
            let text = format!("the host name `{}` is not one of ours", printable(host));
            return Err(Fault::new(Code::Forbidden, text)
                .hint("call `localhost` or an address, or list the name in `server.allowed_hosts`")
                .details(serde_json::json!({"reason": "host"})));
        }
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let same = header.or(authority).is_some_and(|host| {
        origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host))
    });
    if same || allows(&snapshot.settings.cors_origins, origin) {
        return Ok(());
    }
    let text = format!("pages of `{}` may not call this port", printable(origin));
    Err(Fault::new(Code::Forbidden, text)
        .hint("list the page's origin in `server.cors_origins`")
        .details(serde_json::json!({"reason": "origin"})))
}

/// RFC 9112 3.2: who speaks HTTP/1.1 names the host, also where the target does.
pub(crate) fn no_host() -> Fault {
    Fault::new(Code::InvalidInput, "the request has no header `host`, which HTTP/1.1 demands")
        .hint("send `host: localhost`, or whatever name the address was written with")
        .details(serde_json::json!({"part": "head", "field": "host"}))
}

/// Tells whether the configured origins include this one.
pub(crate) fn allows(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|o| o == "*" || o.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// An address cannot be rebound by DNS, a loopback name cannot be registered.
fn is_ours(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let tail = |text: &str| name.len() > text.len() && name.to_ascii_lowercase().ends_with(text);
    name.eq_ignore_ascii_case("localhost") || tail(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn listed(hosts: &[String], name: &str, host: &str) -> bool {
    hosts.iter().any(|h| h == "*" || h.eq_ignore_ascii_case(name) || h.eq_ignore_ascii_case(host))
}

/// The host without its port and brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_addresses_are_ours_and_nothing_else_is() {
        for host in ["localhost", "LOCALHOST:61900", "a.localhost:1", "127.0.0.1:61900", "[::1]:1"]
        {
            assert!(is_ours(name_of(host)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""] {
            assert!(!is_ours(name_of(host)), "{host}");
        }
    }
}
