//! Which answers are kept and given again.

use super::Change::Live;
use super::Kind::{Bool, Bytes, Choice, Count, Duration};
use super::{GIB, Key, key};

/// The keys of kept answers.
pub(super) const KEYS: &[Key] = &[
    key(
        "cache.exact",
        Choice(&["off", "ask", "deterministic", "all"]),
        "ask",
        Live,
        "Which model calls may be answered from memory when the same was asked before: none \
         (`off`), those with the header `x-rapport-cache: on` (`ask`), those with `temperature` 0 \
         or a `seed` too, or all.",
    ),
    key(
        "cache.similar",
        Bool,
        "false",
        Live,
        "Also answers a question that differs from an earlier one only in its wording. Never with \
         tools, images, other numbers, names, negations or another order of words.",
    ),
    key(
        "cache.threshold",
        Count(500, 1000),
        "900",
        Live,
        "How alike two wordings must be for `cache.similar`, in thousandths.",
    ),
    key("cache.ttl", Duration, "1h", Live, "How long an answer is kept."),
    key(
        "cache.bytes",
        Bytes(0, 64 * GIB),
        "64 MiB",
        Live,
        "Memory of all kept answers together; the least used go first.",
    ),
    key("cache.entry_bytes", Bytes(0, GIB), "1 MiB", Live, "The largest answer that is kept."),
];
