//! Which addresses are trusted with credentials, and which belong together.

use http::Uri;

use super::Trouble;

/// Limit: an address that a stranger names.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Reads an address that somebody else names. It must be encrypted, unless both it and the server
/// that named it are on this machine: nothing secret crosses a network in clear.
///
/// # Errors
/// When it is no address, or not a safe one; `what` says whose it is.
pub(super) fn safe(text: &str, server: &Uri, what: &str) -> Result<Uri, Trouble> {
    let wrong = |why: &str| {
        let shown: String = text.chars().take(200).collect();
        Trouble::Refused(format!("{what} `{shown}` {why}"))
    };
    let uri: Uri = text
        .parse()
        .ok()
        .filter(|_| text.len() <= ADDRESS_BYTES_MAX && !text.contains('#'))
        .ok_or_else(|| wrong("is no address"))?;
    let host = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    if host.is_none() {
        return Err(wrong("is no address"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here(&uri) && is_here(server) => Ok(uri),
        Some("http") => Err(wrong("is not encrypted: only https is trusted with a log-in")),
        _ => Err(wrong("is no address of the web: it must begin with https://")),
    }
}

/// Whether an address is on this machine.
pub(super) fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let by_number = bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    by_number || host.eq_ignore_ascii_case("localhost")
}

/// The scheme and the authority of an address, without a slash at the end.
pub(super) fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// Whether two addresses are of one origin.
pub(super) fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    let of = |uri: &Uri| {
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let usual = if scheme == "https" { 443 } else { 80 };
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        (scheme, host, uri.port_u16().unwrap_or(usual))
    };
    of(a) == of(b)
}

/// Whether a server is what a resource's name stands for: the same origin, and the same path or
/// one below it.
pub(super) fn is_part_of(server: &Uri, resource: &Uri) -> bool {
    let whole = resource.path().trim_end_matches('/');
    let below = server.path().strip_prefix(whole);
    is_same_origin(server, resource)
        && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where somebody may be documented: `name` comes before the path, as RFC 8414 and 9728 say.
pub(super) fn well_known(uri: &Uri, name: &str) -> String {
    let path = uri.path().trim_end_matches('/');
    format!("{}/.well-known/{name}{path}", origin(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn only_encrypted_addresses_are_trusted_unless_all_is_on_this_machine() {
        let (near, far) = (uri("http://127.0.0.1:9/mcp"), uri("https://a.example/mcp"));
        let good = |text, server| safe(text, server, "the server").is_ok();
        assert!(good("https://x.example/t", &far) && good("https://x.example/t", &near));
        assert!(good("http://localhost:1/t", &near) && good("http://[::1]:1/t", &near));
        for bad in [
            "http://x.example/t",
            "http://localhost:1/t",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "/t",
            "",
            "https://user@x.example/",
            "https://x.example/#here",
        ] {
            assert!(!good(bad, &far), "{bad}");
        }
        assert!(!good("http://localhost.evil.example/t", &near));
        assert!(!good(&format!("https://x.example/{}", "a".repeat(3000)), &far));
    }

    #[test]
    fn a_resource_is_the_server_or_what_it_lies_in() {
        let server = uri("https://A.example/team/mcp");
        for good in
            ["https://a.example", "https://a.example:443/team", "https://a.example/team/mcp/"]
        {
            assert!(is_part_of(&server, &uri(good)), "{good}");
        }
        for bad in [
            "https://evil.example/team/mcp",
            "https://a.example/tea",
            "http://a.example/",
            "https://a.example:8443/",
        ] {
            assert!(!is_part_of(&server, &uri(bad)), "{bad}");
        }
        assert_eq!(well_known(&server, "x"), "https://A.example/.well-known/x/team/mcp");
        assert_eq!(well_known(&uri("https://a.example"), "x"), "https://a.example/.well-known/x");
    }
}
