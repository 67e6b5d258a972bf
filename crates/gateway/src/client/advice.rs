//! What a refused request says about trying again.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// Whether and when another try may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Another try may succeed.
    pub again: bool,
    /// The upstream named the time to wait.
    pub wait: Option<Duration>,
}

/// Reads status, `x-should-retry`, `retry-after-ms` and `retry-after` (seconds or HTTP date).
#[must_use]
pub fn advice(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Advice {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let again = match text("x-should-retry") {
        Some("true") => true,
        Some("false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error(),
    };
    let wait = text("retry-after-ms")
        .and_then(|text| text.parse::<f64>().ok())
        .map(|ms| ms / 1_000.0)
        .or_else(|| text("retry-after")?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(|| until(text("retry-after")?, now));
    Advice { again, wait }
}

/// The time until an HTTP date; nothing when it lies in the past.
fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let then = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Duration::try_from(then.duration_since(now)).ok()
}

const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(8);

/// The pause before try number `next` (from 1): exponential from 0.5 s to 8 s, fully jittered by
/// `dice`, a number from 0 to 1.
#[must_use]
pub fn backoff(next: u32, dice: f64) -> Duration {
    let doubled = 2u32.saturating_pow(next.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(MOST).mul_f64(dice.clamp(0.0, 1.0))
}
