//! Values and lines of a bare connection, at every cut.

use super::*;

const LIMIT: usize = 64;

fn json(text: &str) -> Item {
    Item::Json(Bytes::copy_from_slice(text.as_bytes()))
}

fn line(text: &str) -> Item {
    Item::Line(Bytes::copy_from_slice(text.as_bytes()))
}

/// Splits the bytes cut in two at every place, and byte by byte, up to the end of input.
#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: &[Item]) {
    let bytes = bytes.as_ref();
    for cut in 0..=bytes.len() {
        let (mut splitter, mut out) = (Splitter::new(LIMIT), Vec::new());
        splitter.push(&bytes[..cut], &mut out);
        splitter.push(&bytes[cut..], &mut out);
        out.extend(splitter.finish());
        assert_eq!(out, expected, "cut at {cut}");
    }
    let (mut splitter, mut out) = (Splitter::new(LIMIT), Vec::new());
    for byte in bytes {
        splitter.push(&[*byte], &mut out);
    }
    out.extend(splitter.finish());
    assert_eq!(out, expected, "byte by byte");
}

#[test]
fn a_value_is_complete_with_a_line_feed_without_one_and_when_the_next_follows() {
    check("{\"a\":1}\n{\"b\":2}\r\n", &[json(r#"{"a":1}"#), json(r#"{"b":2}"#)]);
    check("{\"a\":1}{\"b\":2}[3]", &[json(r#"{"a":1}"#), json(r#"{"b":2}"#), json("[3]")]);
    let (mut splitter, mut out) = (Splitter::new(LIMIT), Vec::new());
    splitter.push(b"{\"a\":{}}", &mut out);
    assert_eq!(out, [json(r#"{"a":{}}"#)], "without waiting for a line feed");
    assert!(!splitter.is_midway());
    splitter.push(b"\r\n", &mut out);
    assert_eq!(out.len(), 1, "the line feed after an answered value says nothing");
}

#[test]
fn brackets_and_quotes_in_strings_do_not_end_a_value() {
    let text = r#"{"a":"}\"{\\","b":["]",{}]}"#;
    check(format!("{text}\n"), &[json(text)]);
}

#[test]
fn a_value_may_span_lines() {
    let text = "{\r\n  \"a\": [\n1,\n2]\n\n}";
    check(format!("{text}\nhello\n"), &[json(text), line("hello")]);
}

#[test]
fn other_lines_come_whole_and_blank_ones_not_at_all() {
    check(
        "\n\r\n  \t\nMCP_INIT: SESSION_ID=1\r\n Hello \n5\ntrue\n\"x\"\n",
        &[line("MCP_INIT: SESSION_ID=1"), line("Hello"), line("5"), line("true"), line("\"x\"")],
    );
}

#[test]
fn telnet_sends_a_carriage_return_with_a_nul() {
    check("hello\r\0\n\r\0\nyou\r\0me\r\n", &[line("hello"), line("you"), line("me")]);
    check("{\r\0\n}\r\0\n", &[json("{\r\n}")]);
    check("a\0b\n", &[line("a\0b")]);
}

#[test]
fn a_line_that_is_not_json_ends_at_its_line_end() {
    check("{not json}\n{\"a\":1}\n", &[json("{not json}"), json(r#"{"a":1}"#)]);
    check("{\"a\":1,}\r\nhello\n", &[json(r#"{"a":1,}"#), line("hello")]);
    check("{'a': \"}\n[1]\n", &[json("{'a': \"}"), json("[1]")]);
}

#[test]
fn a_string_that_is_never_closed_ends_with_its_line() {
    check("{\"a\":\"never\n{\"b\":2}\n", &[json("{\"a\":\"never"), json(r#"{"b":2}"#)]);
    check("[1,\n{\"a\":\"x\n[2]\n", &[json("[1,"), json("{\"a\":\"x"), json("[2]")]);
}

#[test]
fn a_value_that_was_cut_off_does_not_swallow_the_line_that_shows_it() {
    check("{\"a\":1\n{\"b\":2}\n", &[json("{\"a\":1"), json(r#"{"b":2}"#)]);
    check("{\"a\":\n\nMCP_INIT: 1\n{}", &[json("{\"a\":"), line("MCP_INIT: 1"), json("{}")]);
    check(
        "{\"a\":1\n{\"b\":2}{\"c\":3}\n",
        &[json("{\"a\":1"), json(r#"{"b":2}"#), json(r#"{"c":3}"#)],
    );
    // An indented line belongs to the broken value.
    check("{\n \"a\":1\n \"b\":2\n", &[json("{\n \"a\":1\n \"b\":2")]);
}

#[test]
fn what_the_end_of_input_leaves_is_an_item() {
    check("hello", &[line("hello")]);
    check("{\"a\":", &[json("{\"a\":")]);
    check("{x", &[json("{x")]);
    check(" \r\n ", &[]);
}

#[test]
fn the_blank_line_that_ends_a_greeting_is_reported_once() {
    let greeting = [line("MCP/1.0"), line("Connection: Upgrade"), line("")];
    check("MCP/1.0\r\nConnection: Upgrade\r\n\r\n\r\n", &greeting);
    check("MCP/1.0\r\0\nConnection: Upgrade\r\0\n\r\0\n", &greeting);
    check("MCP/1.0\n{}\n\n", &[line("MCP/1.0"), json("{}")]);
}

#[test]
fn what_is_not_utf_8_is_named_and_the_next_line_is_read() {
    check(
        b"caf\xe9\n{\"a\":\"\xff\"}\n{\xff}\nok\n",
        &[Item::BadUtf8, Item::BadUtf8, Item::BadUtf8, line("ok")],
    );
    check("{\"a\":\"\u{e9}\u{1f600}\"}", &[json("{\"a\":\"\u{e9}\u{1f600}\"}")]);
}

#[test]
fn a_byte_order_mark_before_a_value_is_skipped() {
    check("\u{feff}{}\n", &[json("{}")]);
}

#[test]
fn what_exceeds_the_limit_is_dropped_up_to_its_line_end() {
    let exact = "x".repeat(LIMIT);
    check(format!("{exact}\n"), &[line(&exact)]);
    check(format!("{exact}y\nok\n"), &[Item::TooLong, line("ok")]);
    let value = format!("{{\"a\":\"{}\"}}", "x".repeat(LIMIT - 8));
    check(format!("{value}{value}"), &[json(&value), json(&value)]);
    check(format!("{{\"a\":\"{exact}\"}}\nok\n"), &[Item::TooLong, line("ok")]);
    check(format!("{}\nok\n", "[".repeat(LIMIT * 4)), &[Item::TooLong, line("ok")]);
    check("[\n".repeat(LIMIT), &[Item::TooLong, json("[\n".repeat(31).trim_end())]);
}

#[test]
fn memory_stays_bounded_by_the_limit() {
    let (mut splitter, mut out) = (Splitter::new(LIMIT), Vec::new());
    for _ in 0..10_000 {
        splitter.push(&[b'x'; 100], &mut out);
    }
    assert_eq!(out, [Item::TooLong]);
    assert!(splitter.held.capacity() <= LIMIT * 2);
}

#[test]
fn a_value_nested_too_deep_is_broken_up_to_its_line_end() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let (mut splitter, mut out) = (Splitter::new(1024), Vec::new());
    splitter.push(format!("{deep}\n{{}}").as_bytes(), &mut out);
    assert_eq!(out, [json(&deep), json("{}")]);
    assert!(serde_json::from_str::<serde_json::Value>(&deep).is_err());
}

#[test]
fn a_long_value_in_single_bytes_takes_no_rescans() {
    // With a look back at every byte this would take hours.
    let text = format!("{{\"a\":[\"{}\"\n]}}", "x\\n".repeat(2 << 20));
    let (mut splitter, mut out) = (Splitter::new(text.len()), Vec::new());
    for byte in text.as_bytes().chunks(1) {
        splitter.push(byte, &mut out);
    }
    assert_eq!(out, [json(&text)]);
}
