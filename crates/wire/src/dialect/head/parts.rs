//! The members of an object and the items of a list where they stand, and what becomes of the
//! text when some go.

use std::ops::Range;

use super::decode;
use crate::dialect::cursor::Cursor;

/// Where the parts of an object or a list stand in its text.
#[derive(Debug)]
pub(in crate::dialect) struct Parts {
    /// The whole of each: with its key in an object.
    spans: Vec<Range<usize>>,
    /// The key of each, as it is read; empty in a list.
    keys: Vec<String>,
    /// The value of each.
    values: Vec<Range<usize>>,
}

/// What becomes of a part.
#[derive(Debug)]
pub(in crate::dialect) enum Edit {
    /// It stays as it is.
    Keep,
    /// It goes.
    Drop,
    /// Its value is another.
    Replace(Vec<u8>),
}

impl Parts {
    /// Finds the parts of the object or list at the beginning of a text; `None` for anything else.
    pub(in crate::dialect) fn of(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(body);
        cursor.blanks();
        let (is_object, close) = match cursor.peek()? {
            b'{' => (true, b'}'),
            b'[' => (false, b']'),
            _ => return None,
        };
        cursor.at = cursor.at.saturating_add(1);
        let mut parts = Self { spans: Vec::new(), keys: Vec::new(), values: Vec::new() };
        loop {
            cursor.blanks();
            if parts.spans.is_empty() && cursor.takes(close) {
                return Some(parts);
            }
            let start = cursor.at;
            if is_object {
                let key = cursor.string()?;
                parts.keys.push(decode(body, &key).unwrap_or_default());
                cursor.blanks();
                cursor.take(b':')?;
                cursor.blanks();
            }
            let value = cursor.value()?;
            parts.spans.push(start..value.end);
            parts.values.push(value);
            cursor.blanks();
            if cursor.takes(close) {
                return Some(parts);
            }
            cursor.take(b',')?;
        }
    }

    /// Whether there is none.
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The value of a member; of several with this name the last.
    pub(in crate::dialect) fn find<'a>(&self, body: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let at = self.keys.iter().rposition(|key| key == name)?;
        body.get(self.values.get(at)?.clone())
    }

    /// Writes the text anew; every byte that no edit touches stays. `None` where nothing changes.
    pub(in crate::dialect) fn rewrite(
        &self,
        body: &[u8],
        mut edit: impl FnMut(&str, &[u8]) -> Edit,
    ) -> Option<Vec<u8>> {
        let first = self.spans.first()?.start;
        let last = self.spans.last()?.end;
        let mut out = body.get(..first)?.to_vec();
        let (mut before, mut is_any, mut is_changed) = (first, false, false);
        for (at, (span, value)) in self.spans.iter().zip(&self.values).enumerate() {
            let key = self.keys.get(at).map_or("", String::as_str);
            let held = body.get(value.clone())?;
            let edit = edit(key, held);
            is_changed |= !matches!(edit, Edit::Keep);
            if matches!(edit, Edit::Drop) {
                before = span.end;
                continue;
            }
            if is_any {
                out.extend_from_slice(body.get(before..span.start)?);
            }
            is_any = true;
            match edit {
                Edit::Replace(value_now) => {
                    out.extend_from_slice(body.get(span.start..value.start)?);
                    out.extend(value_now);
                }
                Edit::Keep | Edit::Drop => out.extend_from_slice(body.get(span.clone())?),
            }
            before = span.end;
        }
        out.extend_from_slice(body.get(last..)?);
        is_changed.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        let parts = Parts::of(body.as_bytes()).unwrap();
        let out = parts.rewrite(body.as_bytes(), |key, value| match (key, value) {
            ("gone", _) | ("", b"0") => Edit::Drop,
            ("new", _) => Edit::Replace(b"1".to_vec()),
            _ => Edit::Keep,
        });
        assert_eq!(out.as_deref(), expected.map(str::as_bytes), "{body}");
    }

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        check(r#"{ "a" : 1.0 , "b":[ ] }"#, None);
        check("{}", None);
        check("[ ]", None);
        check(r#"{"gone":1}"#, Some("{}"));
        check(r#"{ "gone":1 , "a" : "\u00e9" }"#, Some(r#"{ "a" : "\u00e9" }"#));
        check(r#"{"a":1 , "gone":2}"#, Some(r#"{"a":1}"#));
        check(r#"{"a":1, "gone":2 ,"gone":3, "b":4}"#, Some(r#"{"a":1, "b":4}"#));
        check(r#"{"go\u006ee":{"x":[1,"}"]},"new": 2}"#, Some(r#"{"new": 1}"#));
        check("[0, 1,0 ,2]", Some("[1 ,2]"));
    }

    #[test]
    fn what_is_no_object_or_list_has_no_parts() {
        for text in ["", "1", "\"x\"", "{", "[1", "{\"a\"}", "{\"a\":}", "[1 2]", "{1:2}"] {
            assert!(Parts::of(text.as_bytes()).is_none(), "{text}");
        }
    }
}
