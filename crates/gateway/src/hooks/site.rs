//! Which addresses webhooks and mounts may have. Without leave, nothing on this machine, in private
//! networks or beside the public internet is asked: whoever may make them could look around there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use wire::{Code, Fault};

/// An address to be told, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) target: String,
}

/// Whether private addresses may be asked, and the key of the configuration that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    pub(crate) private: bool,
    pub(crate) key: &'static str,
}

/// The first address of the name. One that is not allowed refuses the name as a whole; and we
/// connect to what was checked, so that a name cannot change in between.
pub(crate) async fn look_up(
    site: &Site,
    Leave { private, key }: Leave,
    local_only: bool,
) -> Result<SocketAddr, String> {
    if !site.https && !private {
        return Err(format!("it is not reached by TLS, and `{key}` is off"));
    }
    let found = tokio::net::lookup_host((site.host.as_str(), site.port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|e| format!("the host cannot be resolved: {e}"))?.collect();
    for address in &found {
        if local_only && !address.ip().is_loopback() {
            return Err("it lies outside of this machine, and `local_only` is on".to_owned());
        }
        if !private && !is_public(address.ip()) {
            let ip = address.ip();
            return Err(format!("its name leads to {ip}, and `{key}` is off"));
        }
    }
    found.first().copied().ok_or_else(|| "the host has no address".to_owned())
}

/// Refuses an address that is none, or that may not be told.
///
/// # Errors
/// `invalid_input`, saying what would be right.
pub(crate) fn admit(url: &str, leave: Leave) -> Result<(), Fault> {
    let Leave { private, key } = leave;
    let site = parse(url).map_err(|why| wrong(url, &why))?;
    let Some(address) = site.literal() else {
        if !private && is_local_name(&site.host) {
            return Err(closed(url, key));
        }
        return if site.https || private { Ok(()) } else { Err(plain(url)) };
    };
    if private || is_public(address) {
        return if site.https || private { Ok(()) } else { Err(plain(url)) };
    }
    Err(closed(url, key))
}

fn wrong(url: &str, why: &str) -> Fault {
    let text = format!("`url` is no address: {why} in `{}`", url.escape_debug());
    Fault::new(Code::InvalidInput, text)
        .hint("send one like `https://example.com/hooks`")
        .details(serde_json::json!({"field": "url"}))
}

fn closed(url: &str, key: &str) -> Fault {
    let text = format!("`url` leads into a private network or this machine: `{url}`");
    Fault::new(Code::InvalidInput, text)
        .hint(format!("set `{key}: true` to allow it"))
        .details(serde_json::json!({"field": "url", "reason": "private"}))
}

fn plain(url: &str) -> Fault {
    let text = format!("`url` must begin with `https://`, got `{url}`");
    Fault::new(Code::InvalidInput, text)
        .hint("without TLS anybody on the way reads along")
        .details(serde_json::json!({"field": "url", "reason": "not_https"}))
}

/// Takes an address apart.
pub(crate) fn parse(url: &str) -> Result<Site, String> {
    if url.contains('#') {
        return Err("there is a fragment".to_owned());
    }
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("there is no `https://`".to_owned()),
    };
    let authority = uri.authority().ok_or("there is no host")?;
    if authority.as_str().contains('@') {
        return Err("there are user and password".to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err("there is no host".to_owned());
    }
    let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
    let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    Ok(Site { https, host, port, target })
}

impl Site {
    fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local")
}

/// Whether an address lies in the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| embedded(address)) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Shared by carriers, protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // Global unicast is 2000::/3; everything else is local, mapped or reserved.
    first & 0xE000 == 0x2000 && !(first == 0x2001 && address.segments()[1] == 0x0DB8)
}

/// The IPv4 address inside an address that is translated on the way (NAT64, 6to4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let pair = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b) {
        (0x64, 0xFF9B) if [c, d, e, f] == [0; 4] => Some(pair(g, h)),
        (0x2002, high) => Some(pair(high, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(url: &str, private: bool) -> Result<(), Fault> {
        super::admit(url, Leave { private, key: "webhooks.private" })
    }

    #[test]
    fn only_public_addresses_are_told_without_leave() {
        for url in ["https://example.com/a?b=1", "https://8.8.8.8/", "https://[2606:4700::1]/x"] {
            admit(url, false).unwrap();
        }
        for url in [
            "https://localhost/",
            "https://a.localhost/",
            "https://printer.local/",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:192.168.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://0.0.0.0/",
        ] {
            let fault = admit(url, false).unwrap_err();
            assert!(fault.hint_text().unwrap().contains("webhooks.private"), "{url}: {fault:?}");
            admit(url, true).unwrap();
        }
        assert!(admit("http://example.com/", false).unwrap_err().text().contains("`https://`"));
        admit("http://127.0.0.1:8080/hook", true).unwrap();
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (url, why) in [
            ("example.com", "no `https://`"),
            ("ftp://example.com/", "no `https://`"),
            ("https://user:pw@example.com/", "user and password"),
            ("https://example.com/#top", "fragment"),
            ("", "empty"),
        ] {
            let fault = admit(url, true).unwrap_err();
            assert!(fault.text().contains(why), "{url}: {}", fault.text());
        }
    }
}
