//! Takes an address such as `http://localhost:619009/` apart without judging its port.

/// Host and port of `text`, each as it was written.
///
/// `localhost:61900`, `[::1]:61900`, `::1`, `61900` and addresses with a scheme are understood.
pub(in crate::config) fn split(text: &str) -> (Option<&str>, Option<&str>) {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let some = |text: &'_ str| !text.is_empty();
    if is_digits(rest) {
        return (None, Some(rest));
    }
    if let Some(inside) = rest.strip_prefix('[') {
        let (host, after) = inside.split_once(']').unwrap_or((inside, ""));
        return (Some(host).filter(|h| some(h)), after.strip_prefix(':').filter(|p| some(p)));
    }
    match rest.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((host, _)) if host.contains(':') => (Some(rest), None),
        Some((host, port)) => (Some(host).filter(|h| some(h)), Some(port).filter(|p| some(p))),
        None => (Some(rest).filter(|h| some(h)), None),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn every_way_to_write_an_address_is_understood() {
        for (text, host, port) in [
            ("localhost:61900", Some("localhost"), Some("61900")),
            ("http://localhost:619009/mcp?x=1", Some("localhost"), Some("619009")),
            ("https://u:p@example.org", Some("example.org"), None),
            ("[::1]:61900", Some("::1"), Some("61900")),
            ("::1", Some("::1"), None),
            ("61900", None, Some("61900")),
            (":61900", None, Some("61900")),
            ("", None, None),
        ] {
            assert_eq!(split(text), (host, port), "{text}");
        }
    }
}
