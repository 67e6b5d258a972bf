//! What may be said of what an upstream sent: its own words about an error, and of a body that
//! cannot be read nothing but what it looks like, because it may repeat what people wrote.

use crate::fault::culprit::known_words;

/// Limit: characters of an excerpt.
const CHARS_MAX: usize = 300;

/// Limit: bytes that are looked at.
const BYTES_MAX: usize = 4096;

/// Limit: marks that are shown of a body's beginning.
const MARKS_MAX: usize = 24;

/// A word of at least so many letters, digits, `-` and `_` is taken for a secret.
const SECRET_CHARS_MIN: usize = 40;

/// Describes a body without repeating it: kind, length, the marks it begins with, and phrases
/// out of our own list of what errors say. Empty for an empty body.
pub(super) fn shape(bytes: &[u8]) -> String {
    let head = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let begin = text.trim_start();
    let kind = match begin.chars().next() {
        None => return String::new(),
        // A character that was cut in two at the end of the piece is none that is wrong.
        _ if text.trim_end_matches('\u{fffd}').contains('\u{fffd}') => "no text",
        Some('<') => "markup",
        Some('{') => "a JSON object",
        Some('[') => "a JSON list",
        Some(_) => "text",
    };
    // Without line ends: the same answer is described alike however these are written.
    let length = bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).count();
    let mut said = format!("{kind}, {length} bytes, that begins `{}`", marks(begin));
    let known = known_words(&text);
    if !known.is_empty() {
        said.push_str(" and says ");
        said.push_str(&known.join(", "));
    }
    said
}

/// The marks of JSON and markup a text begins with; everything between them is `…`.
fn marks(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for c in text.chars().filter(|c| !c.is_whitespace() && !c.is_control()) {
        let is_mark = matches!(c, '{' | '}' | '[' | ']' | '<' | '>' | '"' | ':' | ',' | '/');
        let shown = if is_mark { c } else { '…' };
        if shown == '…' && out.ends_with('…') {
            continue;
        }
        out.push(shown);
        count += 1;
        if count >= MARKS_MAX {
            break;
        }
    }
    out
}

/// Makes one printable line of at most 300 characters of a text: control characters and repeated
/// blanks are gone, and words that look like keys are hidden.
fn excerpt(text: &str) -> String {
    let mut end = text.len().min(BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let text = text.get(..end).unwrap_or_default();
    let without;
    let text = if text.trim_start().starts_with('<') {
        without = without_tags(text);
        without.as_str()
    } else {
        text
    };
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        hide(word, &mut out);
    }
    match out.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => out.get(..end).unwrap_or_default().to_owned() + " …",
        None => out,
    }
}

/// A sentence of an error that becomes part of ours: one short line without its full stop, in
/// which words that look like keys are hidden.
pub(super) fn sentence(text: &str) -> String {
    excerpt(text).trim_end_matches('.').to_owned()
}

fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(' ');
            }
            _ if in_tag => {}
            _ => out.push(c),
        }
    }
    out
}

fn hide(word: &str, out: &mut String) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    for piece in word.split_inclusive(|c: char| !is_part(c)) {
        let name = piece.trim_end_matches(|c: char| !is_part(c));
        if name.starts_with("sk-") || name.len() >= SECRET_CHARS_MIN {
            out.push_str("[hidden]");
            out.push_str(piece.get(name.len()..).unwrap_or_default());
        } else {
            out.push_str(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(excerpt(text), expected);
    }

    #[test]
    fn an_excerpt_is_one_printable_line() {
        check("<html>\n<title>502 Bad Gateway</title>\r\n<b>nginx</b>", "502 Bad Gateway nginx");
        check(" a\x1b[31m\0 b\t\tc\n", "a [31m b c");
        assert_eq!(excerpt(&"é ".repeat(400)).chars().count(), CHARS_MAX + 2);
        assert_eq!(sentence("It is late.\n"), "It is late");
    }

    #[test]
    fn a_shape_repeats_nothing() {
        assert_eq!(shape(b" \n"), "");
        let page = b"<html><h1>Dear Alice</h1></html>";
        assert_eq!(shape(page), "markup, 32 bytes, that begins `<…><…>…</…></…>`");
        let object = br#"{"reply": "Dear Alice", "n": [1]}"#;
        let wanted = "a JSON object, 33 bytes, that begins `{\"…\":\"…\",\"…\":[…]}`";
        assert_eq!(shape(object), wanted);
        assert_eq!(shape(b"Dear Alice"), "text, 10 bytes, that begins `…`");
        assert_eq!(shape(b"\xff\xfe Alice"), "no text, 8 bytes, that begins `…`");
        let text = "Alice: the model gpt-9 does not exist, or rate limit";
        let wanted =
            "text, 52 bytes, that begins `…:…,…` and says rate limit, model does not exist";
        assert_eq!(shape(text.as_bytes()), wanted);
    }

    #[test]
    fn what_looks_like_a_key_is_hidden() {
        check("key `sk-ant-api03-abc`, no", "key `[hidden]`, no");
        let token = "x".repeat(40);
        check(&format!("Bearer {token}!"), "Bearer [hidden]!");
    }
}
