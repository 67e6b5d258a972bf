//! Takes an address apart, and says what is wrong with one that cannot be.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{SCHEMES, Scheme, Target};

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTarget {
    /// The verdict id, for example `address.bad_scheme`.
    pub id: &'static str,
    /// One sentence without a full stop.
    pub sentence: String,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sentence, self.fix)
    }
}

impl std::error::Error for BadTarget {}

fn bad(id: &'static str, sentence: String, fix: String) -> Box<BadTarget> {
    Box::new(BadTarget { id, sentence, fix })
}

type Read<T> = Result<T, Box<BadTarget>>;

pub(super) fn target(text: &str) -> Read<Target> {
    characters(text)?;
    let (scheme, rest) = scheme(text)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let path = tail.split(['?', '#']).next().filter(|path| path.starts_with('/'));
    let (had_credentials, authority) = match authority.rsplit_once('@') {
        Some((_, host)) => (true, host),
        None => (false, authority),
    };
    let (host, port) = authority_parts(authority, scheme)?;
    if port.as_deref() == Some("") && scheme.is_none() {
        return Err(bad(
            "address.bad_port",
            format!("`{authority}` ends with a colon and no port"),
            format!("write a port after it, for example {authority}{}", crate::port::HOME),
        ));
    }
    let host_assumed = host.is_none();
    Ok(Target {
        scheme,
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        port: port.filter(|port| !port.is_empty()),
        path: path.map(str::to_owned),
        host_assumed,
        had_credentials,
    })
}

/// Refuses what no address contains: white space, control characters, look-alike punctuation.
fn characters(text: &str) -> Read<()> {
    if text.trim().is_empty() {
        return Err(bad(
            "usage",
            "the address is empty".to_owned(),
            format!("write one like localhost:{}", crate::port::HOME),
        ));
    }
    if let Some(space) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        let shown = space.escape_debug();
        return Err(bad(
            "address.whitespace",
            format!("the address has white space in it (`{shown}`)"),
            "remove it, at the ends and in the middle".to_owned(),
        ));
    }
    // Letters and digits in full width look like those of an address, and are none.
    let is_wide = |c: char| ('\u{FF01}'..='\u{FF5E}').contains(&c);
    let is_strange = |c: &char| !c.is_ascii() && (!c.is_alphanumeric() || is_wide(*c));
    if let Some(strange) = text.chars().find(is_strange) {
        let code = u32::from(strange);
        let fix = if strange == '\u{FF1A}' {
            "replace the full-width colon by `:`".to_owned()
        } else {
            "type the address by hand instead of pasting it".to_owned()
        };
        let sentence = format!("the address has the character `{strange}` (U+{code:04X}) in it");
        return Err(bad("address.bad_character", sentence, fix));
    }
    Ok(())
}

fn scheme(text: &str) -> Read<(Option<Scheme>, &str)> {
    let Some((name, rest)) = text.split_once("://") else {
        let lower = text.to_ascii_lowercase();
        let slip = SCHEMES.iter().find_map(|(name, _)| {
            let rest = lower.strip_prefix(name)?;
            if rest.starts_with("//") {
                return Some((name, rest));
            }
            let rest = rest.strip_prefix(':')?;
            (!rest.bytes().all(|byte| byte.is_ascii_digit())).then_some((name, rest))
        });
        return match slip {
            Some((name, rest)) => Err(bad(
                "address.bad_scheme",
                format!("the scheme `{name}` is not followed by a colon and two slashes"),
                format!("write {name}://{}", rest.trim_start_matches('/')),
            )),
            None => Ok((None, text)),
        };
    };
    let lower = name.to_ascii_lowercase();
    match SCHEMES.iter().find(|(known, _)| *known == lower) {
        Some((_, scheme)) => Ok((Some(*scheme), rest)),
        None => {
            let meant = nearest(&lower);
            Err(bad(
                "address.bad_scheme",
                format!("the scheme `{name}` is not one of http, https, ws, wss, tcp, mcp"),
                format!("write {meant}://{}", without_credentials(rest)),
            ))
        }
    }
}

fn without_credentials(rest: &str) -> &str {
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// The known scheme with the fewest differing letters; `http` when several are equal.
fn nearest(name: &str) -> &'static str {
    let distance = |known: &str| {
        let common = known.chars().filter(|letter| name.contains(*letter)).count();
        known.len().abs_diff(name.len()) + known.len() - common
    };
    SCHEMES.iter().map(|(known, _)| *known).min_by_key(|known| distance(known)).unwrap_or("http")
}

type Parts = (Option<String>, Option<String>);

fn authority_parts(authority: &str, scheme: Option<Scheme>) -> Read<Parts> {
    if let Some(inside) = authority.strip_prefix('[') {
        return bracketed(authority, inside);
    }
    match authority.matches(':').count() {
        0 if scheme.is_none() && is_port_text(authority) => Ok((None, Some(authority.to_owned()))),
        0 => Ok((Some(host(authority)?), None)),
        1 => {
            let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
            if name.is_empty() && scheme.is_none() {
                return Ok((None, Some(port.to_owned())));
            }
            Ok((Some(host(name)?), Some(port.to_owned())))
        }
        _ => many_colons(authority, scheme),
    }
}

fn bracketed(authority: &str, inside: &str) -> Read<Parts> {
    let wrong = || {
        bad(
            "address.ipv6_brackets",
            format!("`{authority}` is not an IPv6 address in brackets"),
            format!("write it like [::1]:{}", crate::port::HOME),
        )
    };
    let (address, rest) = inside.split_once(']').ok_or_else(wrong)?;
    let plain = address.split('%').next().unwrap_or(address);
    if plain.parse::<Ipv6Addr>().is_err() {
        return Err(wrong());
    }
    match rest.strip_prefix(':') {
        Some(port) => Ok((Some(address.to_owned()), Some(port.to_owned()))),
        None if rest.is_empty() => Ok((Some(address.to_owned()), None)),
        None => Err(wrong()),
    }
}

fn many_colons(authority: &str, scheme: Option<Scheme>) -> Read<Parts> {
    // `::1:8080` is a valid address, but nobody who writes it means that one.
    let loopback_and_port = authority
        .strip_prefix("::1:")
        .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if scheme.is_none() && !loopback_and_port && authority.parse::<Ipv6Addr>().is_ok() {
        return Ok((Some(authority.to_owned()), None));
    }
    if authority.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
        let fix = match authority.rsplit_once(':') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => {
                format!("write [{address}]:{port}")
            }
            _ => format!("write it like [::1]:{}", crate::port::HOME),
        };
        let sentence = format!("`{authority}` is an IPv6 address without brackets");
        return Err(bad("address.ipv6_brackets", sentence, fix));
    }
    let mut parts = authority.split(':');
    let (name, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Err(bad(
        "address.bad_port",
        format!("`{authority}` has more than one port"),
        format!("keep one: {name}:{port}"),
    ))
}

fn host(name: &str) -> Read<String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() {
        return Err(bad(
            "address.bad_host",
            "the address has no host".to_owned(),
            "write localhost before the port".to_owned(),
        ));
    }
    match name.chars().find(|c| !allowed(*c)) {
        Some(wrong) => Err(bad(
            "address.bad_host",
            format!("the host `{name}` has `{wrong}` in it"),
            "write a name or an IP address, for example localhost".to_owned(),
        )),
        None => Ok(name.to_owned()),
    }
}

/// Whether a text without a colon is rather a port than a host: `61900`, `-1`, `+80`, `619O0`.
fn is_port_text(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains('.')
        && text.parse::<Ipv4Addr>().is_err()
}
