//! How much of everything.

use super::Change::{Live, Restart};
use super::Kind::{Bytes, Count, CountOrUnlimited, Duration};
use super::{GIB, Key, key};

/// The keys of limits.
pub(super) const KEYS: &[Key] = &[
    key(
        "limits.connections",
        Count(1, 1_000_000),
        "10000",
        Restart,
        "Open connections; the next one is answered with 503.",
    ),
    key("limits.body_bytes", Bytes(1024, 4 * GIB), "64 MiB", Live, "The largest HTTP body."),
    key(
        "limits.upload_bytes",
        Bytes(1024, 1024 * GIB),
        "1 GiB",
        Live,
        "The largest body that is passed through piece by piece: forms, files, `/provider/…`.",
    ),
    key(
        "limits.import_bytes",
        Bytes(1024, 1024 * GIB),
        "16 GiB",
        Live,
        "The largest document that is imported; it is stored as it comes.",
    ),
    key(
        "limits.line_bytes",
        Bytes(1024, GIB),
        "4 MiB",
        Live,
        "The longest raw-TCP line or WebSocket message.",
    ),
    key(
        "limits.json_depth",
        Count(4, 10_000),
        "128",
        Live,
        "The deepest nesting of JSON arrays and objects.",
    ),
    key("limits.turns", Count(1, 1_000_000), "1024", Restart, "Upstream turns at the same time."),
    key(
        "limits.requests_per_minute",
        CountOrUnlimited(1, 100_000_000),
        "unlimited",
        Live,
        "Requests a minute for each key, or for each address without a key.",
    ),
    key(
        "limits.requests_wait",
        Duration,
        "",
        Live,
        "How long an HTTP request beyond that may wait for its place; it is refused at once where \
         it is not set, where that would take longer, and when 1,000 wait.",
    ),
    key("limits.queue", Duration, "30s", Live, "How long a turn waits for its context."),
    key(
        "limits.header_read",
        Duration,
        "10s",
        Live,
        "From the first byte of a request to the end of its headers.",
    ),
    key("limits.body_read", Duration, "30s", Live, "Silence inside a request body."),
    key(
        "limits.line_idle",
        Duration,
        "30s",
        Live,
        "Silence on a connection that has not spoken HTTP, before it is closed.",
    ),
    key(
        "limits.heartbeat",
        Duration,
        "15s",
        Live,
        "How often a quiet WebSocket is asked for a sign of life; after three without any it is \
         closed.",
    ),
    key("limits.request", Duration, "610s", Live, "A whole request that is not a stream."),
];
