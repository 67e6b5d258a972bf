//! What can be seen of a key or a token without using it: its times, white space, quotation marks.
//!
//! Invariant: nothing here keeps, prints or returns a credential; only where it stands is known.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

use crate::report::{Fix, HEALTHY, Report, Verdict};

/// Seconds by which clocks may differ before a token "is not valid yet".
const LEEWAY: i64 = 60;

/// Limit: a longer text is no token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What the names of variables with credentials end with.
const NAMES: &[&str] = &["KEY", "TOKEN", "SECRET", "AUTHORIZATION", "BEARER"];

/// When a token may be used: seconds since 1970, as its own claims say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) issued: Option<i64>,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: Option<i64>,
}

/// Something about a credential that servers refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Whitespace,
    Quoted,
    Token(Times),
}

/// A credential that has something to say, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    place: String,
    shape: Shape,
}

impl Credential {
    /// Looks at a variable of the environment; nothing when there is nothing to see.
    pub(crate) fn of_variable(name: &str, value: &str) -> Option<Self> {
        let place = format!("the variable {name}");
        let is_secret = NAMES.iter().any(|end| name.to_ascii_uppercase().ends_with(end));
        let shape = if let Some(times) = tokens(value).next() {
            Shape::Token(times)
        } else if !is_secret || value.trim().is_empty() {
            return None;
        } else if value.trim() != value {
            Shape::Whitespace
        } else if is_quoted(value) {
            Shape::Quoted
        } else {
            return None;
        };
        Some(Self { place, shape })
    }

    /// The tokens in a text, with the lines in which they stand.
    pub(crate) fn of_text(shown: &str, text: &str) -> Vec<Self> {
        let lines = (1..).zip(text.lines());
        let found = lines.flat_map(|(number, line)| {
            tokens(line).map(move |times| (number, times)).collect::<Vec<(usize, Times)>>()
        });
        let place = |number| format!("line {number} of {shown}");
        found.map(|(n, times)| Self { place: place(n), shape: Shape::Token(times) }).collect()
    }

    /// What is wrong with it at a moment, in seconds since 1970.
    pub(crate) fn fault(&self, now: i64) -> Option<Verdict> {
        let place = &self.place;
        let times = match self.shape {
            Shape::Whitespace => {
                let sentence =
                    format!("{place} has white space around its key, such as a line end");
                return Some(Verdict::certain("auth.key_whitespace", sentence).fix(Fix::say(
                    "set it without: export NAME=\"$(printf %s \"$NAME\" | tr -d '\\r\\n ')\"",
                )));
            }
            Shape::Quoted => {
                let sentence = format!("{place} has quotation marks as part of its key");
                let fix = "set it again without them; docker --env-file takes quotation marks \
                           literally";
                return Some(Verdict::certain("auth.key_quoted", sentence).fix(Fix::say(fix)));
            }
            Shape::Token(times) => times,
        };
        if let Some(expires) = times.expires.filter(|expires| *expires <= now) {
            let since = span(now.saturating_sub(expires));
            let sentence = format!("the token in {place} expired {since} ago");
            let verdict = Verdict::certain("auth.token_expired", sentence)
                .because(format!("its claim exp is {}", moment(expires)))
                .because_all(times.issued.map(|at| format!("its claim iat is {}", moment(at))))
                .because(format!("the clock of this machine says {}", moment(now)));
            return Some(verdict.fix(Fix::say("log in again, or make a new token")));
        }
        let (claim, from) = [("nbf", times.not_before), ("iat", times.issued)]
            .into_iter()
            .find_map(|(claim, at)| at.filter(|at| *at > now + LEEWAY).map(|at| (claim, at)))?;
        let left = span(from.saturating_sub(now));
        let sentence = format!(
            "the token in {place} is valid only in {left}: the clock of this machine, or of \
             the one that made it, is wrong"
        );
        Some(
            Verdict::likely("auth.clock_skew", sentence)
                .because(format!("its claim {claim} is {}", moment(from)))
                .because(format!("the clock of this machine says {}", moment(now)))
                .fix(Fix::run_as_root("set the clock", "sudo timedatectl set-ntp true")),
        )
    }

    /// One line about a token that is well.
    pub(crate) fn line(&self, now: i64) -> Option<String> {
        let Shape::Token(Times { expires: Some(expires), .. }) = self.shape else { return None };
        Some(format!("the token in {} is valid for {} more", self.place, span(expires - now)))
    }
}

/// Puts what is known of the caller's own credentials in the place of a refusal without a reason.
pub(crate) fn named(verdict: Verdict, credentials: &[Credential]) -> Verdict {
    const REFUSED: &[&str] = &[
        "auth.clock_skew",
        "auth.invalid_key",
        "auth.missing",
        "auth.token_expired",
        "mcp.auth_required",
    ];
    if !REFUSED.contains(&verdict.id) {
        return verdict;
    }
    let now = Timestamp::now().as_second();
    let Some(found) = credentials.iter().find_map(|one| one.fault(now)) else {
        return verdict.because_all(credentials.iter().filter_map(|one| one.line(now)));
    };
    // The doctor does not send it, so it is not certain that it was meant for this server.
    let why = found.evidence.clone();
    let sentence = format!("the server wants a key, and {}", found.sentence);
    let mut likely = Verdict::likely(found.id, sentence).because_all(verdict.evidence);
    likely.evidence.extend(why);
    likely.fix.extend(found.fix);
    likely
}

/// Judges every variable that holds a token or a key with a flaw; those that are well say nothing.
#[must_use]
pub fn variables(environment: &crate::Environment) -> Vec<(String, Report)> {
    let now = Timestamp::now().as_second();
    let all = environment.credentials().iter();
    all.filter_map(|one| {
        let understood = "a credential of this environment, which is not shown";
        let verdict = one.fault(now).or_else(|| Some(Verdict::certain(HEALTHY, one.line(now)?)))?;
        let place = one.place.trim_start_matches("the variable ").to_owned();
        Some((place, Report::of(&one.place, understood, verdict)))
    })
    .collect()
}

fn is_quoted(value: &str) -> bool {
    let ends = (value.chars().next(), value.chars().next_back());
    value.len() > 1 && matches!(ends, (Some('"'), Some('"')) | (Some('\''), Some('\'')))
}

/// The times of every JSON Web Token in a text.
fn tokens(text: &str) -> impl Iterator<Item = Times> + '_ {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    words.filter_map(read)
}

fn read(word: &str) -> Option<Times> {
    if word.len() > TOKEN_BYTES_MAX || !word.starts_with("eyJ") {
        return None;
    }
    let mut parts = word.split('.');
    let (head, claims) = (parts.next()?, parts.next()?);
    parts.next()?;
    let head: Value = serde_json::from_slice(&decode(head)?).ok()?;
    head.get("alg")?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
    // Some write fractions of seconds; the whole ones are enough.
    let time = |name: &str| {
        let value = claims.get(name)?;
        value.as_i64().or_else(|| value.as_f64()?.to_string().split('.').next()?.parse().ok())
    };
    let times = Times { issued: time("iat"), not_before: time("nbf"), expires: time("exp") };
    (times != Times::default()).then_some(times)
}

/// Base64 of URLs, without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn moment(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
}

/// A length of time in its largest unit.
fn span(seconds: i64) -> String {
    const UNITS: &[(i64, &str)] = &[(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let seconds = seconds.max(0);
    let (size, name) = UNITS.iter().find(|(size, _)| seconds >= *size).unwrap_or(&(1, "second"));
    let count = seconds / size;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}
