//! What the API shows of models and providers.

use ledger::{Capability, Model, Rate, Rates};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::health::Health;
use super::live::Seen;
use super::{Target, WINDOW_DEFAULT};
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
    /// The tokens that a reply may have; null when that is not known.
    pub output_tokens: Option<u32>,
    /// What it can do beside text: `tools`, `vision`, `thinking` …
    pub capabilities: Vec<&'static str>,
    /// What its tokens cost; null when that is not known.
    pub price: Option<Price>,
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
            output_tokens: None,
            capabilities: Vec::new(),
            price: None,
            latency_ms: Some(0),
            last_error: None,
            since: None,
        }
    }

    /// A route: a name of ours for several models.
    pub(super) fn route(name: &str, window_tokens: u32) -> Self {
        Self {
            provider: "route".to_owned(),
            offline: false,
            reachable: None,
            loaded: None,
            version: None,
            window_tokens,
            latency_ms: None,
            ..Self::offline(name)
        }
    }

    /// Adds what the table of models says.
    pub(super) fn known(mut self, model: Option<&Model>) -> Self {
        if let Some(model) = model {
            self.output_tokens = model.output;
            self.capabilities = model.can.iter().map(|can| can.as_str()).collect();
            self.price = Price::of(model);
        }
        self
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

/// What a model does instead of speaking: calls of such a kind pass over models of another.
const KINDS: [Capability; 2] = [Capability::Embedding, Capability::Rerank];

/// What can be asked of several models, whichever of them answers.
pub(super) fn shared(targets: &[Target]) -> Vec<&'static str> {
    let known = targets.iter().map(|target| match target {
        Target::Upstream(upstream) => upstream.known(),
        Target::Offline(_) => None,
    });
    let of_kind = |model: &Option<&Model>| {
        model.is_some_and(|model| KINDS.iter().any(|kind| model.can(*kind)))
    };
    let (others, speakers): (Vec<_>, Vec<_>) = known.partition(of_kind);
    let all = speakers.first().copied().flatten().into_iter().flat_map(|model| &model.can);
    let can_all = |can: &Capability| speakers.iter().flatten().all(|model| model.can(*can));
    let is_known = speakers.iter().all(Option::is_some);
    let words = all.copied().filter(|can| is_known && can_all(can));
    let others = |kind: &Capability| others.iter().flatten().any(|model| model.can(*kind));
    words.chain(KINDS.into_iter().filter(others)).map(Capability::as_str).collect()
}

/// What the tokens of a model cost, in USD per million.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Price {
    /// Tokens of the prompt.
    pub input: Option<f64>,
    /// Tokens of the reply.
    pub output: Option<f64>,
    /// Tokens of the prompt that the provider's cache had.
    pub cache_read: Option<f64>,
    /// Tokens written to the provider's cache.
    pub cache_write: Option<f64>,
    /// Tokens written to the provider's cache for an hour.
    pub cache_write_1h: Option<f64>,
    /// What a call in a batch costs of that, in percent.
    pub batch_percent: Option<u32>,
    /// Prompts of more tokens than this are dearer.
    pub dearer_above_tokens: Option<u64>,
}

impl Price {
    /// The price of a model; `None` when nothing is known of it.
    #[must_use]
    pub fn of(model: &Model) -> Option<Self> {
        // Printing and reading is exact here, and needs no conversion that could lose digits.
        let usd = |rate: Option<Rate>| rate.and_then(|rate| rate.to_string().parse().ok());
        let rates = &model.usd;
        (*rates != Rates::default()).then(|| Self {
            input: usd(rates.input),
            output: usd(rates.output),
            cache_read: usd(rates.cache_read),
            cache_write: usd(rates.cache_write),
            cache_write_1h: usd(rates.cache_write_1h),
            batch_percent: model.batch,
            dearer_above_tokens: model.cliff(),
        })
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
    /// How a request shows who sends it: `bearer`, `header:x-api-key`, `sigv4` …
    pub auth: String,
    /// Where its API is described; empty for a provider that is not known by name.
    pub docs: String,
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
    /// Its keys by name, and how each fares.
    pub keys: Vec<super::keys::KeyStatus>,
    /// Its health check; null where none is configured.
    pub health: Option<super::check::CheckStatus>,
    /// The models that were asked for, and whether they are left alone.
    pub breakers: Vec<BreakerStatus>,
}

/// Whether a model of a provider is left alone because it fails again and again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreakerStatus {
    /// The provider's name of the model.
    pub model: String,
    /// `closed` (it works), `open` (others are asked first) or `half_open` (the next call tries).
    pub state: &'static str,
    /// Failures of the provider's own in a row.
    pub failures: u32,
    /// Calls under way.
    pub in_flight: u32,
    /// Seconds until the next call tries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_in_seconds: Option<u64>,
}

impl BreakerStatus {
    pub(super) fn of(model: &str, health: &Health, now: Instant) -> Self {
        let (state, failures, left) = health.told(now);
        Self {
            // Beyond a bound all further names share one.
            model: if model.is_empty() { "(others)" } else { model }.to_owned(),
            state: state.as_str(),
            failures,
            in_flight: health.in_flight(),
            again_in_seconds: left.map(|left| left.as_secs()),
        }
    }
}
