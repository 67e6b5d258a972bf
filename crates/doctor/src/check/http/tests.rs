//! Bodies and gateways, judged without a network.

use std::time::Duration;

use super::refusal::bad_gateway;
use super::{Seen, body, status};
use crate::probe::http::Answer;

fn answer(status: u16, path: &str, kind: &str, body: &[u8]) -> Answer {
    Answer {
        path: path.to_owned(),
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: String::from_utf8_lossy(body).into_owned(),
        raw: body.to_vec(),
        elapsed: Duration::from_millis(1),
    }
}

fn seen(answer: &Answer, asked: bool) -> Seen<'_> {
    let base = "http://localhost:80".to_owned();
    Seen { answer, path_was_asked: asked, asks_websocket: false, base }
}

#[test]
fn a_page_is_well_where_people_look_and_wrong_where_programs_ask() {
    let page = b"<html></html>";
    for (path, expected) in [("/", None), ("/docs", None), ("/v1/models", Some(()))] {
        let answer = answer(200, path, "text/html; charset=utf-8", page);
        assert_eq!(body::fault(&seen(&answer, true)).map(|_| ()), expected, "{path}");
        assert_eq!(body::fault(&seen(&answer, false)).map(|_| ()), None, "{path}");
    }
}

#[test]
fn json_with_a_null_error_is_no_error() {
    for text in [&b"{\"error\":null}"[..], b"{\"error\":\"\"}", b"{\"error\":{}}", b"[1]"] {
        let answer = answer(200, "/v1/x", "application/json", text);
        assert!(body::fault(&seen(&answer, true)).is_none(), "{text:?}");
    }
}

#[test]
fn a_gateway_names_what_is_wrong_behind_it() {
    let cases = [
        ("connect ECONNREFUSED 127.0.0.1:8000", "upstream.refused", "127.0.0.1:8000"),
        ("getaddrinfo ENOTFOUND api.example.com", "upstream.dns", "name"),
        ("self-signed certificate of localhost:8443", "upstream.tls", "localhost:8443"),
        ("upstream request timeout", "upstream.timeout", "in time"),
        ("Bad Gateway", "upstream.unknown", "gateway"),
    ];
    for (text, id, words) in cases {
        let answer = answer(502, "/", "text/plain", text.as_bytes());
        let verdict = bad_gateway(&answer, &text.to_ascii_lowercase());
        assert_eq!(verdict.id, id, "{text}");
        assert!(verdict.sentence.contains(words), "{}", verdict.sentence);
    }
}

#[test]
fn a_redirect_elsewhere_is_well() {
    let mut moved = answer(302, "/", "text/html", b"");
    moved.headers.push(("location".to_owned(), "/ui/".to_owned()));
    assert!(status::judge(&seen(&moved, true)).verdict.is_none());
}
