//! Requests of one version of Anthropic's API as requests of the other.

use std::borrow::Cow;

use serde_json::Value;
use wire::Code;
use wire::dialect::{AnthropicVersion, DIALECTS, versioned};
use wire::prompt::{Message, Role};

use crate::show::{cases, prompt};

const FIRST: AnthropicVersion = AnthropicVersion::First;
const SECOND: AnthropicVersion = AnthropicVersion::Second;

#[track_caller]
fn check(body: &str, expected: &str, lost: &[&str]) {
    let (sent, dropped) = FIRST.translate(body.as_bytes(), SECOND).unwrap();
    assert_eq!(std::str::from_utf8(&sent).unwrap(), expected);
    assert_eq!(dropped, lost);
    assert_eq!(matches!(sent, Cow::Borrowed(_)), body == expected);
    // What came out is of the second version, and says the same in the first.
    assert_eq!(SECOND.translate(&sent, FIRST).unwrap().0, sent);
}

#[test]
fn what_the_second_version_does_not_know_goes_and_every_other_byte_stays() {
    check(
        r#"{ "model" : "m", "temperature": 1.0 , "messages":[],"top_k":5, "top_p" : 1e400}"#,
        r#"{ "model" : "m" , "messages":[]}"#,
        &["temperature", "top_k", "top_p"],
    );
    check(r#"{"temperature":null}"#, "{}", &["temperature"]);
    let turn = |role: &str, content: &str| {
        format!(r#"{{"messages": [{{"role":"{role}", "content":[{content}]}}, 7]}}"#)
    };
    let said = |role: &str, content: &str, expected: &str, lost: &[&str]| {
        check(&turn(role, content), &turn(role, expected), lost);
    };
    said(
        "user",
        r#"{"type":"text","text":"\u00e9", "citations":[{"x":1}]}, {"type":"document","a":[1]}"#,
        r#"{"type":"text","text":"\u00e9"}, {"type":"document","a":[1]}"#,
        &["citations"],
    );
    said(
        "assistant",
        r#"{"type":"document","source":{"type":"text","data":"a \"b\""}}, {"type":"x"}"#,
        r#"{"type":"text","text":"a \"b\""}, {"type":"x"}"#,
        &["document"],
    );
    said(
        "assistant",
        r#"{"type":"document","source":{"type":"base64","data":"aGk="}}"#,
        r#"{"type":"text","text":"[document]"}"#,
        &["document"],
    );
}

#[test]
fn what_both_versions_know_keeps_every_byte() {
    for body in [
        r#"{"messages":[{"role":"user","content":[{"type":"text","citations":[],"text":"x"}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","citations":null}]}]}"#,
        r#"{"messages":[{"role":"user","content":"temperature"}],"metadata":{"top_k":1}}"#,
        r#"{"messages":[{"role":"assistant","content":[{"type":"text","citations":[{}]}]}]}"#,
        r#"{"messages":"x","system":[{"type":"text","citations":[1]}]}"#,
        "no json",
        "",
        "[]",
    ] {
        check(body, body, &[]);
    }
    for (name, body) in cases("anthropic", "ask") {
        let (sent, _) = FIRST.translate(&body, SECOND).unwrap();
        let mut given: Value = serde_json::from_slice(&body).unwrap();
        let fields = given.as_object_mut().unwrap();
        for gone in ["temperature", "top_p", "top_k"] {
            fields.shift_remove(gone);
        }
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["model"], given["model"], "{name}");
        assert_eq!(sent.as_object().unwrap().len(), given.as_object().unwrap().len(), "{name}");
        assert!(sent.get("temperature").is_none(), "{name}");
    }
}

#[test]
fn who_breaks_its_own_version_is_told() {
    for name in ["temperature", "top_p", "top_k"] {
        let body = format!(r#"{{"model":"m","{name}":1}}"#);
        for fault in [
            SECOND.check(body.as_bytes()).unwrap_err(),
            SECOND.translate(body.as_bytes(), FIRST).unwrap_err(),
        ] {
            assert_eq!(fault.code(), Code::InvalidInput);
            assert!(fault.text().contains(name), "{fault}");
            assert!(fault.hint_text().unwrap().contains("2023-06-01"));
        }
        assert!(FIRST.check(body.as_bytes()).is_ok());
    }
    let nested = br#"{"metadata":{"temperature":1},"messages":["top_p"]}"#;
    assert!(SECOND.check(nested).is_ok());
}

#[test]
fn an_unknown_version_is_refused_with_the_known_ones() {
    for text in ["", "2024-01-01", "latest", "2023-06-0", &"x".repeat(5000)] {
        let fault = AnthropicVersion::parse(text).unwrap_err();
        assert_eq!(fault.code(), Code::VersionMismatch);
        let hint = fault.hint_text().unwrap();
        assert!(hint.contains("2023-06-01") && hint.contains("2026-10-21"), "{hint}");
        assert!(fault.text().len() < 200);
    }
    for version in AnthropicVersion::ALL {
        assert_eq!(AnthropicVersion::parse(version.as_str()).unwrap(), version);
    }
}

#[test]
fn a_dialect_is_written_in_the_version_it_is_asked_for() {
    let mut asked = prompt(vec![Message::text(Role::User, "Hello")]);
    asked.knobs.temperature = Some(0.5);
    asked.knobs.wishes.top_k = Some(5);
    let written = |version| versioned("anthropic", version).unwrap().render(&asked, true);
    let first = String::from_utf8(written(None).body).unwrap();
    assert!(first.contains("temperature") && first.contains("top_k"));
    assert_eq!(written(Some("2023-06-01")).body, first.as_bytes());
    let second = written(Some("2026-10-21"));
    assert_eq!(second.dropped, ["temperature", "top_k"]);
    assert!(!String::from_utf8(second.body).unwrap().contains("temperature"));
    for dialect in DIALECTS {
        let same = versioned(dialect.name(), Some("2026-10-21")).unwrap();
        assert_eq!(same.name(), dialect.name());
    }
    assert!(versioned("nobody", None).is_none());
}
