//! Bodies and gateways, judged without a network.

use std::time::Duration;

use super::refusal::bad_gateway;
use super::{Seen, body, ours, status};
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

#[test]
fn a_rapport_that_cannot_store_is_named_by_its_own_words() {
    let cases = [
        ("the store cannot write: the disk is full", "store.disk_full", "du -xh '/my data'"),
        ("the store may not be written", "store.read_only", "ls -ld '/my data'"),
        ("the store is damaged", "store.damaged", ""),
        ("the store cannot write or read: the disk reports an error", "store.disk_error", ""),
        ("the store is locked by another program", "store.locked", ""),
        ("the store is on strike", "http.503", ""),
    ];
    for (said, id, command) in cases {
        let health = serde_json::json!({
            "status": "unhealthy", "version": "1",
            "checks": {"store": {"ok": false, "error": said}, "provider": {"ok": true}},
        });
        let store = format!("store: {said}");
        let ready = serde_json::json!({"ready": false, "missing": [store]});
        for (path, body) in [("/health", health), ("/ready", ready)] {
            let mut answer = answer(503, path, "application/json", body.to_string().as_bytes());
            assert_eq!(ours::reason(&answer), None, "another server may mean another thing");
            answer.headers.push(("server".to_owned(), "rapport".to_owned()));
            let reason = ours::reason(&answer).unwrap();
            assert_eq!(reason, said);
            let verdict = ours::fault(&reason, Some("/my data"));
            assert_eq!(verdict.id, id);
            assert!(verdict.sentence.ends_with(said), "{}", verdict.sentence);
            let run = verdict.fix[0].command.clone().unwrap_or_default();
            assert!(run.starts_with(command), "{run}");
        }
    }
}

#[test]
fn a_rapport_that_gives_no_reason_is_judged_as_others_are() {
    let unknown =
        ["", "{}", "[1]", r#"{"ready":false}"#, r#"{"checks":{"store":{"ok":true,"error":"x"}}}"#];
    for body in unknown {
        let mut answer = answer(503, "/health", "application/json", body.as_bytes());
        answer.headers.push(("server".to_owned(), "rapport".to_owned()));
        assert_eq!(ours::reason(&answer), None, "{body}");
        let step = status::judge(&seen(&answer, true));
        assert_eq!(step.verdict.map(|verdict| verdict.id), Some("http.503"), "{body}");
    }
}

#[test]
fn a_default_model_that_does_not_answer_is_a_warning() {
    let body = br#"{"status":"degraded","version":"1","checks":{"store":{"ok":true},
        "provider":{"ok":false,"model":"llama","error":"connection refused"}}}"#;
    let mut answer = answer(200, "/health", "application/json", body);
    assert_eq!(ours::degraded(&answer), None, "another server may mean another thing");
    answer.headers.push(("server".to_owned(), "rapport".to_owned()));
    let said = ours::degraded(&answer).unwrap();
    assert!(said.contains("`llama` does not answer: connection refused"), "{said}");
}
