//! Makes a command line fit to print: one line, short, without secrets.

/// Limit: how much of a command line is shown.
const COMMAND_CHARS_MAX: usize = 160;

const HIDDEN: &str = "[hidden]";

/// Words in the name of a flag or variable whose value is not shown.
const SECRET_WORDS: &[&str] =
    &["key", "token", "secret", "password", "passwd", "auth", "credential", "bearer"];

/// Beginnings of values that are keys whatever the flag is called.
const SECRET_STARTS: &[&str] = &["sk-", "sk_", "ghp_", "gho_", "xoxb-", "AKIA", "eyJ"];

/// Joins the words of a command line and leaves out what looks like a secret.
pub(super) fn command_line<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut next_is_secret = false;
    for word in words {
        if next_is_secret && !word.starts_with('-') {
            shown.push(HIDDEN.to_owned());
            next_is_secret = false;
            continue;
        }
        let (text, announces) = one(word);
        next_is_secret = announces;
        shown.push(text);
    }
    let line: String =
        shown.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().nth(COMMAND_CHARS_MAX).is_some() {
        line.chars().take(COMMAND_CHARS_MAX).chain(['…']).collect()
    } else {
        line
    }
}

/// The word as it may be shown, and whether the next one is its secret value.
fn one(word: &str) -> (String, bool) {
    if SECRET_STARTS.iter().any(|start| word.starts_with(start)) {
        return (HIDDEN.to_owned(), false);
    }
    if let Some((name, _)) = word.split_once('=')
        && is_secret_name(name)
    {
        return (format!("{name}={HIDDEN}"), false);
    }
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((_, host)) = rest.split_once('@')
    {
        return (format!("{scheme}://{HIDDEN}@{host}"), false);
    }
    (word.to_owned(), word.starts_with('-') && is_secret_name(word))
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.len() < 40 && SECRET_WORDS.iter().any(|word| lower.contains(word))
}
