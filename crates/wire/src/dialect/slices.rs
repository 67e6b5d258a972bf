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
use super::judged::Judged;
use crate::frame::inside::unescaped;

/// The name under which `serde_json` hands a text to a [`RawValue`].
const TOKEN: &str = "$serde_json::private::RawValue";

/// A field of an object.
pub(super) type Field<'a> = (Cow<'a, str>, &'a RawValue);

/// The fields of an object in their order; `None` for anything else. Long strings that were found
/// when the body was judged are not looked at again.
pub(super) fn fields<'a>(json: &'a str, judged: Option<&'a Judged>) -> Option<Vec<Field<'a>>> {
    let mut cursor = Cursor::within(json, judged);
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
pub(super) fn items<'a>(
    raw: &'a RawValue,
    judged: Option<&'a Judged>,
) -> Option<Vec<&'a RawValue>> {
    let json = raw.get();
    let mut cursor = Cursor::within(json, judged);
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
            assert_eq!(items(&raw, None).map(texts), read.map(texts), "{json}");
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json);
            let cut = fields(raw.get(), None);
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
