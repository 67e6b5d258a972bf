//! What is kept of finished model calls.

use super::Change::Live;
use super::Kind::Count;
use super::{Key, key};

/// The keys of the log of model calls.
pub(super) const KEYS: &[Key] = &[
    key(
        "requests.rows",
        Count(0, 100_000_000),
        "100000",
        Live,
        "Model calls in the log behind `rapport request list`; the oldest go first. With 0 only \
         the last 2,000 are remembered, until the server stops.",
    ),
    key("requests.days", Count(1, 3_650), "30", Live, "How many days a call stays in the log."),
];
