//! What the request path has to be told: resolved once by the binary, never asked for again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ledger::Prices;

use crate::cache::CacheSettings;
use crate::hooks::HookSettings;
use crate::joined::McpSettings;
use crate::mounts::MountSettings;
use crate::prompts::PromptSettings;
use crate::provider::{AuthKind, Providers, Row};
use crate::route::RouteSettings;

/// A secret value. It has no `Display` and no `Serialize`, and `Debug` hides it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Who has to show a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Open on loopback while no key exists; required otherwise.
    Auto,
    /// Always required.
    Required,
    /// Like `Auto`, but also open on other addresses while no key exists (containers).
    AutoDev,
}

impl AuthMode {
    /// The mode as it is written in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Required => "required",
            Self::AutoDev => "auto-dev",
        }
    }
}

/// How an upstream failure is answered on the first context shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// 503 with an error and the apology.
    Unavailable,
    /// 200 with the apology alone.
    Apology,
}

/// Which models answer where.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The model of every door; `None` leaves the choice to the doors below.
    pub default: Option<String>,
    /// The model of interact and raw TCP while `default` is not set: `echo`.
    pub interact: String,
    /// The model of all other doors while `default` is not set: `demo`.
    pub context: String,
    /// `models.embed`: what turns messages into vectors for recall; nothing unless set.
    pub embed: Option<String>,
    /// Every door answers with the `mock` model.
    pub mock: bool,
    /// What becomes of what a provider's API cannot say.
    pub unsupported: Unsupported,
}

/// What becomes of the parts of a call that its provider's API cannot say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsupported {
    /// They are left out, and the answer names them.
    #[default]
    Drop,
    /// The call is refused.
    Error,
    /// Fields are sent as the caller wrote them; what is no field is left out.
    Pass,
}

impl Unsupported {
    /// Every word with its meaning.
    pub const WORDS: [(&str, Self); 3] =
        [("drop", Self::Drop), ("error", Self::Error), ("pass", Self::Pass)];

    /// Reads `drop`, `error` or `pass`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, meaning)| meaning)
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            default: None,
            interact: "echo".to_owned(),
            context: "demo".to_owned(),
            embed: None,
            mock: false,
            unsupported: Unsupported::Drop,
        }
    }
}

/// One key of a provider. A provider with several spreads its calls over them.
#[derive(Clone)]
pub struct KeySettings {
    /// What it is called in answers and logs; never the key.
    pub name: String,
    /// The key itself.
    pub key: Secret,
    /// Where it came from, such as `environment ANTHROPIC_API_KEY`; safe to print.
    pub source: Option<String>,
    /// Which keys are used first: 1 before 2.
    pub priority: u32,
    /// Its share of the calls among keys of the same priority; 0 is only a spare.
    pub weight: u32,
    /// When it stops counting.
    pub expires: Option<Timestamp>,
}

impl KeySettings {
    /// The only key of a provider.
    #[must_use]
    pub fn new(key: Secret, source: impl Into<String>) -> Self {
        let source = Some(source.into());
        Self { name: "default".to_owned(), key, source, priority: 1, weight: 1, expires: None }
    }
}

impl std::fmt::Debug for KeySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySettings")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("priority", &self.priority)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

/// One upstream.
#[derive(Clone)]
pub struct ProviderSettings {
    /// The name in `provider/model`, such as `anthropic`.
    pub name: String,
    /// What the table of providers knows of it.
    pub row: Arc<Row>,
    /// The dialect it speaks, such as `anthropic` or `openai_chat`.
    pub dialect: String,
    /// Where its API begins, such as `https://api.anthropic.com` or `http://127.0.0.1:11434/v1`.
    pub base_url: String,
    /// How a request shows who sends it.
    pub auth: AuthKind,
    /// The keys we show it, if it wants one.
    pub keys: Vec<KeySettings>,
    /// The API version it is asked for: `anthropic-version`, or Azure's `api-version`.
    pub version: Option<String>,
    /// The region of a cloud, where its address or signature names one.
    pub region: Option<String>,
    /// The project or account of a cloud, where its address names one.
    pub project: Option<String>,
    /// Its models; the first is the default. Others may still be named as `provider/model`.
    pub models: Vec<String>,
    /// Tokens that its models can take, where the caller knows better than our table.
    pub window_tokens: Option<u32>,
    /// How it is told a conversation.
    pub transcript: crate::model::Transcript,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
    /// Tries after the first, on faults that may pass.
    pub retries: u32,
    /// How long each stage may take.
    pub deadlines: Deadlines,
    /// How it is looked after while nobody calls; not at all if absent.
    pub health: Option<HealthCheck>,
    /// Why its key is there and cannot be used; it is not asked then.
    pub locked: Option<String>,
}

impl ProviderSettings {
    /// A provider as its row describes it, without a key.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self {
            name: row.name.clone(),
            dialect: row.dialect.clone(),
            base_url: row.base_url.clone(),
            auth: row.auth.clone(),
            keys: Vec::new(),
            version: None,
            region: None,
            project: None,
            models: row.models.clone(),
            window_tokens: None,
            transcript: crate::model::Transcript::default(),
            headers: Vec::new(),
            retries: crate::provider::RETRIES,
            deadlines: Deadlines::default(),
            health: None,
            locked: None,
            row: Arc::new(row.clone()),
        }
    }

    /// A provider of this name: as its row in the embedded table describes it, if it has one and
    /// that speaks the same dialect.
    #[must_use]
    pub fn new(name: &str, dialect: &str, base_url: &str) -> Self {
        let known = Providers::embedded().find(name).filter(|row| row.dialect == dialect);
        let row = known.cloned().unwrap_or_else(|| Row::unknown(name, dialect));
        Self { base_url: base_url.to_owned(), ..Self::of(&row) }
    }

    /// The key that is tried first.
    #[must_use]
    pub fn key(&self) -> Option<&KeySettings> {
        self.keys.iter().min_by_key(|key| key.priority)
    }
}

impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A header may carry a credential: only its name is shown.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ProviderSettings")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("base_url", &self.base_url)
            .field("auth", &self.auth)
            .field("keys", &self.keys)
            .field("models", &self.models)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// A cheap request that a provider gets from time to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// How often.
    pub every: Duration,
    /// The path below `base_url`, which is got; the dialect's list of models if absent.
    pub path: Option<String>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// How long each stage of an upstream call may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Name resolution, TCP and TLS.
    pub connect: Duration,
    /// From the request's last byte to the response's headers.
    pub first_byte: Duration,
    /// Silence inside the response.
    pub idle: Duration,
    /// The whole call with all its tries.
    pub total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// Every limit of the request path, each with its name in the configuration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `limits.connections`: open connections; the next one is refused with 503.
    pub connections: usize,
    /// `limits.body_bytes`: the largest HTTP body.
    pub body_bytes: usize,
    /// `limits.upload_bytes`: the largest body that is passed through piece by piece.
    pub upload_bytes: u64,
    /// `limits.import_bytes`: the largest document that is imported.
    pub import_bytes: u64,
    /// `limits.line_bytes`: the longest raw-TCP line or WebSocket message.
    pub line_bytes: usize,
    /// `limits.json_depth`: the deepest nesting of arrays and objects.
    pub json_depth: usize,
    /// `limits.turns`: upstream turns at once.
    pub turns: usize,
    /// `limits.requests_per_minute` per key, or per address without a key; `None` is unlimited.
    pub requests_per_minute: Option<u32>,
    /// `limits.requests_wait`: how long an HTTP request may wait for its place in that.
    pub requests_wait: Duration,
    /// `limits.queue`: how long a turn waits for its context.
    pub queue: Duration,
    /// `limits.header_read`: from the first byte to the end of the request headers.
    pub header_read: Duration,
    /// `limits.body_read`: silence inside a request body.
    pub body_read: Duration,
    /// `limits.line_idle`: silence on a raw-TCP connection before it is closed.
    pub line_idle: Duration,
    /// `limits.heartbeat`: how often a quiet WebSocket is asked for a sign of life.
    pub heartbeat: Duration,
    /// `limits.request`: a whole request that is not a stream.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            body_bytes: 64 * 1024 * 1024,
            upload_bytes: 1024 * 1024 * 1024,
            import_bytes: 16 * 1024 * 1024 * 1024,
            line_bytes: 4 * 1024 * 1024,
            json_depth: 128,
            turns: 1_024,
            requests_per_minute: None,
            requests_wait: Duration::ZERO,
            queue: Duration::from_secs(30),
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(30),
            line_idle: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            request: Duration::from_secs(610),
        }
    }
}

/// What is kept of finished model calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLog {
    /// Limit: calls in the log; the oldest go first. 0 keeps none beyond memory.
    pub rows: u64,
    /// Limit: how long a call stays in the log.
    pub age: Duration,
}

impl RequestLog {
    /// Whether calls are written down.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.rows > 0
    }
}

impl Default for RequestLog {
    fn default() -> Self {
        Self { rows: 100_000, age: Duration::from_hours(30 * 24) }
    }
}

/// Everything the request path has to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which models answer where.
    pub models: ModelSettings,
    /// The upstreams.
    pub providers: Vec<ProviderSettings>,
    /// Who has to show a key.
    pub auth: AuthMode,
    /// Further names that `Host` may carry, beside loopback names and addresses.
    pub allowed_hosts: Vec<String>,
    /// Browser origins that may call us, such as `http://localhost:3000`.
    pub cors_origins: Vec<String>,
    /// Peers whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<IpAddr>,
    /// The path below which everything is served, empty or like `/rapport`.
    pub base_path: String,
    /// Limits.
    pub limits: Limits,
    /// What models can do and cost.
    pub prices: Arc<Prices>,
    /// Names that stand for several models.
    pub routes: Vec<RouteSettings>,
    /// Prompts that are kept, by name.
    pub prompts: Vec<PromptSettings>,
    /// Which answers are kept and given again.
    pub cache: CacheSettings,
    /// What is kept of finished model calls.
    pub requests: RequestLog,
    /// How upstream failures are answered on the first context shape.
    pub upstream_failure: UpstreamFailure,
    /// How webhooks are told.
    pub hooks: HookSettings,
    /// How contexts of other servers are asked for.
    pub mounts: MountSettings,
    /// Servers of the Model Context Protocol that are joined.
    pub mcp: McpSettings,
    /// No connection leaves the machine, whatever else is configured.
    pub local_only: bool,
    /// Verbose logs and development conveniences; never the execution of code.
    pub debug: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: ModelSettings::default(),
            providers: Vec::new(),
            auth: AuthMode::Auto,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            base_path: String::new(),
            limits: Limits::default(),
            prices: Arc::new(Prices::embedded().clone()),
            routes: Vec::new(),
            prompts: Vec::new(),
            cache: CacheSettings::default(),
            requests: RequestLog::default(),
            upstream_failure: UpstreamFailure::Unavailable,
            hooks: HookSettings::default(),
            mounts: MountSettings::default(),
            mcp: McpSettings::default(),
            local_only: false,
            debug: false,
        }
    }
}
