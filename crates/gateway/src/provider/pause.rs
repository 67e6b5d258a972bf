//! How long a provider wants to be left alone, by the limit headers of its answers.

use std::time::Duration;

use jiff::Timestamp;

use super::Header;

/// The pause that the headers of a response ask for, whichever vendor's they are.
#[must_use]
pub fn pause(header: Header<'_>, now: Timestamp) -> Option<Duration> {
    anthropic(header, now).or_else(|| openai(header))
}

fn anthropic(header: Header<'_>, now: Timestamp) -> Option<Duration> {
    // Only requests: the token counts are rounded and say 0 before they are used up.
    if header("anthropic-ratelimit-requests-remaining")?.trim() != "0" {
        return None;
    }
    let reset: Timestamp = header("anthropic-ratelimit-requests-reset")?.trim().parse().ok()?;
    Duration::try_from(reset.duration_since(now)).ok()
}

fn openai(header: Header<'_>) -> Option<Duration> {
    if header("x-ratelimit-remaining-requests")?.trim() != "0" {
        return None;
    }
    span(header("x-ratelimit-reset-requests")?.trim())
}

/// Reads `1s`, `6m0s`, `120ms`, `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit)?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = next;
    }
    Some(total)
}
