//! Makes command lines and lines of logs fit to print: one line, short, without secrets.

/// Limit: how much of a command line is shown.
const COMMAND_CHARS_MAX: usize = 160;

const HIDDEN: &str = "[hidden]";

/// Words in the name of a flag or variable whose value is not shown.
const SECRET_WORDS: &[&str] =
    &["key", "token", "secret", "password", "passwd", "auth", "credential", "bearer"];

/// Beginnings of values that are keys whatever the flag is called.
const SECRET_STARTS: &[&str] = &["sk-", "sk_", "ghp_", "gho_", "xoxb-", "AKIA", "eyJ"];

/// Beginnings that words have as well: only long ones are keys.
const LONG_STARTS: &[&str] =
    &["AIza", "github_pat_", "gsk_", "hf_", "rap_", "rk_", "whsec_", "xai-"];

/// Limit: how much of a line of a log is shown.
const LINE_CHARS_MAX: usize = 240;

/// A line that another program wrote, without what looks like a secret: keys wherever they stand,
/// and what follows a name such as `api_key=`, `"token": ` or `Bearer `.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::new();
    let mut next_is_secret = false;
    let is_part = |c: char| c.is_alphanumeric() || "_-./+=~@".contains(c);
    let clean = text.chars().take(LINE_CHARS_MAX * 4).filter(|c| !c.is_control() || *c == '\t');
    let mut rest = without_passwords(&clean.collect::<String>());
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let mut tail = rest.split_off(end);
        if !is_part(first) {
            shown.push_str(&rest);
        } else if next_is_secret && !is_scheme(&rest) && rest != "=" {
            shown.push_str(HIDDEN);
            next_is_secret = false;
            // A password may have any signs; it goes on to where such a value ends.
            let is_end = |c: char| c.is_whitespace() || "\"',;&)]}".contains(c);
            tail = tail.split_off(tail.find(is_end).unwrap_or(tail.len()));
        } else {
            let (word, announces) = word(&rest);
            shown.push_str(&word);
            let follows = tail.trim_start_matches(['"', '\'']);
            let assigns = follows.starts_with([':', '=']);
            // `Bearer` announces a secret, also after a name that does.
            let is_scheme =
                is_scheme(&rest) && (next_is_secret || rest.eq_ignore_ascii_case("bearer"));
            next_is_secret = (announces && assigns) || is_scheme;
        }
        rest = tail;
    }
    match shown.char_indices().nth(LINE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", shown.get(..at).unwrap_or_default()),
        None => shown,
    }
}

/// Words that stand between the name of a header and its secret.
fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token"].contains(&word.to_ascii_lowercase().as_str())
}

/// Whether a name is that of a secret by its last part: `api_key`, and not `tokenizer`.
fn announces(name: &str) -> bool {
    const LAST: &[&str] = &["authorization", "key", "passwd", "password", "secret", "token"];
    let lower = name.to_ascii_lowercase();
    lower.len() < 40 && LAST.iter().any(|last| lower.ends_with(last))
}

/// Addresses without the name and password before their `@`.
fn without_passwords(text: &str) -> String {
    let hide = |word: &str| {
        let (scheme, rest) = word.split_once("://")?;
        // A password may have an `@` of its own.
        let (_, host) = rest.rsplit_once('@')?;
        Some(format!("{scheme}://{HIDDEN}@{host}"))
    };
    let words = text.split(' ').map(|word| hide(word).unwrap_or_else(|| word.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// A word of a line as it may be shown, and whether it announces a secret.
fn word(word: &str) -> (String, bool) {
    let (text, _) = one(word);
    let is_long = word.len() >= 12;
    if text != word || !is_long || !SECRET_STARTS.iter().any(|start| word.contains(start)) {
        return (text, announces(word));
    }
    // A key in the middle of a word, such as `key:sk-…`.
    (HIDDEN.to_owned(), false)
}

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
    let begins = |starts: &[&str]| starts.iter().any(|start| word.starts_with(start));
    if begins(SECRET_STARTS) || word.len() >= 20 && begins(LONG_STARTS) {
        return (HIDDEN.to_owned(), false);
    }
    if let Some((name, _)) = word.split_once('=')
        && is_secret_name(name)
    {
        return (format!("{name}={HIDDEN}"), false);
    }
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        return (format!("{scheme}://{HIDDEN}@{host}"), false);
    }
    (word.to_owned(), word.starts_with('-') && is_secret_name(word))
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.len() < 40 && SECRET_WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn lines_of_logs_lose_their_secrets_and_nothing_else() {
        let kept = [
            "OSError: [Errno 98] Address already in use: ('127.0.0.1', 61900)",
            "GET /v1/models 200 in 3 ms",
            "the tokenizer: loaded 32000 tokens",
            "key error in line 3",
            "hf_transfer is used, rap_mode too",
        ];
        for text in kept {
            assert_eq!(line(text), text);
        }
        for (text, secret) in [
            ("curl -H Bearer abc.def-ghi", "abc.def"),
            ("Authorization: Bearer abc.def-ghi", "abc.def"),
            ("{\"api_key\": \"hunter2hunter2\", \"a\": 1}", "hunter2"),
            ("OPENAI_API_KEY=abcdefgh start", "abcdefgh"),
            ("password: hunter2", "hunter2"),
            ("Incorrect API key provided: sk-proj-abcdefghijklmnop.", "abcdefgh"),
            ("postgres://app:hunter2@db:5432/x", "hunter2"),
            ("postgres://app:ab@hunter2@db:5432/x", "hunter2"),
            ("password: ab$hunter2!, more", "hunter2"),
            ("{\"password\": \"ab#hunter2\", \"a\": 1}", "hunter2"),
            ("x-api-key=sk-ant-aaaaaaaaaaaaaaaa", "aaaa"),
            ("refused rap_share_0123456789abcdef0123", "0123456789"),
            ("using AIzaSyA0123456789abcdefghij now", "0123456789"),
        ] {
            let shown = line(text);
            assert!(!shown.contains(secret) && shown.contains("[hidden]"), "{shown}");
        }
        assert_eq!(line("\u{1b}[31mred\r"), "[31mred");
        assert!(line(&"x y ".repeat(900)).chars().count() < 260);
    }
}
