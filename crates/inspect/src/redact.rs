//! Takes secrets out of what is shown and stored.

/// Headers whose values nobody else should see.
const HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "set-cookie",
    "x-amz-security-token",
    "x-auth-token",
];

/// Names of fields and parameters whose values are secrets.
const FIELDS: &[&str] = &[
    "api_key",
    "apikey",
    "api-key",
    "access_token",
    "refresh_token",
    "client_secret",
    "password",
    "secret",
    "token",
    "key",
];

/// How keys of the usual providers begin.
const BEGINNINGS: &[&str] = &[
    "sk-",
    "sk_",
    "rk_",
    "xai-",
    "gsk_",
    "AIza",
    "ghp_",
    "github_pat_",
    "hf_",
    "AKIA",
    "rap_",
    "whsec_",
];

/// What stands in the place of a secret.
pub const HIDDEN: &str = "[hidden]";

/// A header's value as it may be shown.
#[must_use]
pub fn header(name: &str, value: &str) -> String {
    if !HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return text(value);
    }
    // The scheme says what kind of secret it was.
    match value.split_once(' ') {
        Some((scheme, _)) if scheme.len() <= 12 && !scheme.contains('=') => {
            format!("{scheme} {HIDDEN}")
        }
        _ => HIDDEN.to_owned(),
    }
}

/// A path with its query as it may be shown.
#[must_use]
pub fn path(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => text(pair),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FIELDS.contains(&name.as_str())
}

/// A text without the words in it that look like keys, and without the values of fields of JSON
/// that are named like secrets.
#[must_use]
pub fn text(text: &str) -> String {
    without(text, &mut |_| HIDDEN.to_owned())
}

/// The text with something else in the place of each secret.
fn without(text: &str, instead: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(|c: char| is_of_a_word(c)) {
        let (before, from) = rest.split_at_checked(place).unwrap_or((rest, ""));
        out.push_str(before);
        let end = from.find(|c: char| !is_of_a_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at_checked(end).unwrap_or((from, ""));
        if is_key(word) {
            out.push_str(&instead(word));
        } else {
            out.push_str(word);
        }
        rest = after;
        if is_secret(word)
            && let Some((between, value, after)) = json_value(rest)
            && !value.is_empty()
        {
            out.push_str(between);
            out.push_str(&instead(value));
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// A text to be edited: each secret has a place-holder with a number, such as `[hidden 1]`, by
/// which [`put_back`] finds it again.
pub(crate) fn numbered(text: &str) -> String {
    secrets(text).0
}

/// What was made of a [`numbered`] text, with the secrets of the original put back.
///
/// # Errors
/// Names a place-holder that stands for no secret of the original.
pub(crate) fn put_back(edited: &str, original: &str) -> Result<String, String> {
    let (_, secrets) = secrets(original);
    let mut out = String::with_capacity(edited.len());
    let mut rest = edited;
    while let Some(place) = rest.find(MARK) {
        let (before, from) = rest.split_at_checked(place).unwrap_or((rest, ""));
        out.push_str(before);
        let inside = from.get(MARK.len()..).unwrap_or_default();
        let end = inside.find(|c: char| c != ' ' && !c.is_ascii_digit()).unwrap_or(inside.len());
        let length = MARK.len() + end;
        let is_mark = inside.get(end..).is_some_and(|after| after.starts_with(']'));
        let (mark, after) =
            from.split_at_checked(length + usize::from(is_mark)).unwrap_or((from, ""));
        match secrets.iter().find(|(known, _)| known == mark) {
            Some((_, secret)) => out.push_str(secret),
            None if !is_mark || original.contains(mark) => out.push_str(mark),
            None => return Err(stray(mark, secrets.len())),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn stray(mark: &str, known: usize) -> String {
    match known {
        0 => format!("`{mark}` stands for no secret: none is hidden in this body"),
        _ => format!(
            "`{mark}` stands for no secret: {known} are hidden in this body, and `request.edit` of \
             the exchange shows each as `{MARK} N]`; keep those, or write a value in their place"
        ),
    }
}

/// How every place-holder begins.
const MARK: &str = "[hidden";

/// A text with its secrets numbered, and each place-holder with what it stands for.
fn secrets(text: &str) -> (String, Vec<(String, String)>) {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut number = 0_u32;
    let numbered = without(text, &mut |secret| {
        let mark = loop {
            number = number.saturating_add(1);
            let mark = format!("{MARK} {number}]");
            // What a body says of itself stands for itself.
            if number == u32::MAX || !text.contains(&mark) {
                break mark;
            }
        };
        found.push((mark.clone(), secret.to_owned()));
        mark
    });
    (numbered, found)
}

fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn is_key(word: &str) -> bool {
    word.len() >= 20 && BEGINNINGS.iter().any(|begin| word.starts_with(begin))
}

/// What follows a field's name, when that is a string of JSON: up to its quote, its inside, the
/// rest from the closing quote on. One that was cut off goes on to the end.
fn json_value(rest: &str) -> Option<(&str, &str, &str)> {
    let after = rest.strip_prefix('"')?.trim_start().strip_prefix(':')?.trim_start();
    let inside = after.strip_prefix('"')?;
    let between = rest.get(..rest.len() - inside.len())?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    let end = end.unwrap_or(inside.len());
    Some((between, inside.get(..end)?, inside.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::{header, numbered, path, put_back, text};

    #[test]
    fn secrets_go_and_the_rest_stays() {
        assert_eq!(header("Authorization", "Bearer abc"), "Bearer [hidden]");
        assert_eq!(header("X-Api-Key", "sk-ant"), "[hidden]");
        assert_eq!(header("Accept", "text/html"), "text/html");
        assert_eq!(path("/v1beta/m?key=AIzaSy&alt=sse"), "/v1beta/m?key=[hidden]&alt=sse");
        assert_eq!(
            text(
                r#"{"api_key": "abc\"d", "keys": "x", "note": "use sk-ant-api03-0123456789abcdef"}"#
            ),
            r#"{"api_key": "[hidden]", "keys": "x", "note": "use [hidden]"}"#
        );
        assert_eq!(
            text("max_tokens is 5, a monkey, sk-short"),
            "max_tokens is 5, a monkey, sk-short"
        );
        assert_eq!(text(r#"{"token":""}"#), r#"{"token":""}"#);
        // Those of this program, and what was cut off.
        let own = format!("use rap_{0} and rap_share_{0}", "a1".repeat(19));
        assert_eq!(text(&own), "use [hidden] and [hidden]");
        assert_eq!(
            text("rapport_requests_in_flight_total 3"),
            "rapport_requests_in_flight_total 3"
        );
        assert_eq!(text(r#"{"token":"abc"#), r#"{"token":"[hidden]"#);
    }

    #[test]
    fn an_edited_text_gets_its_secrets_back_and_no_place_holder_goes_out() {
        let original = r#"{"password":"a\"b","note":"[hidden 1] [hidden","token":"second"}"#;
        let shown = numbered(original);
        assert_eq!(
            shown,
            r#"{"password":"[hidden 2]","note":"[hidden 1] [hidden","token":"[hidden 3]"}"#
        );
        assert_eq!(put_back(&shown, original).as_deref(), Ok(original));
        // Moved, taken away, written anew.
        let edited = r#"{"token":"[hidden 2]","note":"[hidden 1]","password":"mine"}"#;
        let sent = r#"{"token":"a\"b","note":"[hidden 1]","password":"mine"}"#;
        assert_eq!(put_back(edited, original).as_deref(), Ok(sent));
        for stray in ["[hidden]", "[hidden 9]"] {
            let why = put_back(stray, original).unwrap_err();
            assert!(why.contains(&format!("`{stray}`")) && why.contains("2 are hidden"), "{why}");
        }
        assert!(put_back("[hidden]", "{}").unwrap_err().contains("none is hidden"));
        assert_eq!(put_back("[hidden] ok", "was [hidden]").as_deref(), Ok("[hidden] ok"));
        assert_eq!(put_back("é[hidden 12é", "x").as_deref(), Ok("é[hidden 12é"));
    }
}
