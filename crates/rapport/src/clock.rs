//! The wall clock, for time stamps that people and other programs read.

/// Now, in UTC.
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
