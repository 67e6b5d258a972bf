//! Rules: what the inspector does to traffic that matches, to see how a program takes it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::pattern::stars;

use crate::http::Head;

/// A rule, as `path=/v1/* status=529 every=3`.
#[derive(Debug, Default)]
pub struct Rule {
    text: String,
    path: Option<String>,
    method: Option<String>,
    body: Option<String>,
    every: u64,
    percent: Option<u64>,
    seen: AtomicU64,
    /// What is done.
    pub deed: Deed,
}

/// What a rule does; everything that is set is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// Wait before the request goes on.
    pub delay: Option<Duration>,
    /// Hold the request until somebody lets it go.
    pub pause: bool,
    /// Close the connection without an answer.
    pub drop: bool,
    /// Answer with this status instead of asking the target.
    pub status: Option<u16>,
    /// With this `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Close the connection after so many bytes of the answer's body.
    pub cut: Option<u64>,
    /// Pass on no more after so many bytes of the answer's body, and keep the connection.
    pub stall: Option<u64>,
    /// Request headers to set; an empty value takes one away.
    pub set: Vec<(String, String)>,
    /// Response headers to set; an empty value takes one away.
    pub reply_set: Vec<(String, String)>,
    /// Text to put in the place of another in the request's body.
    pub replace: Option<(String, String)>,
}

/// Why a rule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

const WORDS: &str = "path, method, body, every, percent, delay, pause, drop, status, retry-after, \
                     cut, stall, set, reply-set, replace";

/// The words of rules of step mode.
const STEP_WORDS: &str = "at, path, method, body, every, percent, delay, pause, drop";

impl Rule {
    /// Reads a rule: words with a blank between them, `"…"` around one that has a blank in it.
    ///
    /// # Errors
    /// When a word is not known or its value is none, or nothing is to be done.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut rule = Self { text: text.trim().to_owned(), every: 1, ..Self::default() };
        for word in words(text) {
            let (name, value) = word.split_once('=').unwrap_or((word.as_str(), ""));
            rule.word(name, value)
                .map_err(|why| Unreadable(format!("`{word}` in the rule `{}` {why}", rule.text)))?;
        }
        if rule.deed == Deed::default() {
            let text = format!("the rule `{}` does nothing: add one of {WORDS}", rule.text);
            return Err(Unreadable(text));
        }
        Ok(rule)
    }

    fn word(&mut self, name: &str, value: &str) -> Result<(), String> {
        let deed = &mut self.deed;
        match name {
            "path" => self.path = Some(value.to_owned()),
            "method" => self.method = Some(value.to_ascii_uppercase()),
            "body" => self.body = Some(value.to_owned()),
            "every" => self.every = number(value)?.max(1),
            "percent" => self.percent = Some(number(value)?.min(100)),
            "delay" => deed.delay = Some(duration(value)?),
            "pause" => deed.pause = true,
            "drop" => deed.drop = true,
            "status" => {
                let status = u16::try_from(number(value)?).ok();
                let fits = status.filter(|status| (200..600).contains(status));
                deed.status = Some(fits.ok_or("must be a status from 200 to 599")?);
            }
            "retry-after" => deed.retry_after = Some(number(value)?),
            "cut" => deed.cut = Some(number(value)?),
            "stall" => deed.stall = Some(number(value)?),
            "set" => deed.set.push(pair(value, ':')?),
            "reply-set" => deed.reply_set.push(pair(value, ':')?),
            "replace" => deed.replace = Some(pair(value, '>')?),
            _ => return Err(format!("is no word of a rule; there are: {WORDS}")),
        }
        Ok(())
    }

    /// Reads a rule of step mode, such as `at=prompt path=/v1/*`: the point among `points` that it
    /// is for, nothing for all of them, and the rule. Where nothing else is to be done it pauses.
    ///
    /// # Errors
    /// As [`Rule::parse`], and for what cannot be done to a call inside a server.
    pub fn step<'a>(text: &str, points: &[&'a str]) -> Result<(Option<&'a str>, Self), Unreadable> {
        let mut rule = Self { text: text.trim().to_owned(), every: 1, ..Self::default() };
        let mut at = None;
        for word in words(text) {
            let (name, value) = word.split_once('=').unwrap_or((word.as_str(), ""));
            let read = if name == "at" {
                at = points.iter().find(|point| **point == value).copied();
                at.map(drop).ok_or_else(|| format!("must be one of {}", points.join(", ")))
            } else if STEP_WORDS.split(", ").any(|known| known == name) {
                rule.word(name, value)
            } else {
                Err(format!("is no word of a rule here; there are: {STEP_WORDS}"))
            };
            read.map_err(|why| Unreadable(format!("`{word}` in the rule `{}` {why}", rule.text)))?;
        }
        rule.deed.pause |= rule.deed == Deed::default();
        Ok((at, rule))
    }

    /// Whether the rule acts on this request. Counts those that it is for.
    #[must_use]
    pub fn acts(&self, head: &Head, body: Option<&[u8]>) -> bool {
        if self.method.as_ref().is_some_and(|method| method != head.method()) {
            return false;
        }
        if self.path.as_ref().is_some_and(|glob| !stars(glob, head.path())) {
            return false;
        }
        if let Some(needle) = &self.body
            && !body.is_some_and(|body| contains(body, needle.as_bytes()))
        {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        if let Some(percent) = self.percent {
            // The same requests every time the same program runs: 61 has no factor with 100.
            return number.wrapping_mul(61) % 100 < percent;
        }
        (number + 1).is_multiple_of(self.every)
    }

    /// Whether the rule has to see the body before it knows, or before the request goes on.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        self.body.is_some() || self.deed.replace.is_some() || self.deed.pause
    }

    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn number(value: &str) -> Result<u64, String> {
    value.parse().ok().ok_or_else(|| "must be a whole number".to_owned())
}

fn duration(value: &str) -> Result<Duration, String> {
    let wrong = || "must be a time such as `200ms` or `3s`".to_owned();
    let (digits, unit) = match value.find(|c: char| !c.is_ascii_digit()) {
        Some(place) => value.split_at_checked(place).ok_or_else(wrong)?,
        None => (value, "ms"),
    };
    let count: u64 = digits.parse().ok().ok_or_else(wrong)?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        _ => Err(wrong()),
    }
}

fn pair(value: &str, between: char) -> Result<(String, String), String> {
    let (name, value) = value
        .split_once(between)
        .ok_or_else(|| format!("must be two texts with `{between}` between them"))?;
    if name.is_empty() {
        return Err(format!("has nothing before its `{between}`"));
    }
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Cuts a text at its blanks; those between quotes stay.
pub(crate) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::http::{Head, Side};
    use std::time::Duration;

    fn head(line: &str) -> Head {
        Head::read(format!("{line} HTTP/1.1\r\n\r\n").as_bytes(), Side::Ask).unwrap().unwrap()
    }

    #[test]
    fn a_rule_acts_on_what_it_names_and_as_often_as_it_says() {
        let rule = Rule::parse("path=/v1/* method=post status=529 retry-after=2 every=3").unwrap();
        assert_eq!((rule.deed.status, rule.deed.retry_after), (Some(529), Some(2)));
        assert!(!rule.acts(&head("GET /v1/x"), None));
        assert!(!rule.acts(&head("POST /v2/x"), None));
        let acted: Vec<bool> = (0..6).map(|_| rule.acts(&head("POST /v1/x"), None)).collect();
        assert_eq!(acted, [false, false, true, false, false, true]);
        let some = Rule::parse("percent=25 drop").unwrap();
        assert_eq!((0..100).filter(|_| some.acts(&head("GET /"), None)).count(), 25);
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_which_word() {
        let why = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert!(why("path=/x stauts=500").starts_with("`stauts=500` in the rule"));
        assert!(why("status=99").contains("from 200 to 599"));
        assert!(why("delay=3h").contains("such as `200ms`"));
        assert!(why("path=/x").contains("does nothing"));
        assert!(why("set=x").contains("two texts with `:`"));
    }

    #[test]
    fn a_rule_of_step_mode_names_its_point_and_pauses() {
        let step = |text: &str| Rule::step(text, &["parsed", "prompt"]);
        let (at, rule) = step("at=prompt path=/v1/*").unwrap();
        assert_eq!(
            (at, rule.deed.pause, rule.text()),
            (Some("prompt"), true, "at=prompt path=/v1/*")
        );
        let (at, rule) = step("delay=2s").unwrap();
        assert_eq!((at, rule.deed.pause), (None, false));
        assert!(step("").unwrap().1.deed.pause);
        let why = |text: &str| step(text).unwrap_err().to_string();
        assert_eq!(why("at=x"), "`at=x` in the rule `at=x` must be one of parsed, prompt");
        assert!(why("status=500").contains("no word of a rule here; there are: at, path"));
        assert!(Rule::parse("at=prompt pause").is_err(), "the proxy has no such points");
    }

    #[test]
    fn quotes_hold_blanks_together() {
        let rule = Rule::parse("replace=\"old text>new text\" delay=2s").unwrap();
        assert_eq!(rule.deed.replace, Some(("old text".to_owned(), "new text".to_owned())));
        assert_eq!(rule.deed.delay, Some(Duration::from_secs(2)));
    }
}
