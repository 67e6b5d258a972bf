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
    "rapport_",
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

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FIELDS.contains(&name.as_str())
}

/// A text without the words in it that look like keys, and without the values of fields of JSON
/// that are named like secrets.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(|c: char| is_of_a_word(c)) {
        let (before, from) = rest.split_at_checked(place).unwrap_or((rest, ""));
        out.push_str(before);
        let end = from.find(|c: char| !is_of_a_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at_checked(end).unwrap_or((from, ""));
        out.push_str(if is_key(word) { HIDDEN } else { word });
        rest = after;
        if is_secret(word)
            && let Some((between, value, after)) = json_value(rest)
            && !value.is_empty()
        {
            out.push_str(between);
            out.push_str(HIDDEN);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn is_key(word: &str) -> bool {
    word.len() >= 20 && BEGINNINGS.iter().any(|begin| word.starts_with(begin))
}

/// What follows a field's name, when that is a string of JSON: up to its quote, its inside, the
/// rest from the closing quote on.
fn json_value(rest: &str) -> Option<(&str, &str, &str)> {
    let after = rest.strip_prefix('"')?.trim_start().strip_prefix(':')?.trim_start();
    let inside = after.strip_prefix('"')?;
    let between = rest.get(..rest.len() - inside.len())?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    })?;
    Some((between, inside.get(..end)?, inside.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::{header, path, text};

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
    }
}
