//! The one place that reads the time; contexts keep it in whole microseconds.

use jiff::Timestamp;

/// The present moment in microseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// The moment that was stored; the epoch when the number cannot be a time.
pub(crate) fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The moment `wait` from `now`, as far as the calendar reaches.
pub(crate) fn after(now: i64, wait: std::time::Duration) -> i64 {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    now.saturating_add(wait).min(Timestamp::MAX.as_microsecond())
}
