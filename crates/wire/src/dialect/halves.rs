//! Strings with halves of characters in them, which some servers cut out of the middle of one.

/// Reads a JSON string whose escapes name halves of characters without their other half: each
/// becomes U+FFFD. `None` for a text that is no string.
pub(super) fn mended(json: &str) -> Option<String> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut mended = String::with_capacity(json.len());
    mended.push('"');
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        mended.push_str(before);
        mended.push('\\');
        rest = match unit(after) {
            Some((unit, behind)) => {
                let low = behind.strip_prefix('\\').and_then(self::unit);
                match low.filter(|(low, _)| is_high(unit) && is_low(*low)) {
                    Some((_, behind)) => {
                        // Both halves are there.
                        let length = after.len().saturating_sub(behind.len());
                        mended.push_str(after.get(..length)?);
                        behind
                    }
                    None if is_high(unit) || is_low(unit) => {
                        mended.push_str("ufffd");
                        behind
                    }
                    None => {
                        mended.push_str(after.get(..5)?);
                        behind
                    }
                }
            }
            None => {
                // Another escape: its letter is no beginning of one.
                let (letter, behind) = after.split_at_checked(1)?;
                mended.push_str(letter);
                behind
            }
        };
    }
    mended.push_str(rest);
    mended.push('"');
    serde_json::from_str(&mended).ok()
}

/// Reads `uXXXX`; gives the number and what follows.
fn unit(text: &str) -> Option<(u16, &str)> {
    let digits = text.strip_prefix('u')?;
    let (digits, behind) = digits.split_at_checked(4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, behind))
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<&str>) {
        assert_eq!(mended(json).as_deref(), expected, "{json}");
    }

    #[test]
    fn halves_become_marks_and_wholes_stay() {
        check(r#""a\ud83d""#, Some("a\u{fffd}"));
        check(r#""\ude00\ud83d""#, Some("\u{fffd}\u{fffd}"));
        check(r#""\ud83d\ud83d\ude00""#, Some("\u{fffd}\u{1f600}"));
        check(r#""\uD83D\uDE00""#, Some("\u{1f600}"));
        check(r#""\\ud83d""#, Some("\\ud83d"));
        check(r#""\\\ud83d\"\n\u00e9""#, Some("\\\u{fffd}\"\né"));
        check(r#""\ud83d\n""#, Some("\u{fffd}\n"));
        check(r#""é\ud83dé""#, Some("é\u{fffd}é"));
    }

    #[test]
    fn what_is_no_string_stays_none() {
        for json in ["", "1", "null", "\"", r#""\""#, r#""\x""#, r#""\u12""#, r#""\é""#] {
            check(json, None);
        }
    }
}
