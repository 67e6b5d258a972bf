//! Whether a body is JSON, with one look at each byte of its strings.

use super::json::{Scan, Step};
use super::marks::{Hidden, blocks};

/// Where the array or object stands that is all there is in these bytes; `None` when they are
/// anything else, nest deeper than [`super::json::DEPTH_MAX`], or are no text.
///
/// Takes exactly what `serde_json` takes; why something is not taken is for it to say.
pub(crate) fn container(bytes: &[u8]) -> Option<&str> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_blank(byte))?;
    let mut scan = Scan::new();
    let mut at = start;
    loop {
        let byte = bytes.get(at)?;
        at = at.saturating_add(1);
        match scan.step(*byte) {
            Step::More if scan.is_in_string() => {
                // The closing quote is a step again.
                let inside = string(bytes.get(at..)?)?;
                at = at.saturating_add(inside);
            }
            Step::More => {}
            Step::Complete => break,
            Step::Broken => return None,
        }
    }
    let rest = bytes.get(at..)?;
    rest.iter().all(is_blank).then_some(())?;
    std::str::from_utf8(bytes.get(start..at)?).ok()
}

/// How long the inside of a string is, from behind its first quote; `None` when it has no end, or
/// holds what no string may.
fn string(bytes: &[u8]) -> Option<usize> {
    let mut hidden = Hidden::default();
    for (begin, marks) in blocks(bytes) {
        let behind = hidden.of((begin, marks.slashes));
        let quotes = marks.quotes & !behind;
        // What stands before the end: all of the block, if it is not here.
        let inside = quotes.wrapping_sub(1) & !quotes;
        if marks.controls & inside != 0 {
            return None;
        }
        let mut escapes = behind & inside;
        while escapes != 0 {
            let at = begin.checked_add(usize::try_from(escapes.trailing_zeros()).ok()?)?;
            is_escape(bytes.get(at..)?).then_some(())?;
            escapes &= escapes.wrapping_sub(1);
        }
        if quotes != 0 {
            return begin.checked_add(usize::try_from(quotes.trailing_zeros()).ok()?);
        }
    }
    None
}

/// Whether an escape goes on so, behind its backslash.
fn is_escape(bytes: &[u8]) -> bool {
    match bytes {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => true,
        [b'u', digits @ ..] => digits.iter().take(4).filter(|d| d.is_ascii_hexdigit()).count() == 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::container;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// What the parser says of the same bytes.
    fn parsed(bytes: &[u8]) -> Option<&str> {
        let raw: &RawValue = serde_json::from_slice(bytes).ok()?;
        Some(raw.get()).filter(|json| json.starts_with(['{', '[']))
    }

    #[test]
    fn it_takes_what_the_parser_takes() {
        let long = "x".repeat(200);
        for json in [
            r#"{}"#,
            " [1, -2.5e3, true, null, \"a\\u00e9\\n\"]\r\n",
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\u00g0"}"#,
            r#"{"a":"\u00"}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1}x"#,
            r#"{"a":1} {"#,
            r#"{"a":"b"#,
            r#"{"a":"b\"#,
            r#"{"a":"b\""#,
            r#"["\\\\\\"]"#,
            r#"["\\\\\"]"#,
            "\"a\"",
            "17",
            "",
            "  ",
            &format!("[\"{long}\\\\\"]"),
            &format!("[\"{long}\\\"]"),
            &format!("[\"{long}\u{1}\"]"),
        ] {
            assert_eq!(container(json.as_bytes()), parsed(json.as_bytes()), "{json}");
        }
        // An escape may begin at the end of a block, and nothing else be in the next.
        for (before, escape) in (0..130).flat_map(|n| ["\\n", "\\q", "\\u00e9"].map(|e| (n, e))) {
            let json = format!("[\"{}{escape}{long}\"]", "x".repeat(before));
            assert_eq!(container(json.as_bytes()), parsed(json.as_bytes()), "{json}");
        }
        assert_eq!(container(b"[\"\xff\"]"), None);
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(container(deep(127).as_bytes()).is_some());
        assert!(container(deep(128).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn any_text_between_quotes_is_judged_as_the_parser_does(
            text in r#"([a-z]{0,80}|\\\\|\\"|\\n|\\u[0-9a-g]{4}|[\x00-\x22]|é|\\[a-z]){0,40}"#
        ) {
            let body = format!("{{\"a\":\"{text}\",\"b\":[1]}}");
            prop_assert_eq!(container(body.as_bytes()), parsed(body.as_bytes()));
        }

        #[test]
        fn a_body_cut_or_changed_anywhere_is_judged_as_the_parser_does(
            at in 0_usize..120, byte: u8
        ) {
            let body = concat!(
                r#"{"model":"a\"b","messages":[{"role":"user","content":"one\n\\two é"}],"#,
                r#""n":[1,-2.5E+7,0,true,null,{}],"x":false}"#
            );
            let cut = &body.as_bytes()[..at.min(body.len())];
            prop_assert_eq!(container(cut), parsed(cut));
            let mut changed = body.as_bytes().to_vec();
            *changed.get_mut(at).unwrap_or(&mut 0) = byte;
            prop_assert_eq!(container(&changed), parsed(&changed));
        }
    }
}
