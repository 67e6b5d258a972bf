//! Patterns of names, in which `*` stands for any characters, and where it is promised `?` for one.

/// Whether the whole text is what a pattern with `*` says.
///
/// ```
/// assert!(wire::pattern::stars("read_*", "read_file"));
/// assert!(!wire::pattern::stars("read_?", "read_x"));
/// ```
#[must_use]
pub fn stars(pattern: &str, text: &str) -> bool {
    fits(pattern, text, false)
}

/// Whether the whole text is what a pattern with `*` and `?` says.
///
/// ```
/// assert!(wire::pattern::wild("gpt-?", "gpt-5"));
/// ```
#[must_use]
pub fn wild(pattern: &str, text: &str) -> bool {
    fits(pattern, text, true)
}

/// Compares without going back further than to the last star, so in at most `pattern · text` steps.
fn fits(pattern: &str, text: &str, has_marks: bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // What is behind the last star, and where the text stood when it was last tried.
    let mut star = None;
    loop {
        let rest = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                text = rest;
                star = Some((pattern.clone(), text.clone()));
                continue;
            }
            (None, None) => return true,
            (Some(wanted), Some(came)) if wanted == came || has_marks && wanted == '?' => continue,
            (_, None) => return false,
            (_, Some(_)) => {}
        }
        let Some((behind, from)) = &mut star else { return false };
        // The star takes one character more.
        from.next();
        pattern = behind.clone();
        text = from.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compared_with_the_whole_text() {
        for (pattern, text, expected) in [
            ("claude-*", "claude-haiku-5-5", true),
            ("claude-*", "my-claude-x", false),
            ("*mini", "gpt-5.4-mini", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab-a", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "x", false),
            ("", "", true),
            ("gpt", "gpt-5", false),
            ("größe-*", "größe-ü", true),
            ("/v1/*/x", "/v1/a/b/x", true),
            ("a**b", "ab", true),
        ] {
            assert_eq!(stars(pattern, text), expected, "{pattern} {text}");
            assert_eq!(wild(pattern, text), expected, "{pattern} {text}");
        }
        assert!(wild("gpt-?", "gpt-ü") && !wild("gpt-?", "gpt-") && !wild("gpt-?", "gpt-55"));
        assert!(stars("a?", "a?") && !stars("a?", "ab"), "a mark is a character of its own");
        assert!(!wild(&"*a".repeat(100), &"b".repeat(10_000)), "and ends soon");
    }
}
