//! What users hand to commands: words, files, standard input, JSON.

use std::io::{IsTerminal, Read};

use anyhow::Context as _;
use serde_json::Value;

use super::Frame;
use crate::remote::{Class, Failure};

/// Limit: bytes of a file or of standard input; the server takes no more in one request.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The words as one text; a lone `-` means standard input.
///
/// # Errors
/// As [`file()`].
pub(super) fn text(words: &[String]) -> Result<String, Failure> {
    match words {
        [word] if word == "-" => Ok(input()?.trim_end_matches(['\n', '\r']).to_owned()),
        words => Ok(words.join(" ")),
    }
}

/// The text of a file; `-` is standard input.
///
/// # Errors
/// [`Class::Unchecked`] when it cannot be read, is too long or is not UTF-8.
pub(super) fn file(path: &str) -> Result<String, Failure> {
    if path == "-" {
        return input();
    }
    let opened = std::fs::File::open(path).map_err(|error| {
        Failure::new(Class::Unchecked, format!("cannot read `{path}`: {error}"))
    })?;
    read(opened, path)
}

/// A time such as `30d`, `12h`, `15m` or `600`, in seconds; never 0.
///
/// # Errors
/// What would have been right.
pub(super) fn span(text: &str) -> Result<u64, String> {
    match span_or_never(text)? {
        0 => Err(format!("`{text}` is no time: write one like 30d, 12h, 15m or 600")),
        seconds => Ok(seconds),
    }
}

/// As [`span`], but 0 is taken too.
///
/// # Errors
/// What would have been right.
pub(super) fn span_or_never(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time: write one like 30d, 12h, 15m or 600");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_none| wrong())?;
    number.checked_mul(seconds).ok_or_else(wrong)
}

fn input() -> Result<String, Failure> {
    read(std::io::stdin().lock(), "standard input")
}

/// The text of what is read, named after where it came from.
///
/// # Errors
/// As [`file()`].
pub(super) fn read(from: impl Read, name: &str) -> Result<String, Failure> {
    let wrong =
        |why: String| Failure::new(Class::Unchecked, format!("cannot read `{name}`: {why}"));
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(wrong(format!("it is longer than {BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("it is not UTF-8 (from byte {at} on)"))
    })
}

/// Somebody sits at the keyboard.
pub(super) fn is_typed() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks somebody at the keyboard; anything but yes is no.
///
/// # Errors
/// When the answer cannot be read.
pub(super) fn agreed(frame: &mut Frame, question: &str) -> anyhow::Result<bool> {
    frame.printer.note(&format!("{question} [y/N]"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("cannot read the answer")?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// A JSON object, named after the place where it was written.
///
/// # Errors
/// [`Class::Usage`] for anything else.
pub(super) fn object(text: &str, place: &str) -> Result<Value, Failure> {
    let wrong = |why: String| {
        Failure::new(Class::Usage, format!("`{place}` must be a JSON object: {why}"))
            .hint("write one like '{\"topic\":\"travel\"}', in single quotes for the shell")
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(other) => Err(wrong(format!("got `{other}`"))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_objects() {
        assert!(object("{\"a\":1}", "--state").is_ok());
        for text in ["[1]", "1", "{a:1}", ""] {
            let failure = object(text, "--state").unwrap_err();
            assert_eq!(failure.class(), Class::Usage);
            assert!(failure.to_string().starts_with("`--state` must be a JSON object"));
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").display().to_string();
        std::fs::write(&path, b"ab\xff").unwrap();
        assert!(file(&path).unwrap_err().to_string().contains("from byte 2 on"));
        assert_eq!(file("nowhere").unwrap_err().class(), Class::Unchecked);
    }

    #[test]
    fn a_time_has_a_unit_or_is_seconds() {
        assert_eq!(span("2h"), Ok(7200));
        assert_eq!(span("600"), Ok(600));
        assert_eq!(span_or_never("0"), Ok(0));
        for wrong in ["0", "", "d", "1y", "-1", "1.5h", "99999999999999999999w"] {
            assert!(span(wrong).unwrap_err().contains(&format!("`{wrong}`")));
        }
    }
}
