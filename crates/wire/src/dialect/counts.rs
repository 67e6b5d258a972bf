//! Finds the token counts at the top level of a whole reply, without reading the rest.
//!
//! Invariant: where anything about a reply is unusual, nothing is found, and whoever asks has to
//! read it whole.

use serde_json::value::RawValue;

use super::cursor::Cursor;

/// Where a dialect's replies have what is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The object with the counts.
    pub(super) counts: &'static str,
    /// The array or object with the answer: what has none is no reply.
    pub(super) answer: &'static str,
    /// A field that says how the reply ended, and the ends of replies that failed.
    pub(super) end: Option<(&'static str, &'static [&'static str])>,
}

/// The counts of a reply; `None` where it has none, or has to be read.
pub(super) fn find(body: &[u8], place: Place) -> Option<&RawValue> {
    let (mut counts, mut has_answer) = (None, false);
    let mut cursor = Cursor::new(body);
    cursor.blanks();
    cursor.take(b'{')?;
    cursor.blanks();
    let mut is_first = true;
    while !cursor.takes(b'}') {
        if !std::mem::take(&mut is_first) {
            cursor.take(b',')?;
            cursor.blanks();
        }
        let key = inside(body.get(cursor.string()?)?)?;
        cursor.blanks();
        cursor.take(b':')?;
        cursor.blanks();
        let value = body.get(cursor.value()?)?;
        cursor.blanks();
        if key == place.counts.as_bytes() {
            // Of two, parsers take one or the other.
            let is_new = value.starts_with(b"{") && counts.replace(value).is_none();
            is_new.then_some(())?;
        } else if key == place.answer.as_bytes() {
            let is_new = value.starts_with(b"[") || value.starts_with(b"{");
            (is_new && !std::mem::replace(&mut has_answer, true)).then_some(())?;
        } else if key == b"error" {
            (value == b"null").then_some(())?;
        } else if let Some((name, failures)) = place.end
            && key == name.as_bytes()
        {
            let end = if value == b"null" { b"" } else { inside(value)? };
            (!failures.iter().any(|failure| failure.as_bytes() == end)).then_some(())?;
        }
    }
    cursor.blanks();
    if cursor.at != body.len() || !has_answer {
        return None;
    }
    serde_json::from_slice(counts?).ok()
}

/// What stands in a string that has nothing escaped; `None` for anything else.
fn inside(string: &[u8]) -> Option<&[u8]> {
    let inside = string.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    memchr::memchr(b'\\', inside).is_none().then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place =
        Place { counts: "usage", answer: "content", end: Some(("status", &["failed"])) };

    fn found(body: &str) -> Option<&str> {
        find(body.as_bytes(), PLACE).map(RawValue::get)
    }

    #[test]
    fn counts_at_the_top_level_are_found_wherever_they_stand() {
        for body in [
            r#"{"content":[],"usage":{"n":1}}"#,
            r#" { "usage" : {"n":1} , "error":null, "status" : null, "content" : [ ] } "#,
            r#"{"status":"completed","content":{},"usage":{"n":1},"more":[1e9,true]}"#,
        ] {
            assert_eq!(found(body), Some(r#"{"n":1}"#), "{body}");
        }
    }

    #[test]
    fn counts_inside_of_what_the_model_said_are_not_taken_for_counts() {
        let said = r#"{"content":[{"text":"\",\"usage\":{\"n\":9},\"x\":\"","usage":{"n":9}}]"#;
        assert_eq!(found(&format!("{said}}}")), None);
        let whole = format!(r#"{said},"more":{{"usage":{{"n":8}}}},"usage":{{"n":1}}}}"#);
        assert_eq!(found(&whole), Some(r#"{"n":1}"#));
    }

    #[test]
    fn an_unusual_reply_is_left_to_who_reads_it() {
        for body in [
            "",
            "[]",
            r#"{"content":[]}"#,
            r#"{"usage":{"n":1}}"#,
            r#"{"content":"text","usage":{"n":1}}"#,
            r#"{"content":null,"usage":{"n":1}}"#,
            r#"{"content":[],"usage":null}"#,
            r#"{"content":[],"usage":{"n":1},"usage":{"n":2}}"#,
            r#"{"content":[],"content":[],"usage":{"n":1}}"#,
            r#"{"content":[],"usage":{"n":1},"\u0075sage":{"n":2}}"#,
            r#"{"content":[],"usage":{"n":1},"error":{"message":"no"}}"#,
            r#"{"content":[],"usage":{"n":1},"status":"failed"}"#,
            r#"{"content":[],"usage":{"n":1},"status":"f\u0061iled"}"#,
            r#"{"content":[],"usage":{"n":1}"#,
            r#"{"content":[],"usage":{"n":1}} {}"#,
            r#"{"content":[],"usage":{"n":}}"#,
        ] {
            assert_eq!(found(body), None, "{body}");
        }
    }
}
