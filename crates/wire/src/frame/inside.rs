//! What the inside of a JSON string says.

use super::marks::{Hidden, blocks};

/// What the inside of a string says; `None` when it holds half a character.
pub(crate) fn unescaped(inner: &str) -> Option<String> {
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
pub(crate) fn escape(text: &str) -> Option<(char, usize)> {
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
