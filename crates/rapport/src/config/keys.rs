//! The table of every configuration key: its kind, its default, what it means, how it changes.
//!
//! Invariant: a key that is not in this table does not exist. `config init`, `config schema`,
//! `config show` and docs/config.md are made from it.

/// What the value of a key looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A TCP port, or a number that is a name for one.
    Port,
    /// Two ports, `8000-8010`.
    PortRange,
    /// Any text.
    Text,
    /// A file or folder; `~/` is the home folder.
    Path,
    /// An address that begins with `http://` or `https://`.
    Url,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count(u64, u64),
    /// A whole number or `unlimited`.
    CountOrUnlimited(u64, u64),
    /// A time such as `30`, `1.5s`, `500ms` or `2m`; a plain number is seconds.
    Duration,
    /// A size such as `4194304`, `4 MiB` or `32MB`.
    Bytes(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts; in one line they are separated by commas.
    List,
    /// A text that is never printed; `${VARIABLE}` and `file:PATH` keep it out of the file.
    Secret,
}

/// When a new value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// At the next reload.
    Live,
    /// After a restart.
    Restart,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its path; `NAME` stands for any name.
    pub(crate) path: &'static str,
    /// What its value looks like.
    pub(crate) kind: Kind,
    /// Its default as it would be written, empty when there is none.
    pub(crate) default: &'static str,
    /// When a new value counts.
    pub(crate) change: Change,
    /// What it means: one or two sentences.
    pub(crate) doc: &'static str,
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    change: Change,
    doc: &'static str,
) -> Key {
    Key { path, kind, default, change, doc }
}

use Change::{Live, Restart};
use Kind::{
    Bool, Bytes, Choice, Count, CountOrUnlimited, Duration, List, Path, Port, PortRange, Secret,
    Text, Url,
};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Every key, in the order of the generated pages.
pub(crate) const KEYS: &[Key] = &[
    key(
        "server.host",
        List,
        "localhost",
        Restart,
        "Addresses to listen on. `localhost` is 127.0.0.1 and ::1, `0.0.0.0` every IPv4 address, \
         `::` every address. Anything but loopback needs a key.",
    ),
    key(
        "server.port",
        Port,
        "61900",
        Restart,
        "The TCP port, 0-65535. 0 takes a free one; 619009 is a name for 61900.",
    ),
    key(
        "server.strict_ports",
        Bool,
        "false",
        Restart,
        "Refuses numbers above 65535 instead of taking known ones as names for real ports.",
    ),
    key(
        "server.port_fallback",
        Bool,
        "false",
        Restart,
        "Takes the next free port when the port is taken, says so, and writes it to runtime.json.",
    ),
    key(
        "server.port_range",
        PortRange,
        "",
        Restart,
        "Takes the first free port of a range such as `8000-8010` instead of `server.port`.",
    ),
    key(
        "server.base_path",
        Text,
        "",
        Restart,
        "The path below which everything is served, such as `/rapport` behind a reverse proxy.",
    ),
    key(
        "server.trusted_proxies",
        List,
        "",
        Live,
        "Addresses of reverse proxies whose `X-Forwarded-*` headers count.",
    ),
    key(
        "server.cors_origins",
        List,
        "",
        Live,
        "Origins of web pages that may call from a browser, such as `http://localhost:3000`.",
    ),
    key(
        "server.allowed_hosts",
        List,
        "",
        Live,
        "Further names that the `Host` header may carry, beside loopback names and addresses.",
    ),
    key(
        "ports.wrap_alias",
        Bool,
        "false",
        Restart,
        "Also listens on 29185, where software ends up that cuts 619009 to 16 bits.",
    ),
    key(
        "ports.logical.NAME",
        Port,
        "",
        Restart,
        "Gives a number above 65535 a real port. `619009: 61900` is built in.",
    ),
    key(
        "data.dir",
        Path,
        "",
        Restart,
        "The data folder. Default: `rapport` in the user's data folder (~/.local/share on Linux).",
    ),
    key(
        "data.store",
        Choice(&["sqlite", "memory"]),
        "sqlite",
        Restart,
        "Where conversations live: a file in the data folder, or memory that ends with the \
         process.",
    ),
    key(
        "data.durability",
        Choice(&["group", "sync", "fast"]),
        "group",
        Restart,
        "When a write is acknowledged: `group` after a shared commit to disk, `sync` after its \
         own, `fast` before the disk has it (a power cut may lose the last moments).",
    ),
    key(
        "tls.mode",
        Choice(&["off", "optional", "required"]),
        "off",
        Restart,
        "TLS on the same port: not at all, for those who ask, or for everyone.",
    ),
    key(
        "tls.certificate",
        Path,
        "",
        Live,
        "The certificate chain (PEM). Without it one for localhost is made in the data folder.",
    ),
    key("tls.key", Path, "", Live, "The private key of `tls.certificate` (PEM)."),
    key(
        "auth.mode",
        Choice(&["auto", "required", "auto-dev"]),
        "auto",
        Restart,
        "Who shows a key: `auto` nobody on loopback while no key exists; `required` everybody; \
         `auto-dev` like auto, but on any address (containers in development).",
    ),
    key(
        "limits.connections",
        Count(1, 1_000_000),
        "10000",
        Restart,
        "Open connections; the next one is answered with 503.",
    ),
    key("limits.body_bytes", Bytes(1024, 4 * GIB), "32 MiB", Live, "The largest HTTP body."),
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
    key("limits.request", Duration, "610s", Live, "A whole request that is not a stream."),
    key(
        "models.default",
        Text,
        "",
        Live,
        "The model that answers when a caller names none, such as `anthropic/claude-sonnet-5-5`.",
    ),
    key(
        "models.interact",
        Text,
        "echo",
        Live,
        "The model of interact and raw TCP while `models.default` is not set.",
    ),
    key(
        "models.context",
        Text,
        "demo",
        Live,
        "The model of all other doors while `models.default` is not set.",
    ),
    key("models.mock", Bool, "false", Live, "Every door answers with the built-in mock model."),
    key(
        "providers.NAME.dialect",
        Choice(&["anthropic", "openai_chat"]),
        "",
        Live,
        "What the upstream speaks. `anthropic` and `openai` know theirs; others are openai_chat.",
    ),
    key(
        "providers.NAME.base_url",
        Url,
        "",
        Live,
        "Where its API begins, such as `http://127.0.0.1:11434/v1`.",
    ),
    key(
        "providers.NAME.api_key",
        Secret,
        "",
        Live,
        "Its key: `${ANTHROPIC_API_KEY}`, or `file:/run/secrets/key`.",
    ),
    key(
        "providers.NAME.bearer",
        Bool,
        "false",
        Live,
        "Sends the key as `Authorization: Bearer` instead of in the dialect's own header.",
    ),
    key(
        "providers.NAME.version",
        Text,
        "",
        Live,
        "The API version it is asked for (the `anthropic-version` header).",
    ),
    key(
        "providers.NAME.models",
        List,
        "",
        Live,
        "Its models; the first is the default. Others may still be named as `provider/model`.",
    ),
    key(
        "providers.NAME.window_tokens",
        Count(256, 100_000_000),
        "",
        Live,
        "Tokens its models can take, where you know better than the built-in table.",
    ),
    key("providers.NAME.headers.NAME", Secret, "", Live, "A further request header."),
    key(
        "providers.NAME.retries",
        Count(0, 10),
        "2",
        Live,
        "Tries after the first, on faults that may pass.",
    ),
    key("providers.NAME.connect_seconds", Duration, "5s", Live, "Name resolution, TCP and TLS."),
    key(
        "providers.NAME.first_byte_seconds",
        Duration,
        "120s",
        Live,
        "From the end of the request to the headers of the response.",
    ),
    key("providers.NAME.idle_seconds", Duration, "60s", Live, "Silence inside the response."),
    key(
        "providers.NAME.total_seconds",
        Duration,
        "600s",
        Live,
        "The whole call with all its tries.",
    ),
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
        "Verbose logs and errors, and the dump endpoint. Never runs code.",
    ),
];

/// Names that stand for a key because other programs use them.
pub(crate) const ALIASES: &[(&str, &str)] = &[
    ("port", "server.port"),
    ("PORT", "server.port"),
    ("listener_port", "server.port"),
    ("mcp_port", "server.port"),
    ("host", "server.host"),
    ("bind", "server.host"),
    ("server.bind", "server.host"),
    ("server.address", "server.host"),
    ("server_address", "server.host"),
    ("api_endpoint", "server.host"),
];

/// Aliases whose value is an address with a port in it: they set both `server.host` and the port.
pub(crate) const ADDRESSES: &[&str] = &["server_address", "api_endpoint"];

/// The key at `path`, where names are filled in.
pub(crate) fn named(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| fits(key.path, path))
}

/// Whether `path` is `pattern` with its names filled in. The last name may hold dots.
pub(crate) fn fits(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('.').peekable();
    let mut rest = Some(path);
    while let Some(want) = wanted.next() {
        let Some(now) = rest else { return false };
        if want == "NAME" && wanted.peek().is_none() {
            return !now.is_empty();
        }
        let (segment, after) = match now.split_once('.') {
            Some((segment, after)) => (segment, Some(after)),
            None => (now, None),
        };
        if (want != "NAME" && want != segment) || segment.is_empty() {
            return false;
        }
        rest = after;
    }
    rest.is_none()
}

impl Key {
    /// The environment variable of the key, `RAPPORT_SERVER_PORT`.
    pub(crate) fn variable(&self) -> String {
        format!("RAPPORT_{}", self.path.to_uppercase().replace('.', "_"))
    }

    /// The group it stands in: `server`, or nothing for a key at the top.
    pub(crate) fn group(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(group, _)| group)
    }
}

impl Kind {
    /// What may be written, for the reference and for error texts.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Port => "a port, 0-65535".to_owned(),
            Self::PortRange => "two ports such as `8000-8010`".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Url => "an address that begins with http:// or https://".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Count(low, high) => format!("a whole number from {low} to {high}"),
            Self::CountOrUnlimited(low, high) => {
                format!("a whole number from {low} to {high}, or `unlimited`")
            }
            Self::Duration => "a time such as `30s`, `500ms` or `2m`".to_owned(),
            Self::Bytes(low, high) => {
                format!("a size from {low} to {high} bytes, such as `4 MiB`")
            }
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List => "a list of texts".to_owned(),
            Self::Secret => "a secret: `${VARIABLE}` or `file:PATH`".to_owned(),
        }
    }
}
