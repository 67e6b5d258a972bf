//! Where an upstream's API begins: a strict reader, because `http::Uri` forgets bad ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::{Code, Fault};

/// The address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    https: bool,
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    path: String,
}

impl Base {
    /// Reads the `base_url` of a provider.
    ///
    /// # Errors
    /// `invalid_port` for a number that is not a port, `configuration_error` for the rest.
    pub fn parse(provider: &str, text: &str) -> Result<Self, Fault> {
        let bad = |why: &str| {
            Fault::new(Code::ConfigurationError, format!("base_url of provider `{provider}` {why}"))
                .hint(
                    "an address is like `https://api.anthropic.com` or `http://127.0.0.1:11434/v1`",
                )
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            bad(&format!("needs `http://` or `https://` before `{}`", shown(text)))
        })?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad(&format!("begins with `{scheme}`, not with http or https"))),
        };
        if rest.contains(['?', '#']) {
            return Err(bad("has a query or fragment; it ends with its path"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
            None => (rest, ""),
        };
        if authority.contains('@') {
            // The text is not shown: what stands before the @ is a secret.
            return Err(bad("carries a user name or password; set `key` instead"));
        }
        let path = path.trim_end_matches('/');
        if !path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\')) {
            return Err(bad("has characters in its path that must be percent-encoded"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("has no host"))?;
        let host = host_name(host).ok_or_else(|| {
            bad(&format!("names `{host}`, which is neither a host name nor an IP address"))
        })?;
        let port = match port {
            Some(digits) => read_port(provider, digits)?,
            None if https => 443,
            None => 80,
        };
        Ok(Self { https, host, port, path: path.to_owned() })
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path below which the API lies, empty or without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host:port`, as `rapport doctor` takes it.
    #[must_use]
    pub fn target(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{open}{}{close}:{}", self.host, self.port)
    }

    /// The whole address of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let usual = if self.https { 443 } else { 80 };
        let target = self.target();
        let suffix = format!(":{usual}");
        let authority = if self.port == usual { target.strip_suffix(&suffix) } else { None };
        format!("{scheme}://{}{path}", authority.unwrap_or(&target))
    }

    /// Whether a connection stays on this machine for certain, without asking a name server.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_localhost(&self.host) || self.host.parse().is_ok_and(is_loopback)
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url(&self.path))
    }
}

/// `localhost` and every name below it, which never leave the machine (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name.rsplit_once('.').is_some_and(|(_, top)| top.eq_ignore_ascii_case("localhost"))
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A bounded piece of what was written, without what may be a password.
fn shown(text: &str) -> String {
    let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    text.chars().take(80).collect()
}

/// Host and the digits after its colon; `None` without a host.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, rest) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        authority.split_at_checked(end)?
    } else {
        match authority.find(':') {
            Some(at) => authority.split_at_checked(at)?,
            None => (authority, ""),
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(digits),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

fn host_name(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (host.len() <= 253 && host.bytes().all(legal) && !host.starts_with(['.', '-']))
        .then(|| host.to_ascii_lowercase())
}

fn read_port(provider: &str, digits: &str) -> Result<u16, Fault> {
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    if let Some(port) = number.and_then(|n| u16::try_from(n).ok()).filter(|port| *port > 0) {
        return Ok(port);
    }
    let candidates = candidates(digits);
    // Software that keeps 16 bits of the number would silently talk to another port.
    let wrapped = number.map(|n| n % 65_536).filter(|n| *n > 0);
    let mut hint = String::from("ports are 1 to 65535");
    if let Some(first) = candidates.first() {
        hint = format!("{hint}; did you mean {first}?");
    }
    if let (Some(number), Some(wrapped)) = (number.filter(|n| *n > 65_535), wrapped) {
        hint = format!("{hint} Software that keeps 16 bits of {number} would really use {wrapped}");
    }
    Err(Fault::new(
        Code::InvalidPort,
        format!("`{}` in base_url of provider `{provider}` is not a port", shown(digits)),
    )
    .hint(hint)
    .details(serde_json::json!({
        "value": shown(digits),
        "setting": format!("providers.{provider}.base_url"),
        "candidates": candidates,
        "wrapped": wrapped,
    })))
}

/// The ports that remain when one digit too many is taken away, the last digit first.
fn candidates(digits: &str) -> Vec<u16> {
    let mut out = Vec::new();
    // Limit: only slips of the finger; a longer number was never meant as a port.
    if digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return out;
    }
    for skip in (0..digits.len()).rev() {
        let rest: String =
            digits.char_indices().filter(|(at, _)| *at != skip).map(|(_, c)| c).collect();
        if let Ok(port) = rest.parse::<u16>()
            && port > 1_023
            && !out.contains(&port)
        {
            out.push(port);
        }
    }
    out
}
