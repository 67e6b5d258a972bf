//! When another try may succeed, by an upstream's headers and words.

use std::time::Duration;

/// Limit: no upstream makes us wait longer than a day.
const WAIT_SECONDS_MAX: f64 = 86_400.0;

/// What stands before a time to wait in the text of an error.
const BEFORE: [&str; 5] = ["try again in ", "retry in ", "retry after ", "again after ", "wait "];

/// How long to wait by the headers: `retry-after-ms`, `x-ms-retry-after-ms`, `retry-after` in
/// seconds, or the end of the window of a limit that is used up.
pub(super) fn by_headers(header: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let ms = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(header);
    let by_ms = ms.and_then(|text| seconds(text.trim().parse::<f64>().ok()? / 1000.0));
    let by_seconds = || seconds(header("retry-after")?.trim().parse().ok()?);
    by_ms.or_else(by_seconds).or_else(|| by_window(header))
}

/// The end of the window of a limit of which nothing remains.
fn by_window(header: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let ends = |what: &str| {
        let left: f64 = header(&format!("x-ratelimit-remaining-{what}"))?.trim().parse().ok()?;
        let reset = header(&format!("x-ratelimit-reset-{what}"))?;
        (left <= 0.0).then(|| span(reset.trim())).flatten()
    };
    // Who waits for both has waited for each.
    ends("requests").max(ends("tokens"))
}

/// How long to wait by what an error says: `Please try again in 6m0s`.
pub(super) fn by_words(text: &str) -> Option<Duration> {
    let lower = text.to_lowercase();
    BEFORE.iter().find_map(|before| lower.split_once(before).and_then(|(_, rest)| span(rest)))
}

/// Reads a span of time from the beginning of a text: `1h2m3.5s`, `20ms`, `6 seconds`, `34`.
pub(super) fn span(text: &str) -> Option<Duration> {
    let (mut total, mut rest, mut is_any) = (0.0, text.trim_start(), false);
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        // A full stop ends the sentence.
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { break };
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let factor = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "h" | "hour" | "hours" => 3600.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "d" | "day" | "days" => 86_400.0,
            "" | "s" | "sec" | "second" | "seconds" => 1.0,
            _ if is_any => break,
            _ => return None,
        };
        total += number * factor;
        is_any = true;
        rest = after;
        if unit.is_empty() {
            break;
        }
    }
    if is_any { seconds(total) } else { None }
}

/// A duration of so many seconds, bounded; nothing for what is no number.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value.clamp(0.0, WAIT_SECONDS_MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ms: Option<u64>) {
        assert_eq!(by_words(text), ms.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn a_time_to_wait_is_found_in_words() {
        check("Rate limit reached. Please try again in 6m0s.", Some(360_000));
        check("Please try again in 7.66s. Visit https://x", Some(7660));
        check("Please try again in 20ms.", Some(20));
        check("try again in 1h2m3.5s", Some(3_723_500));
        check("Please retry after 6 seconds.", Some(6000));
        check("Please retry in 34.074s.", Some(34_074));
        check("Try again after 59 minutes", Some(3_540_000));
        check("please wait 30 seconds and retry", Some(30_000));
        check("Too many tokens, please wait before trying again.", None);
        check("try again in a while", None);
        check("nothing", None);
    }

    #[test]
    fn odd_times_are_bounded_or_nothing() {
        assert_eq!(span("1e300"), None);
        assert_eq!(span("99999999999999999999s"), Some(Duration::from_hours(24)));
        assert_eq!(span(""), None);
        assert_eq!(span("."), None);
        assert_eq!(span("1.2.3s"), None);
        assert_eq!(span("5 apples"), None);
        assert_eq!(span("5m apples"), Some(Duration::from_mins(5)));
    }
}
