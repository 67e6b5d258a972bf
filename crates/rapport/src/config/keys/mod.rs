//! The table of every configuration key: its kind, its default, what it means, how it changes.
//!
//! Invariant: a key that is not in this table does not exist. `config init`, `config schema`,
//! `config show` and docs/config.md are made from it.

mod cache;
mod contexts;
mod limits;
mod mcp;
mod models;
mod process;
mod prompts;
mod providers;
mod requests;
mod routes;
mod server;

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
    /// The name of a wire format that we speak.
    Dialect,
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

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Every group of keys, in the order of the generated pages.
const GROUPS: &[&[Key]] = &[
    server::KEYS,
    limits::KEYS,
    cache::KEYS,
    contexts::KEYS,
    models::KEYS,
    routes::KEYS,
    prompts::KEYS,
    requests::KEYS,
    providers::KEYS,
    mcp::KEYS,
    process::KEYS,
];

/// Every key, in the order of the generated pages.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> + Clone {
    GROUPS.iter().copied().flatten()
}

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
    all().find(|key| fits(key.path, path))
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
            Self::Dialect => {
                let words = wire::dialect::DIALECTS.iter().map(|d| format!("`{}`", d.name()));
                format!("one of {}", words.collect::<Vec<_>>().join(", "))
            }
            Self::List => "a list of texts".to_owned(),
            Self::Secret => "a secret: `${VARIABLE}` or `file:PATH`".to_owned(),
        }
    }
}
