//! What the address reader understands, and what it says otherwise.

use proptest::prelude::*;

use super::{Scheme, Target};

#[track_caller]
fn parts(text: &str) -> (Option<Scheme>, String, Option<String>, Option<String>) {
    let target = Target::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad}"));
    (target.scheme, target.host, target.port, target.path)
}

#[test]
fn every_form_of_an_address_is_read() {
    let own = |text: &str| Some(text.to_owned());
    let cases = [
        ("localhost:61900", None, "localhost", own("61900"), None),
        ("61900", None, "localhost", own("61900"), None),
        (":61900", None, "localhost", own("61900"), None),
        ("619009", None, "localhost", own("619009"), None),
        ("localhost", None, "localhost", None, None),
        ("127.0.0.1", None, "127.0.0.1", None, None),
        ("::1", None, "::1", None, None),
        ("[::1]:619009", None, "::1", own("619009"), None),
        ("[fe80::1%eth0]:80", None, "fe80::1%eth0", own("80"), None),
        ("HTTP://localhost/mcp?k=1#x", Some(Scheme::Http), "localhost", None, own("/mcp")),
        ("https://[::1]", Some(Scheme::Https), "::1", None, None),
        ("mcp://box.local:7/a", Some(Scheme::Mcp), "box.local", own("7"), own("/a")),
        ("localhost:61900/health", None, "localhost", own("61900"), own("/health")),
        ("localhost:-1", None, "localhost", own("-1"), None),
        ("619O0", None, "localhost", own("619O0"), None),
        ("http://localhost:/", Some(Scheme::Http), "localhost", None, own("/")),
    ];
    for (text, scheme, host, port, path) in cases {
        assert_eq!(parts(text), (scheme, host.to_owned(), port, path), "{text}");
    }
}

#[test]
fn a_port_of_any_length_is_kept() {
    let port = "9".repeat(5000);
    assert_eq!(parts(&format!("http://localhost:{port}/")).2, Some(port));
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("htp://localhost:1/", "address.bad_scheme", "http://localhost:1/"),
        ("http:localhost", "address.bad_scheme", "http://localhost"),
        ("http//localhost:1", "address.bad_scheme", "http://localhost:1"),
        ("\u{ff4c}ocalhost:1", "address.bad_character", "by hand"),
        ("wsss://h", "address.bad_scheme", "wss://h"),
        ("http://::1:8080/", "address.ipv6_brackets", "[::1]:8080"),
        ("::1:8080", "address.ipv6_brackets", "[::1]:8080"),
        ("::1:61900", "address.ipv6_brackets", "[::1]:61900"),
        ("localhost:80:81", "address.bad_port", "localhost:80"),
        ("localhost:", "address.bad_port", "localhost:61900"),
        ("localhost：61900", "address.bad_character", "full-width"),
        ("localhost:61900\n", "address.whitespace", "remove"),
        ("http:///x", "address.bad_host", "localhost"),
        ("a!b:1", "address.bad_host", "localhost"),
        ("", "usage", "61900"),
    ];
    for (text, id, fix) in cases {
        let bad = Target::parse(text).unwrap_err();
        assert_eq!(bad.id, id, "{text:?}");
        assert!(bad.fix.contains(fix), "{text:?}: {}", bad.fix);
    }
}

#[test]
fn credentials_and_queries_are_never_shown() {
    let target = Target::parse("http://me:hunter2@localhost:1/p?key=hunter2").unwrap();
    let shown = format!("{target} {} {target:?}", target.understood());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(target.had_credentials);
    let bad = Target::parse("htp://me:hunter2@localhost:1/?key=hunter2").unwrap_err();
    assert!(!bad.to_string().contains("hunter2"), "{bad}");
}

proptest! {
    #[test]
    fn no_text_brings_the_reader_down(text in any::<String>()) {
        match Target::parse(&text) {
            Ok(target) => prop_assert!(!target.host.is_empty()),
            Err(bad) => prop_assert!(!bad.sentence.is_empty() && !bad.fix.is_empty()),
        }
    }

    #[test]
    fn what_looks_like_an_address_is_read(
        host in "[a-z][a-z0-9.-]{0,20}", port in "[0-9]{1,30}", path in "(/[a-z]{0,5}){0,3}",
    ) {
        let target = Target::parse(&format!("http://{host}:{port}{path}")).unwrap();
        prop_assert_eq!(target.host, host);
        prop_assert_eq!(target.port, Some(port));
    }
}
