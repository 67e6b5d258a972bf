//! Whether a body is JSON, with one look at each byte of its strings.

use std::ops::Range;

use super::json::{Scan, Step};
use super::marks::{Hidden, blocks};

/// Bytes inside of a string from which on it is kept in mind: what is shorter is stepped over, or
/// copied, as fast.
const LONG_BYTES: usize = 256;

/// An array or object that is all there is in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it stands.
    pub(crate) place: Range<usize>,
    /// Its long strings, names of fields too, in their order.
    pub(crate) long: Vec<Long>,
}

/// A string of some length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Long {
    /// Where it stands, with its quotes.
    pub(crate) place: Range<usize>,
    /// What is escaped in it.
    pub(crate) form: Form,
}

/// How a string says what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: nothing is escaped.
    Plain,
    /// Escaped is what has to be, in the way we do it: who writes what it says writes these bytes.
    Ours,
    /// Something is escaped in another way.
    Other,
}

/// Finds the array or object that is all there is in these bytes; `None` when they are anything
/// else, or nest deeper than [`super::json::DEPTH_MAX`].
///
/// Takes exactly what `serde_json` takes, if the bytes are text, which is not looked at here; why
/// something is not taken is for it to say.
pub(crate) fn judge(bytes: &[u8]) -> Option<Found> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_blank(byte))?;
    let mut scan = Scan::new();
    let (mut at, mut long) = (start, Vec::new());
    loop {
        let byte = bytes.get(at)?;
        at = at.saturating_add(1);
        match scan.step(*byte) {
            Step::More if scan.is_in_string() => {
                // The closing quote is a step again.
                let (inside, form) = string(bytes.get(at..)?)?;
                let end = at.checked_add(inside)?;
                if inside >= LONG_BYTES {
                    let place = at.checked_sub(1)?..end.checked_add(1)?;
                    long.push(Long { place, form });
                }
                at = end;
            }
            Step::More => {}
            Step::Complete => break,
            Step::Broken => return None,
        }
    }
    let rest = bytes.get(at..)?;
    rest.iter().all(is_blank).then_some(Found { place: start..at, long })
}

/// How long the inside of a string is, from behind its first quote, and what is escaped in it;
/// `None` when it has no end, or holds what no string may.
fn string(bytes: &[u8]) -> Option<(usize, Form)> {
    let mut hidden = Hidden::default();
    let mut form = Form::Plain;
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
            let escape = bytes.get(at..)?;
            if !is_common(escape) {
                is_escape(escape).then_some(())?;
                if !is_ours(escape) {
                    form = Form::Other;
                }
            }
            if form == Form::Plain {
                form = Form::Ours;
            }
            escapes &= escapes.wrapping_sub(1);
        }
        if quotes != 0 {
            let end = begin.checked_add(usize::try_from(quotes.trailing_zeros()).ok()?)?;
            return Some((end, form));
        }
    }
    None
}

/// Whether an escape is one of those that most are, behind its backslash; they are ours too.
fn is_common(bytes: &[u8]) -> bool {
    matches!(bytes, [b'"' | b'\\' | b'n' | b'r' | b't', ..])
}

/// Whether we would write such a longer escape, behind its backslash: a control character that has
/// no letter with us, in four small digits.
fn is_ours(bytes: &[u8]) -> bool {
    match bytes {
        [b'u', b'0', b'0', high @ (b'0' | b'1'), low @ (b'0'..=b'9' | b'a'..=b'f'), ..] => {
            !matches!((high, low), (b'0', b'9' | b'a' | b'd'))
        }
        _ => false,
    }
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
    use super::{Form, Long, judge};
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// What is judged to be an array or object, and is text.
    fn container(bytes: &[u8]) -> Option<&str> {
        std::str::from_utf8(&bytes[judge(bytes)?.place]).ok()
    }

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

    #[test]
    fn long_strings_are_found_with_what_is_escaped_in_them() {
        let (name, text) = ("n".repeat(300), "t".repeat(256));
        let body = format!(" {{\"{name}\":[\"short\",\"{text}\"],\"a\":\"{text}\\n\"}}");
        let found = judge(body.as_bytes()).unwrap();
        let long = |part: &str, form| {
            let at = body.find(part).unwrap();
            Long { place: at..at + part.len(), form }
        };
        let expected = [
            long(&format!("\"{name}\""), Form::Plain),
            long(&format!("\"{text}\""), Form::Plain),
            long(&format!("\"{text}\\n\""), Form::Ours),
        ];
        assert_eq!(found.long, expected);
        assert_eq!(found.place, 1..body.len());
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
