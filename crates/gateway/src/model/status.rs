//! What the API shows of models and providers.

use serde::Serialize;
use utoipa::ToSchema;

use super::live::Seen;
use super::windows::WINDOW_DEFAULT;
use crate::offline;

/// One model and how it fares. Nulls mean that no call has shown it yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelStatus {
    /// The name a caller asks for.
    pub name: String,
    /// Its provider; `offline` for the built-in ones.
    pub provider: String,
    /// The dialect it is asked in; null for the built-in ones.
    pub dialect: Option<String>,
    /// It needs no connection.
    pub offline: bool,
    /// It has everything it needs: a key where one is wanted, and leave to connect.
    pub configured: bool,
    /// It answered the last time.
    pub reachable: Option<bool>,
    /// It is ready to answer.
    pub loaded: Option<bool>,
    /// The version that answered last.
    pub version: Option<String>,
    /// The tokens it can take.
    pub window_tokens: u32,
    /// How long its last good answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What was wrong with the last call.
    pub last_error: Option<String>,
    /// When `reachable` last changed (RFC 3339).
    pub since: Option<String>,
}

impl ModelStatus {
    /// A built-in model: always there.
    pub(super) fn offline(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            provider: offline::PROVIDER.to_owned(),
            dialect: None,
            offline: true,
            configured: true,
            reachable: Some(true),
            loaded: Some(true),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            window_tokens: WINDOW_DEFAULT,
            latency_ms: Some(0),
            last_error: None,
            since: None,
        }
    }

    /// Adds what the calls have shown.
    pub(super) fn seen(mut self, seen: Seen) -> Self {
        self.reachable = seen.reachable;
        self.loaded = seen.reachable;
        self.version = seen.version;
        self.latency_ms = seen.latency.and_then(|d| u64::try_from(d.as_millis()).ok());
        self.last_error = seen.last_error;
        self.since = seen.since.map(|at| at.to_string());
        self
    }
}

/// One provider and how it fares.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderStatus {
    /// The name in `provider/model`.
    pub name: String,
    /// The dialect it speaks.
    pub dialect: String,
    /// Where its API begins.
    pub base_url: String,
    /// It has everything it needs.
    pub configured: bool,
    /// Where its key came from; never the key.
    pub key_source: Option<String>,
    /// It answered the last time; null before the first call.
    pub reachable: Option<bool>,
    /// What was wrong with the last call, or what is missing.
    pub last_error: Option<String>,
    /// When `reachable` last changed (RFC 3339).
    pub since: Option<String>,
}
