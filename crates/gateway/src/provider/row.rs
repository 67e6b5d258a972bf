//! One provider of the table: everything about it that is data.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

/// How a request shows who sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthKind {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// The key in a header of this name.
    Header(String),
    /// The key in a query parameter of this name.
    Query(String),
    /// No key at all.
    None,
    /// Azure: `api-key`, the version as a query, the deployment in the path.
    Azure,
    /// AWS: a signature over the whole request, or a bearer key.
    Sigv4,
    /// Google Cloud: a token that a service account's key buys.
    Google,
}

impl AuthKind {
    /// Reads `bearer`, `header:NAME`, `query:NAME`, `none`, `azure`, `sigv4` or `google`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match text.split_once(':') {
            Some(("header", header)) => name(header).map(Self::Header),
            Some(("query", parameter)) => name(parameter).map(Self::Query),
            Some(_) => None,
            None => match text {
                "bearer" => Some(Self::Bearer),
                "none" => Some(Self::None),
                "azure" => Some(Self::Azure),
                "sigv4" => Some(Self::Sigv4),
                "google" => Some(Self::Google),
                _ => None,
            },
        }
    }
}

impl std::fmt::Display for AuthKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::None => f.write_str("none"),
            Self::Azure => f.write_str("azure"),
            Self::Sigv4 => f.write_str("sigv4"),
            Self::Google => f.write_str("google"),
        }
    }
}

impl<'de> Deserialize<'de> for AuthKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is no kind of auth: write `bearer`, `header:NAME`, `query:NAME`, `none`, \
                 `azure`, `sigv4` or `google`"
            ))
        })
    }
}

/// Where a provider's own server differs from its dialect. Counts for bodies that we write, not
/// for those that a caller wrote in the provider's own dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    /// Fields of the request that have another name there.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Fields of the request that it refuses.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Fields that every request has to have, with their text.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// They count for bodies that a caller wrote, too, and wherever the server is.
    #[serde(default)]
    pub always: bool,
}

impl Quirks {
    /// Whether the dialect is spoken as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rename.is_empty() && self.drop.is_empty() && self.set.is_empty()
    }
}

/// One provider of the table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name in `provider/model`.
    pub name: String,
    /// What it is called by people.
    #[serde(default)]
    pub title: String,
    /// Where its API is described.
    #[serde(default)]
    pub docs: String,
    /// Where its API begins. `{region}`, `{project}` and `{resource}` are put in from the settings.
    pub base_url: String,
    /// The dialect it speaks.
    #[serde(default = "openai_chat")]
    pub dialect: String,
    /// How a request shows who sends it.
    #[serde(default)]
    pub auth: AuthKind,
    /// Environment variables of its key; the first that is set counts.
    #[serde(default)]
    pub key: Vec<String>,
    /// The environment variable that replaces `base_url`.
    pub base: Option<String>,
    /// Models to offer; the first is the default.
    #[serde(default)]
    pub models: Vec<String>,
    /// Names of models that are its own: `claude-*`; `#` stands for a digit.
    #[serde(default)]
    pub owns: Vec<String>,
    /// Whoever speaks its dialect serves its models.
    #[serde(default)]
    pub is_everywhere: bool,
    /// It runs on machines of one's own: no key is needed.
    #[serde(default)]
    pub local: bool,
    /// Its paths begin at its host: no `/v1` is put before them.
    #[serde(default)]
    pub is_bare: bool,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What it offers beside its dialect: `embeddings`, `rerank`, `images`, `audio`,
    /// `moderations`, `files`, `batches`, `models`.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Where it differs from its dialect.
    #[serde(default)]
    pub quirks: Quirks,
}

fn openai_chat() -> String {
    "openai_chat".to_owned()
}

impl Row {
    /// A provider that the table does not know.
    #[must_use]
    pub fn unknown(name: &str, dialect: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: String::new(),
            docs: String::new(),
            base_url: String::new(),
            dialect: dialect.to_owned(),
            auth: usual_auth(dialect),
            key: Vec::new(),
            base: None,
            models: Vec::new(),
            owns: usual_names(dialect),
            is_everywhere: dialect == "anthropic",
            local: true,
            is_bare: false,
            headers: BTreeMap::new(),
            paths: Vec::new(),
            quirks: Quirks::default(),
        }
    }

    /// Whether a model of this name is likely one of its own.
    #[must_use]
    pub fn owns(&self, model: &str) -> bool {
        self.owns.iter().any(|pattern| fits(pattern, model))
    }

    /// The host of `base_url`: only there a key is always needed and quirks count.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        authority.split(':').next().unwrap_or_default()
    }

    /// Whether it offers this beside its dialect, such as `embeddings`; a provider that the table
    /// does not know may offer anything.
    #[must_use]
    pub fn offers(&self, what: &str) -> bool {
        self.docs.is_empty() || self.paths.iter().any(|path| path == what)
    }

    /// The variable to set for its key.
    #[must_use]
    pub fn key_variable(&self) -> Option<&str> {
        self.key.first().map(String::as_str)
    }
}

/// How keys are shown where nothing else is said.
fn usual_auth(dialect: &str) -> AuthKind {
    match dialect {
        "anthropic" => AuthKind::Header("x-api-key".to_owned()),
        "gemini" => AuthKind::Header("x-goog-api-key".to_owned()),
        _ => AuthKind::Bearer,
    }
}

/// Whose models servers of a dialect usually have.
fn usual_names(dialect: &str) -> Vec<String> {
    let names: &[&str] = match dialect {
        "anthropic" => &["claude-*"],
        _ => &[],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    let (fixed, is_open) = match pattern.strip_suffix('*') {
        Some(fixed) => (fixed, true),
        None => (pattern, false),
    };
    let mut rest = name.chars();
    let begins = fixed.chars().all(|want| match (want, rest.next()) {
        ('#', Some(c)) => c.is_ascii_digit(),
        (want, Some(c)) => want == c,
        (_, None) => false,
    });
    begins && (is_open || rest.next().is_none())
}
