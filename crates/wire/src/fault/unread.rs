//! Says why the body of a request is no JSON, and what would have been right.

use serde_json::json;

use super::{Code, Fault};

/// Limit: characters of a value that an error shows.
const SHOWN_MAX: usize = 40;

/// The fault of a body that a JSON reader refused, with the place.
///
/// Says first what a reader cannot know: that nothing came, that the bytes are no UTF-8, or that a
/// byte order mark stands before the text. `invalid_encoding` for bytes that are no UTF-8, else
/// `invalid_json`.
#[must_use]
pub fn not_json(bytes: &[u8], error: &serde_json::Error) -> Fault {
    if let Err(cause) = std::str::from_utf8(bytes) {
        return not_text(&cause);
    }
    if bytes.trim_ascii().is_empty() {
        let text = "the body is empty where JSON was to come";
        return Fault::new(Code::InvalidJson, text).hint("send a JSON object");
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        let text = "the body begins with a byte order mark, which is not JSON";
        return Fault::new(Code::InvalidJson, text)
            .hint("leave the bytes `EF BB BF` at the beginning away");
    }
    let (line, column) = (error.line(), error.column());
    let plain = error.to_string();
    let said = plain.split(" at line ").next().unwrap_or(&plain);
    let text = format!("the body is not JSON: {said} at line {line}, column {column}");
    Fault::new(Code::InvalidJson, text)
        .hint("check quotes, commas and brackets at that place")
        .details(json!({"line": line, "column": column}))
}

/// The fault of a body that is no UTF-8.
#[must_use]
pub fn not_text(cause: &std::str::Utf8Error) -> Fault {
    let text = format!("byte {} of the body is not UTF-8", cause.valid_up_to());
    Fault::new(Code::InvalidEncoding, text).hint("encode the body as UTF-8")
}

/// The fault of a body that is JSON, but no object; `json` is what it is.
#[must_use]
pub fn not_an_object(json: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("the body must be an object, got {}", came(json)))
}

/// Names a value that came instead of another one: numbers and truth values as they stand, of all
/// others the kind alone, because a text may be what somebody said.
#[must_use]
pub(crate) fn came(json: &str) -> String {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'[') => "an array".to_owned(),
        Some(b'{') => "an object".to_owned(),
        Some(b'"') => "a string".to_owned(),
        _ => format!("`{}`", json.chars().take(SHOWN_MAX).collect::<String>()),
    }
}

/// As [`came`], with short texts as they stand: for fields that hold no text of people.
#[must_use]
pub(crate) fn shown(json: &str) -> String {
    let json = json.trim();
    let is_short = json.chars().count() <= SHOWN_MAX;
    if json.starts_with('"') && is_short { format!("`{json}`") } else { came(json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], code: Code, text: &str) {
        let error = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_err();
        let fault = not_json(bytes, &error);
        assert_eq!(fault.code(), code, "{fault:?}");
        assert!(fault.text().contains(text), "{fault:?}");
        assert!(fault.hint_text().is_some(), "{fault:?}");
    }

    #[test]
    fn each_reason_is_named() {
        check(b"", Code::InvalidJson, "is empty");
        check(b" \r\n", Code::InvalidJson, "is empty");
        check(b"\xef\xbb\xbf{}", Code::InvalidJson, "byte order mark");
        check(b"{\"a\":\"\xff\"}", Code::InvalidEncoding, "byte 6");
        check(b"\xff\xfe{\0}\0", Code::InvalidEncoding, "byte 0");
        check(b"{\"a\":1,}", Code::InvalidJson, "line 1, column 8");
    }

    #[test]
    fn a_value_is_named_and_never_a_long_one() {
        assert_eq!(shown(" \"hot\" "), "`\"hot\"`");
        assert_eq!(shown(&format!("\"{}\"", "x".repeat(90))), "a string");
        assert_eq!(came("\"secret\""), "a string");
        assert_eq!(came("-1"), "`-1`");
        assert_eq!(came("[1,2]"), "an array");
        assert_eq!(came(&"9".repeat(90)).len(), SHOWN_MAX + 2);
    }
}
