//! Addresses are read strictly, advice as it was meant, and pauses stay within their bounds.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use wire::Code;

use super::{Advice, Base, advice, backoff};

#[track_caller]
fn base(text: &str) -> Base {
    Base::parse("claude", text).unwrap()
}

#[track_caller]
fn refused(text: &str) -> wire::Fault {
    Base::parse("claude", text).unwrap_err()
}

#[test]
fn an_address_keeps_scheme_host_port_and_path() {
    let api = base(" https://API.anthropic.com/ ");
    assert!(api.is_https());
    assert_eq!(api.url("/v1/messages"), "https://api.anthropic.com/v1/messages");
    assert_eq!(api.target(), "api.anthropic.com:443");
    let local = base("http://127.0.0.1:11434/v1/");
    assert_eq!(local.path(), "/v1");
    assert_eq!(local.to_string(), "http://127.0.0.1:11434/v1");
    assert_eq!(base("http://[::1]:8080").url("/x"), "http://[::1]:8080/x");
    assert_eq!(base("http://[0:0::1]").target(), "[::1]:80");
    assert_eq!(base("http://my_host-1.local:80").to_string(), "http://my_host-1.local");
}

#[test]
fn what_is_no_address_is_refused_with_the_place() {
    for text in [
        "",
        "api.anthropic.com",
        "ftp://host",
        "http://",
        "http://:80",
        "http://a b",
        "http://é.fr",
        "http://host?x=1",
        "http://host/#a",
        "http://[::1",
        "http://[::1]x",
        "http://host/a b",
        "http://-host",
        "http://.host",
        "http://host/é",
        "unix:///tmp/x",
    ] {
        let fault = refused(text);
        assert_eq!(fault.code(), Code::ConfigurationError, "{text}");
        assert!(fault.text().contains("base_url of provider `claude`"), "{text}: {fault}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for text in ["http://user:hunter2@host", "user:hunter2@host", "http://hunter2@[::1]:1"] {
        let fault = refused(text);
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
}

#[test]
fn the_number_that_is_no_port_is_explained() {
    let fault = refused("http://localhost:619009/v1");
    assert_eq!(fault.code(), Code::InvalidPort);
    assert!(fault.text().contains("`619009`") && fault.text().contains("`claude`"), "{fault}");
    let hint = fault.hint_text().unwrap();
    assert!(hint.contains("did you mean 61900?") && hint.contains("29185"), "{hint}");
    let details = fault.detail_values().unwrap();
    assert_eq!(details["candidates"], serde_json::json!([61900, 61909, 61009, 19009]));
    assert_eq!(details["wrapped"], 29185);
    assert_eq!(details["setting"], "providers.claude.base_url");
}

#[test]
fn every_other_number_that_is_no_port_is_refused_too() {
    for port in ["0", "65536", "99999999999999999999999", "-1", "+80", "8o", "", " 80", "1e3"] {
        let fault = refused(&format!("http://localhost:{port}/v1"));
        assert_eq!(fault.code(), Code::InvalidPort, "{port}: {fault}");
    }
    assert_eq!(base("http://localhost:65535").target(), "localhost:65535");
}

#[test]
fn only_what_cannot_leave_the_machine_is_loopback() {
    for local in
        ["localhost", "LOCALHOST", "a.localhost", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"]
    {
        assert!(base(&format!("http://{local}:1")).is_loopback(), "{local}");
    }
    for remote in ["localhost.example.com", "notlocalhost", "10.0.0.1", "0.0.0.0", "[::]", "127.1"]
    {
        assert!(!base(&format!("http://{remote}:1")).is_loopback(), "{remote}");
    }
}

#[track_caller]
fn check_advice(status: u16, headers: &[(&str, &str)], again: bool, wait: Option<u64>) {
    let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
    let map: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let expected = Advice { again, wait: wait.map(Duration::from_millis) };
    let found = advice(StatusCode::from_u16(status).unwrap(), &map, now);
    assert_eq!(found, expected, "{status} {headers:?}");
}

#[test]
fn status_and_headers_say_whether_and_when_to_try_again() {
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        check_advice(status, &[], true, None);
    }
    for status in [400, 401, 403, 404, 413, 422] {
        check_advice(status, &[], false, None);
    }
    check_advice(400, &[("x-should-retry", "true")], true, None);
    check_advice(529, &[("x-should-retry", "false")], false, None);
    check_advice(429, &[("retry-after", "7")], true, Some(7_000));
    check_advice(429, &[("retry-after", "0.5")], true, Some(500));
    check_advice(429, &[("retry-after-ms", "20"), ("retry-after", "7")], true, Some(20));
    check_advice(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], true, Some(7_000));
    check_advice(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")], true, None);
    for nonsense in ["soon", "-1", "NaN", "inf", "1e300", ""] {
        check_advice(429, &[("retry-after", nonsense)], true, None);
    }
}

#[test]
fn pauses_double_up_to_eight_seconds_and_the_dice_spread_them() {
    let most = |next| backoff(next, 1.0);
    assert_eq!(most(1), Duration::from_millis(500));
    assert_eq!(most(2), Duration::from_secs(1));
    assert_eq!(most(5), Duration::from_secs(8));
    assert_eq!(most(4_000_000), Duration::from_secs(8));
    assert_eq!(backoff(3, 0.5), Duration::from_secs(1));
    assert_eq!(backoff(3, 0.0), Duration::ZERO);
    assert_eq!(backoff(1, f64::NAN.max(2.0)), Duration::from_millis(500));
}
