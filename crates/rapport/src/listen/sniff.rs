//! Tells from the first bytes of a connection which protocol it speaks.

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1 or HTTP/2 without TLS.
    Http,
    /// A TLS handshake.
    Tls,
    /// JSON lines, text verbs, the `MCP/1.0` greeting, or anything else: the gateway's line doors.
    Lines,
}

/// Methods that begin an HTTP/1 request, and the preface of HTTP/2.
///
/// `WebDAV`'s are there to be refused in HTTP; `MCP/1.0` and `MCP_…` only share a first letter.
const STARTS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"HEAD ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
    b"PRI * HTTP/2.0\r\n",
    b"QUERY ",
    b"PROPFIND ",
    b"PROPPATCH ",
    b"MKCOL ",
    b"MERGE ",
    b"MOVE ",
    b"COPY ",
    b"LOCK ",
    b"UNLOCK ",
    b"REPORT ",
    b"SEARCH ",
];

/// The first bytes of a TLS record that holds a handshake: 22, then the major version 3.
const TLS: &[u8] = &[0x16, 0x03];

/// Limit: letters of a method that nobody knows.
const METHOD_MAX: usize = 24;

/// Limit: empty lines before a request that are passed over.
const BLANKS_MAX: usize = 64;

/// What the connection speaks, or `None` while more bytes could still change the answer.
pub(crate) fn sniff(first: &[u8]) -> Option<Protocol> {
    // RFC 9112 2.2: a server ignores empty lines before the request line.
    let blanks = first.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let rest = first.get(blanks..).unwrap_or_default();
    if rest.is_empty() {
        return (blanks > BLANKS_MAX).then_some(Protocol::Lines);
    }
    if rest.starts_with(TLS) {
        return Some(Protocol::Tls);
    }
    if STARTS.iter().any(|start| rest.starts_with(start)) {
        return Some(Protocol::Http);
    }
    // Other methods are refused in HTTP as well: capitals, a blank and a path are a request line.
    let letters = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let after = rest.get(letters..).unwrap_or_default();
    let is_method = (1..=METHOD_MAX).contains(&letters);
    if is_method && after.starts_with(b" /") {
        return Some(Protocol::Http);
    }
    let undecided = TLS.starts_with(rest)
        || STARTS.iter().any(|start| start.starts_with(rest))
        || is_method && b" /".starts_with(after);
    (!undecided).then_some(Protocol::Lines)
}

#[cfg(test)]
mod tests {
    use super::{Protocol, STARTS, sniff};

    /// Feeds `text` byte by byte: undecided up to byte `at`, decided from there on.
    #[track_caller]
    fn check(text: &[u8], at: usize, expected: Protocol) {
        for length in 0..=text.len() {
            let wanted = (length >= at).then_some(expected);
            assert_eq!(sniff(&text[..length]), wanted, "{length} of {text:?}");
        }
    }

    #[test]
    fn every_method_is_http_once_its_space_is_there() {
        for start in STARTS {
            let text = [start, b"/ HTTP/1.1\r\n".as_slice()].concat();
            check(&text, start.len(), Protocol::Http);
        }
    }

    #[test]
    fn everything_else_is_decided_at_its_first_different_byte() {
        for (text, at, expected) in [
            (b"\x16\x03\x01\x02\x00".as_slice(), 2, Protocol::Tls),
            (b"\x16\x02", 2, Protocol::Lines),
            (b"{\"sessionId\":1}\n", 1, Protocol::Lines),
            (b"MCP/1.0\r\n", 4, Protocol::Lines),
            (b"MCP_INIT: SESSION_ID=1\n", 4, Protocol::Lines),
            (b"Hello MCP Server\n", 2, Protocol::Lines),
            (b"GETTING\n", 8, Protocol::Lines),
            (b"get / HTTP/1.1\r\n", 1, Protocol::Lines),
            (b"POSTAL\n", 7, Protocol::Lines),
            (b"BREW / HTTP/1.1\r\n", 6, Protocol::Http),
            (b"BREW coffee\n", 6, Protocol::Lines),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ /", 25, Protocol::Lines),
            (b"PRI * HTTP/1.1", 12, Protocol::Lines),
            (b"MERGER\n", 7, Protocol::Lines),
            (b"\xff\xfd\x18", 1, Protocol::Lines),
            (b" {}", 1, Protocol::Lines),
            (b"\0", 1, Protocol::Lines),
        ] {
            check(text, at, expected);
        }
    }

    #[test]
    fn empty_lines_before_a_request_do_not_hide_it() {
        check(b"\r\n\nGET / HTTP/1.1\r\n", 7, Protocol::Http);
        assert_eq!(sniff(&[b'\n'; 65]), Some(Protocol::Lines));
    }
}
