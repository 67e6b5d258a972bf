//! Cuts JSON that is known to be JSON into its parts, each with its own bytes.
//!
//! A [`RawValue`] was read once, to the last byte, when it was made. Whoever takes it apart again
//! with the parser reads it once more on every level, and a long text lies five levels deep: here
//! the bytes are only stepped over.

use std::borrow::Cow;

use serde::Deserialize as _;
use serde::de::value::{BorrowedStrDeserializer, Error, MapDeserializer};
use serde_json::value::RawValue;

use super::cursor::Cursor;
use crate::frame::marks::{Hidden, blocks};

/// The name under which `serde_json` hands a text to a [`RawValue`].
const TOKEN: &str = "$serde_json::private::RawValue";

/// A field of an object.
pub(super) type Field<'a> = (Cow<'a, str>, &'a RawValue);

/// The fields of an object in their order; `None` for anything else.
pub(super) fn fields(json: &str) -> Option<Vec<Field<'_>>> {
    let mut cursor = Cursor::new(json.as_bytes());
    let mut fields = Vec::new();
    cursor.take(b'{')?;
    cursor.blanks();
    while !cursor.takes(b'}') {
        if !fields.is_empty() {
            cursor.take(b',')?;
            cursor.blanks();
        }
        let key = text(json.get(cursor.string()?)?)?;
        cursor.blanks();
        cursor.take(b':')?;
        cursor.blanks();
        fields.push((key, value(json.get(cursor.value()?)?)?));
        cursor.blanks();
    }
    Some(fields)
}

/// The items of an array; `None` for anything else.
pub(super) fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    let json = raw.get();
    let mut cursor = Cursor::new(json.as_bytes());
    let mut items = Vec::new();
    cursor.take(b'[')?;
    cursor.blanks();
    while !cursor.takes(b']') {
        if !items.is_empty() {
            cursor.take(b',')?;
            cursor.blanks();
        }
        items.push(value(json.get(cursor.value()?)?)?);
        cursor.blanks();
    }
    Some(items)
}

/// The text of a string; `None` for anything else, and for half a character.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(inner).map(Cow::Owned)
}

/// What the inside of a string says; `None` when it holds half a character.
fn unescaped(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut hidden = Hidden::default();
    // Up to here it is written, or was an escape.
    let mut done = 0_usize;
    for (begin, marks) in blocks(inner.as_bytes()) {
        let mut escapes = hidden.of((begin, marks.slashes));
        while escapes != 0 {
            let at = begin.checked_add(usize::try_from(escapes.trailing_zeros()).ok()?)?;
            escapes &= escapes.wrapping_sub(1);
            // The second half of a character is read with the first.
            if at < done {
                continue;
            }
            out.push_str(inner.get(done..at.checked_sub(1)?)?);
            let (escaped, length) = escape(inner.get(at..)?)?;
            out.push(escaped);
            done = at.checked_add(length)?;
        }
    }
    out.push_str(inner.get(done..)?);
    Some(out)
}

/// The character that an escape means, and how long it is behind its backslash.
fn escape(text: &str) -> Option<(char, usize)> {
    let c = match text.as_bytes().first()? {
        c @ (b'"' | b'\\' | b'/') => char::from(*c),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(text.get(1..5)?)?;
            let second = || hex(text.get(5..)?.strip_prefix("\\u")?.get(..4)?);
            let whole = char::decode_utf16([first]).next()?.ok();
            return match whole {
                Some(c) => Some((c, 5)),
                None => Some((char::decode_utf16([first, second()?]).next()?.ok()?, 11)),
            };
        }
        _ => return None,
    };
    Some((c, 1))
}

fn hex(digits: &str) -> Option<u16> {
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// A part of what was read before as a value of its own.
fn value(json: &str) -> Option<&RawValue> {
    let parts = std::iter::once((TOKEN, BorrowedStrDeserializer::<Error>::new(json)));
    let unread = <&RawValue>::deserialize(MapDeserializer::new(parts));
    // How a text is handed over is the library's own affair: should it change, the part is read.
    unread.ok().or_else(|| serde_json::from_str(json).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn parts_have_the_bytes_that_the_parser_gives_them() {
        for json in [
            r#"{}"#,
            r#"{ }"#,
            r#"{"a":1}"#,
            concat!(
                "{ \"a\" : [ 1 , {\"b\":\"]}\\\"\"} ] ,\n\"\\u0061\":null,\t\"c\":-1.5e3 , ",
                "\"d\":\"\u{e9}\\\\\" }"
            ),
            r#"[]"#,
            r#"[ ]"#,
            r#"[1]"#,
            r#" [ "a\"," , [[]] ,true,{"b":{}} ] "#,
            r#""text""#,
            r#"17"#,
            r#"null"#,
        ] {
            let raw = raw(json);
            let read: Option<Vec<&RawValue>> = serde_json::from_str(raw.get()).ok();
            let texts = |list: Vec<&RawValue>| -> Vec<String> {
                list.iter().map(|raw| raw.get().to_owned()).collect()
            };
            assert_eq!(items(&raw).map(texts), read.map(texts), "{json}");
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json);
            let cut = fields(raw.get());
            assert_eq!(cut.is_some(), read.is_ok(), "{json}");
            for (key, value) in cut.unwrap_or_default() {
                let held = &read.as_ref().unwrap()[key.as_ref()];
                if key != "a" {
                    let value: serde_json::Value = serde_json::from_str(value.get()).unwrap();
                    assert_eq!(held, &value, "{json}");
                }
            }
        }
    }

    #[test]
    fn a_part_is_not_read_again() {
        // What is no JSON can only come out if nobody looks at it.
        assert_eq!(value("[[[").unwrap().get(), "[[[");
    }

    #[test]
    fn a_text_is_borrowed_unless_something_in_it_is_escaped() {
        assert!(matches!(text("\"a\u{e9}\""), Some(Cow::Borrowed("a\u{e9}"))));
        assert_eq!(text(r#""a\n\u00e9""#).as_deref(), Some("a\n\u{e9}"));
        assert_eq!(text(r#""\ud800""#), None);
        assert_eq!(text("12"), None);
    }

    #[test]
    fn an_escape_is_read_wherever_it_stands_in_a_long_text() {
        for before in 0..130 {
            let (before, after) = ("a".repeat(before), "b".repeat(200));
            let read = text_of(&format!("\"{before}\\n{after}\""));
            assert_eq!(read, format!("{before}\n{after}"));
            let read = text_of(&format!("\"{before}\\u00e9{after}\""));
            assert_eq!(read, format!("{before}\u{e9}{after}"));
        }
    }

    fn text_of(json: &str) -> String {
        text(json).unwrap().into_owned()
    }
}
