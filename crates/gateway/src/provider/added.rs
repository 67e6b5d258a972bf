//! Providers that are added by the API: what may be said of one, and who keeps it.

use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::row::AuthKind;
use super::table::Providers;

/// Limit: bytes of a key that is given in clear.
const KEY_BYTES_MAX: usize = 16 * 1024;

/// The body of `POST /api/v1/providers`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// The name in `provider/model`; a known name brings all that is known of it.
    pub name: String,
    /// Where its API begins; needed for a provider that is not known by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The dialect it speaks; `openai_chat` for one that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// How its key is shown, such as `bearer` or `header:x-api-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Its key, which is kept encrypted; or `env:NAME`, an environment variable of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Its models; the first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Tokens that its models can take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_tokens: Option<u32>,
    /// The API version it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The region of a cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The project or account of a cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How it is looked after while nobody calls; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<AddedHealth>,
}

/// A provider's health check, as the configuration has it; what is absent is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddedHealth {
    /// How often, such as `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// What is asked for, below `base_url`; else the dialect's list of models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How long the answer may take, such as `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl Added {
    /// Refuses what cannot be a provider, and keys that are not named but written out.
    ///
    /// # Errors
    /// `invalid_input` with the field in its details.
    pub fn check(&self) -> Result<(), Fault> {
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        // Limit: names stand in paths, logs and metrics.
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(plain) {
            let shown: String = self.name.chars().take(64).collect();
            return Err(wrong("name", format!("`{shown}` is no name of a provider"))
                .hint("write it with a-z, 0-9, `-` and `_`, at most 64 characters"));
        }
        if let Some(dialect) = &self.dialect
            && wire::dialect::named(dialect).is_none()
        {
            return Err(wrong("dialect", format!("there is no dialect `{dialect}`"))
                .hint(super::known_dialects()));
        }
        if let Some(auth) = &self.auth
            && AuthKind::parse(auth).is_none()
        {
            return Err(wrong("auth", format!("there is no kind of auth `{auth}`"))
                .hint("write `bearer`, `header:NAME`, `query:NAME`, `none`, `azure` or `sigv4`"));
        }
        // Without a name nobody could ask for it, and the first is the default.
        if self.models.iter().any(|model| model.trim().is_empty()) {
            return Err(wrong("models", "`models` has an empty name".to_owned())
                .hint("name each model as the provider does, or leave `models` away"));
        }
        self.key().map(|_| ())
    }

    /// Its key, as it was given.
    ///
    /// # Errors
    /// `invalid_input` when it is named by what is no variable for keys, or cannot be a key.
    pub fn key(&self) -> Result<Option<GivenKey<'_>>, Fault> {
        self.api_key.as_deref().map(GivenKey::read).transpose()
    }
}

impl std::fmt::Debug for Added {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Added").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a provider's key was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GivenKey<'a> {
    /// By the name of an environment variable.
    Variable(&'a str),
    /// The key itself.
    Clear(&'a str),
}

impl std::fmt::Debug for GivenKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable(name) => f.debug_tuple("Variable").field(name).finish(),
            Self::Clear(_) => f.write_str("Clear([hidden])"),
        }
    }
}

impl<'a> GivenKey<'a> {
    fn read(key: &'a str) -> Result<Self, Fault> {
        let hint = "send the key itself, or set a variable of the server, such as MINE_API_KEY, \
                    and send `env:MINE_API_KEY`";
        let Some(name) = key.strip_prefix("env:") else {
            // The value is never named: it may be a key.
            let is_line = key.bytes().all(|b| b.is_ascii_graphic());
            let is_reference =
                ["file:", "sealed:", "${"].iter().any(|begin| key.starts_with(begin));
            if key.is_empty() || key.len() > KEY_BYTES_MAX || !is_line || is_reference {
                let text = "this is no key: a key is one line of printable ASCII without spaces";
                return Err(wrong("api_key", text.to_owned()).hint(hint));
            }
            return Ok(Self::Clear(key));
        };
        let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let known = || Providers::embedded().rows().iter().flat_map(|row| &row.key);
        // Whoever may add a provider must not read the rest of the environment that way.
        let is_for_keys = name.ends_with("_API_KEY") || known().any(|known| known == name);
        if name.is_empty() || !name.bytes().all(legal) || !is_for_keys {
            let shown: String = name.chars().take(64).collect();
            let text = format!("`{shown}` is no variable of a key: its name ends with `_API_KEY`");
            return Err(wrong("api_key", text).hint(hint));
        }
        Ok(Self::Variable(name))
    }
}

/// What somebody wants of the providers that the API keeps.
#[derive(Clone)]
pub enum Wanted {
    /// This one, in the place of one of the same name.
    Put(Added),
    /// Some members of this one changed; null takes a member away.
    Change(String, Map<String, Value>),
    /// This one no longer.
    Remove(String),
}

impl Wanted {
    /// The name of the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Put(added) => &added.name,
            Self::Change(name, _) | Self::Remove(name) => name,
        }
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("name", &self.name()).finish_non_exhaustive()
    }
}

fn wrong(field: &str, text: String) -> Fault {
    Fault::new(Code::InvalidInput, text).details(serde_json::json!({"field": field}))
}

/// What comes of keeping a provider.
pub type Kept<'a> = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;

/// Who keeps what the API adds, so that it counts at once and survives a restart.
pub trait Keeper: Send + Sync + std::fmt::Debug {
    /// Does what is wanted of a provider, or says why not and changes nothing.
    fn keep(&self, wanted: Wanted) -> Kept<'_>;
}
