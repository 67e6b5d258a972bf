//! Logs and the process as a whole.

use super::Change::{Live, Restart};
use super::Kind::{Bool, Choice, Path, Text};
use super::{Key, key};

/// The keys of logs and the process.
pub(super) const KEYS: &[Key] = &[
    key(
        "upstream_failure",
        Choice(&["unavailable", "apology"]),
        "unavailable",
        Live,
        "How `/mcp/context` answers when the model cannot: 503 with error and apology, or 200 \
         with the apology alone.",
    ),
    key(
        "log.level",
        Text,
        "info",
        Live,
        "trace, debug, info, warn or error; or by part, such as `info,gateway=debug`.",
    ),
    key(
        "log.format",
        Choice(&["text", "json"]),
        "text",
        Restart,
        "How log lines on standard error look.",
    ),
    key(
        "log.file",
        Bool,
        "true",
        Restart,
        "Also writes server.log and error.log, which rotate at 10 MiB and keep five old files.",
    ),
    key(
        "log.dir",
        Path,
        "",
        Restart,
        "The folder of the log files. Default: `logs` in the data folder.",
    ),
    key(
        "local_only",
        Bool,
        "false",
        Live,
        "No connection leaves the machine, whatever else is configured.",
    ),
    key(
        "debug",
        Bool,
        "false",
        Live,
        "For development: verbose logs and errors, and `rapport debug` (what is in memory, step \
         mode) for administrators on this machine. Never runs code.",
    ),
];
