//! Scripts as people write them: both formats, patterns, and what is refused.

use super::pattern::{matches, within};
use super::*;

#[test]
fn the_example_is_a_valid_script() {
    let script = Script::parse(crate::EXAMPLE).unwrap();
    assert!(script.rules.len() >= 10);
    assert!(script.rules.iter().all(|rule| !rule.name.is_empty()));
}

#[test]
fn json_and_toml_say_the_same() {
    let toml = Script::parse("[[rule]]\ntimes = 2\nreply = { status = 429, retry_after = \"3\" }");
    let json = Script::parse(r#"{"rules":[{"times":2,"reply":{"status":429,"retry_after":"3"}}]}"#);
    assert_eq!(format!("{:?}", toml.unwrap()), format!("{:?}", json.unwrap()));
}

#[test]
fn a_block_given_as_text_keeps_its_bytes() {
    let script = Script::parse(r#"default = { blocks = ['{"type":"x", "n": 1.50}'] }"#).unwrap();
    assert_eq!(script.default.blocks[0].as_str(), r#"{"type":"x", "n": 1.50}"#);
}

#[test]
fn a_block_given_as_a_table_keeps_its_order() {
    let script = Script::parse(r#"default = { blocks = [{ type = "x", b = 1, a = 2 }] }"#).unwrap();
    assert_eq!(script.default.blocks[0].as_str(), r#"{"type":"x","b":1,"a":2}"#);
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let error = Script::parse(text).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn mistakes_are_named() {
    refused("[default]\ntxt = 'x'", "unknown field `txt`");
    refused("{\"default\": {\"fault\": \"explode\"}}", "unknown variant `explode`");
    refused("default = { status = 99 }", "`status = 99`");
    refused("default = { headers = { 'a b' = 'x' } }", "`a b` is not a header name");
    refused("default = { headers = { a = \"x\\ny\" } }", "header `a`");
    refused("default = { chunk_bytes = 0 }", "`chunk_bytes = 0`");
    refused("default = { blocks = ['{nope'] }", "`{nope` is not JSON");
}

#[test]
fn patterns_know_stars_and_marks_in_either_case() {
    assert!(matches("claude-*", "Claude-Opus"));
    assert!(matches("*a*b?", "xxaxxbc"));
    assert!(matches("*", ""));
    assert!(!matches("claude", "claude-opus"));
    assert!(!matches("a?", "a"));
    assert!(!matches("*ab", "abc"));
}

#[test]
fn a_message_pattern_without_wildcards_matches_anywhere() {
    assert!(within("WEATHER", "what weather is it"));
    assert!(!within("weather?", "what weather is it"));
    assert!(within("*weather*", "what weather is it"));
}

#[test]
fn a_pattern_of_many_stars_ends_in_time() {
    let text = "a".repeat(5_000);
    assert!(!matches(&"*a".repeat(200).replace("*a*a", "*a*b"), &text));
}
