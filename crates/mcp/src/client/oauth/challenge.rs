//! What a server says when it wants to know who asks: the header `WWW-Authenticate`.

/// What a server wants to be shown, as far as it concerns bearer tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Where it says who knows its users.
    pub(super) resource_metadata: Option<String>,
    /// The rights it wants.
    pub(super) scopes: Vec<String>,
    /// What was wrong with what it was shown.
    pub(super) error: Option<String>,
}

impl Challenge {
    /// Reads the headers; what is no challenge for a bearer token says nothing.
    pub(super) fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for header in headers {
            let mut scheme = String::new();
            let mut rest = header;
            while let Some((word, after)) = word(rest) {
                let (value, after) = value(after);
                rest = after;
                match value {
                    // A word without a value begins the next challenge.
                    None => scheme = word.to_ascii_lowercase(),
                    Some(value) if scheme == "bearer" => found.take(word, value),
                    Some(_) => {}
                }
            }
        }
        found
    }

    fn take(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => self.resource_metadata = Some(value),
            "scope" => self.scopes = words(&value),
            "error" => self.error = Some(value),
            _ => {}
        }
    }
}

/// The words of a list, each once.
pub(super) fn words(list: &str) -> Vec<String> {
    // Limit: rights that are asked for at once.
    const WORDS_MAX: usize = 200;
    let mut out: Vec<String> = Vec::new();
    for word in list.split_ascii_whitespace().take(WORDS_MAX) {
        if !out.iter().any(|known| known == word) {
            out.push(word.to_owned());
        }
    }
    out
}

/// The next word and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',', '=']);
    let ends = |c: char| c == '=' || c == ',' || c.is_ascii_whitespace();
    let end = text.find(ends).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

/// The value that a word is given, if it is given one.
fn value(text: &str) -> (Option<String>, &str) {
    let Some(rest) = text.trim_start_matches([' ', '\t']).strip_prefix('=') else {
        return (None, text);
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ', '\t']).unwrap_or(rest.len());
        let (value, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        return (Some(value.to_owned()), after);
    };
    let mut out = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (Some(out), quoted.get(at + 1..).unwrap_or("")),
            '\\' => out.extend(letters.next().map(|(_, escaped)| escaped)),
            other => out.push(other),
        }
    }
    (Some(out), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[&str]) -> Challenge {
        Challenge::read(headers.iter().copied())
    }

    #[test]
    fn a_challenge_is_read_however_it_is_written() {
        let plain = read(&[
            r#"Bearer error="invalid_token", scope="a b a", resource_metadata="https://x/m""#,
        ]);
        assert_eq!(plain.resource_metadata.as_deref(), Some("https://x/m"));
        assert_eq!(
            (plain.scopes.join(" "), plain.error.as_deref()),
            ("a b".to_owned(), Some("invalid_token"))
        );
        let tight = read(&[r#"bearer scope=read,error=insufficient_scope"#]);
        assert_eq!(
            (tight.scopes, tight.error.as_deref()),
            (vec!["read".to_owned()], Some("insufficient_scope"))
        );
        let others =
            read(&[r#"Basic realm="a, scope=\"x\"", Bearer scope="y""#, "Negotiate abc=="]);
        assert_eq!(others.scopes, ["y"]);
        assert_eq!(read(&["Basic scope=x"]), Challenge::default(), "not of another scheme");
        assert_eq!(read(&["Bearer"]), Challenge::default());
    }

    #[test]
    fn no_text_from_outside_is_too_strange() {
        for text in [
            "",
            "=",
            "\"",
            "Bearer a=\"",
            "Bearer a=\"\\",
            ",,,=",
            "Bearer =x",
            "ä=ö",
            "Bearer \u{e4}=\"\u{f6}",
        ] {
            read(&[text]);
        }
    }
}
