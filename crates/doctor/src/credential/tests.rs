//! Times of tokens are read and told, and no token is ever part of what is told.

use proptest::prelude::*;

use super::{Credential, decode, named, tokens};
use crate::Environment;
use crate::report::Verdict;

/// Claims as a token with no meaning but its times.
fn token(claims: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encode = |text: &str| {
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let groups = bits.as_bytes().chunks(6);
        let groups = groups.map(|group| format!("{:0<6}", std::str::from_utf8(group).unwrap()));
        let all = groups.map(|bits| char::from(LETTERS[usize::from_str_radix(&bits, 2).unwrap()]));
        all.collect::<String>()
    };
    format!("{}.{}.c2lnbmF0dXJl", encode("{\"alg\":\"HS256\"}"), encode(claims))
}

const NOW: i64 = 1_795_000_000;

fn fault(name: &str, value: &str) -> Option<Verdict> {
    Credential::of_variable(name, value)?.fault(NOW)
}

#[test]
fn a_token_that_has_expired_is_named_with_its_times_and_not_shown() {
    let value = token(&format!("{{\"iat\":{},\"exp\":{}}}", NOW - 90_000, NOW - 7300));
    let verdict = fault("MCP_TOKEN", &format!("Bearer {value}")).unwrap();
    assert_eq!(verdict.id, "auth.token_expired");
    assert_eq!(verdict.sentence, "the token in the variable MCP_TOKEN expired 2 hours ago");
    assert!(verdict.evidence[0].contains("exp is 2026-11-18T"), "{verdict:?}");
    assert!(!format!("{verdict:?}").contains("eyJ"), "{verdict:?}");
}

#[test]
fn a_token_from_the_future_speaks_of_clocks() {
    for claim in ["nbf", "iat"] {
        let value = token(&format!("{{\"{claim}\":{},\"exp\":{}}}", NOW + 10_800, NOW + 90_000));
        let verdict = fault("TOKEN", &value).unwrap();
        assert_eq!(verdict.id, "auth.clock_skew", "{verdict:?}");
        assert!(verdict.sentence.contains("only in 3 hours"), "{verdict:?}");
        assert!(verdict.evidence[0].contains(claim), "{verdict:?}");
    }
    let nearly = token(&format!("{{\"nbf\":{}}}", NOW + 30));
    assert!(fault("TOKEN", &nearly).is_none(), "clocks differ by seconds everywhere");
}

#[test]
fn keys_that_were_copied_badly_are_named() {
    assert_eq!(fault("OPENAI_API_KEY", "sk-123\r\n").unwrap().id, "auth.key_whitespace");
    assert_eq!(fault("OPENAI_API_KEY", "\"sk-123\"").unwrap().id, "auth.key_quoted");
    for (name, value) in [("OPENAI_API_KEY", "sk-123"), ("PS1", " $ "), ("A_KEY", ""), ("K", "''")]
    {
        assert!(fault(name, value).is_none(), "{name}");
    }
}

#[test]
fn tokens_are_found_in_files_by_their_lines() {
    let text = format!("a: 1\nheaders:\n  Authorization: \"Bearer {}\"\n", token("{\"exp\":1}"));
    let found = Credential::of_text("x.yaml", &text);
    let verdict = found[0].fault(NOW).unwrap();
    assert!(verdict.sentence.starts_with("the token in line 3 of x.yaml expired"), "{verdict:?}");
    let well = token(&format!("{{\"exp\":{}}}", NOW + 61));
    let well = Credential::of_text("x", &well);
    assert!(well[0].fault(NOW).is_none());
    assert_eq!(well[0].line(NOW).unwrap(), "the token in line 1 of x is valid for 1 minute more");
    assert_eq!(tokens("eyJ.eyJ.x eyJhbGciOiJub25lIn0 a.b.c").count(), 0);
}

#[test]
fn a_refusal_without_a_reason_gets_the_reason_that_is_here() {
    let expired = ("MCP_TOKEN".to_owned(), token("{\"exp\":1}"));
    let environment = Environment::from_variables([expired.clone()]);
    let refusal = || Verdict::likely("auth.missing", "the server works and wants a key");
    let verdict = named(refusal(), environment.credentials());
    assert_eq!(verdict.id, "auth.token_expired");
    assert!(verdict.sentence.contains("MCP_TOKEN"), "{verdict:?}");
    assert!(!format!("{environment:?}").contains(&expired.1), "the environment keeps no token");
    assert_eq!(named(refusal(), &[]).id, "auth.missing");
    let other = Verdict::likely("http.500", "it failed");
    assert_eq!(named(other, environment.credentials()).id, "http.500");
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(eyJ|[A-Za-z0-9_.\"-]){0,60}", wide in any::<String>()) {
        let _times = tokens(&text).count() + tokens(&wide).count();
        let _bytes = decode(&wide);
        let _credential = Credential::of_variable(&wide, &text);
    }
}
