//! Short, safe excerpts of what an upstream sent: for error texts and the log.

/// Limit: characters of an excerpt.
const CHARS_MAX: usize = 300;

/// Limit: bytes that are looked at for an excerpt.
const BYTES_MAX: usize = 4096;

/// A word of at least so many letters, digits, `-` and `_` is taken for a secret.
const SECRET_CHARS_MIN: usize = 40;

/// Makes one printable line of at most 300 characters: tags, control characters and repeated
/// blanks are gone, and words that look like keys are hidden.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let head = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let text = if text.trim_start().starts_with('<') { without_tags(&text) } else { text.into() };
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

/// The same for a sentence that becomes part of ours: without its full stop.
pub(super) fn sentence(text: &str) -> String {
    excerpt(text.as_bytes()).trim_end_matches('.').to_owned()
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
        assert_eq!(excerpt(text.as_bytes()), expected);
    }

    #[test]
    fn an_excerpt_is_one_printable_line() {
        check("<html>\n<title>502 Bad Gateway</title>\r\n<b>nginx</b>", "502 Bad Gateway nginx");
        check(" a\x1b[31m\0 b\t\tc\n", "a [31m b c");
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(excerpt("é ".repeat(400).as_bytes()).chars().count(), CHARS_MAX + 2);
        assert_eq!(sentence("It is late.\n"), "It is late");
    }

    #[test]
    fn what_looks_like_a_key_is_hidden() {
        check("key `sk-ant-api03-abc`, no", "key `[hidden]`, no");
        let token = "x".repeat(40);
        check(&format!("Bearer {token}!"), "Bearer [hidden]!");
    }
}
