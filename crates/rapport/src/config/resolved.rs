//! What a configuration means: every value read, every default filled in.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use doctor::port::LogicalMap;

/// Where conversations live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A file in the data folder.
    Sqlite,
    /// Memory that ends with the process.
    Memory,
}

impl Store {
    /// The kind as it is written in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
        }
    }
}

/// Who gets TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Nobody.
    Off,
    /// Those who ask.
    Optional,
    /// Everybody.
    Required,
}

impl TlsMode {
    /// The mode as it is written in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// TLS on the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Who gets it.
    pub(crate) mode: TlsMode,
    /// Certificate chain and key (PEM); without them a pair is generated.
    pub(crate) files: Option<(PathBuf, PathBuf)>,
}

/// How ports are chosen.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// The port that was asked for; 0 takes a free one.
    pub(crate) port: u16,
    /// The first free port of this range is taken instead.
    pub(crate) range: Option<RangeInclusive<u16>>,
    /// The next free port is taken when the port is taken.
    pub(crate) fallback: bool,
    /// Refuse numbers above 65535.
    pub(crate) strict: bool,
    /// Also listen where 619009 ends up when it is cut to 16 bits.
    pub(crate) wrap_alias: bool,
    /// Numbers that are names for real ports.
    pub(crate) logical: LogicalMap,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Filter directives, `info` or `info,gateway=debug`.
    pub(crate) level: String,
    /// How lines on standard error look.
    pub(crate) format: LogFormat,
    /// The folder of server.log and error.log; `None` writes no files.
    pub(crate) dir: Option<PathBuf>,
}

/// How contexts are kept.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    /// Which changes the audit keeps.
    pub(crate) audit: context::AuditMode,
    /// How long it keeps them; for ever when absent.
    pub(crate) audit_for: Option<std::time::Duration>,
    /// How long contexts live that choose nothing.
    pub(crate) lifetime: context::Lifetime,
    /// What is redacted in contexts without a plan of their own.
    pub(crate) redact: Option<context::RedactPlan>,
    /// New contexts are encrypted.
    pub(crate) encrypt: bool,
    /// The master key, as it was given.
    pub(crate) vault_key: Option<gateway::settings::Secret>,
}

/// The resolved configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Addresses to listen on, as written.
    pub(crate) hosts: Vec<String>,
    /// How ports are chosen.
    pub(crate) ports: Ports,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Where conversations live.
    pub(crate) store: Store,
    /// When a write is acknowledged: `group`, `sync` or `fast`.
    pub(crate) durability: storage::Durability,
    /// How contexts are kept.
    pub(crate) contexts: Contexts,
    /// TLS on the port.
    pub(crate) tls: Tls,
    /// Logs.
    pub(crate) log: Log,
    /// What the request path has to be told.
    pub(crate) gateway: gateway::settings::Settings,
}
