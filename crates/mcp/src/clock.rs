//! The one place that reads the date.

use jiff::{Timestamp, Unit};

/// The present moment as the protocol writes it: UTC, in whole milliseconds.
pub(crate) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

/// The present moment in whole seconds since 1970.
pub(crate) fn seconds() -> i64 {
    Timestamp::now().as_second()
}
