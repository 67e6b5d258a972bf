//! One model behind a connection, and the provider it belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};
use ledger::Prices;
use parking_lot::Mutex;
use tokio::time::Instant;
use wire::dialect::Dialect;
use wire::prompt::Message;
use wire::reply::Usage;
use wire::{Blame, Code, Fault};

use super::check::Checks;
use super::health::{Flight, Health};
use super::hold::Hold;
use super::keys::Pool;
use super::live::{Live, News};
use super::priced::Priced;
use super::status::{BreakerStatus, ModelStatus, ProviderStatus};
use super::token::Tokens;
use super::trail::Trail;
use super::{WINDOW_DEFAULT, config};
use crate::client::{Base, Client, Tls};
use crate::offline;
use crate::provider::{self, Ask};
use crate::settings::ProviderSettings;

/// A provider as it is used: its settings read, its connections, its pauses, its history.
pub(super) struct Site {
    pub(super) settings: ProviderSettings,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) client: Client,
    pub(super) hold: Arc<Hold>,
    pub(super) keys: Pool,
    pub(super) tokens: Tokens,
    pub(super) checks: Arc<Checks>,
    live: Arc<Live>,
    /// How its models fare, by the provider's names.
    health: Arc<Mutex<HashMap<String, Arc<Health>>>>,
    /// What a request without a key carries.
    headers: HeaderMap,
    /// What models can do and cost.
    prices: Priced,
    /// Values that must not be shown, wherever they turn up.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("name", &self.settings.name)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Limit: shorter values are too frequent in ordinary text to be taken for a secret.
const SECRET_CHARS_MIN: usize = 6;
/// Limit: models whose health is kept apart per provider.
const HEALTH_MAX: usize = 256;

impl Site {
    /// Reads a provider's settings.
    pub(super) fn new(
        settings: &ProviderSettings,
        (tls, local_only): (Tls, bool),
        prices: &Arc<Prices>,
    ) -> Result<Self, Fault> {
        let name = &settings.name;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(config(format!("`{name}` is not a provider name"))
                .hint("use letters, digits, `-`, `_` and `.`"));
        }
        if name == offline::PROVIDER || offline::named(name).is_some() {
            return Err(config(format!("`{name}` is a built-in name, not one for a provider")));
        }
        let Some(dialect) =
            wire::dialect::versioned(&settings.dialect, settings.version.as_deref())
        else {
            return Err(config(format!(
                "provider `{name}` names the unknown dialect `{}`",
                settings.dialect
            ))
            .hint(provider::known_dialects()));
        };
        let base = Base::parse(name, &settings.base_url)?;
        let headers = provider::headers(settings, None)?;
        let secrets = provider::secrets(settings).into_iter();
        let secrets = secrets.filter(|text| text.len() >= SECRET_CHARS_MIN).collect();
        Ok(Self {
            tokens: Tokens::new(tls.clone(), local_only),
            keys: Pool::new(settings)?,
            health: Arc::default(),
            checks: Arc::default(),
            client: Client::new(name, base, settings.deadlines, (tls, local_only)),
            settings: settings.clone(),
            prices: Priced::new(prices),
            dialect,
            hold: Arc::default(),
            live: Arc::default(),
            headers,
            secrets,
        })
    }

    /// Goes on with what was known before a reload, unless it is somewhere else now.
    pub(super) fn goes_on(&mut self, before: &Self) {
        let (new, old) = (&self.settings, &before.settings);
        if (&new.base_url, &new.dialect) != (&old.base_url, &old.dialect) {
            return;
        }
        let Self { hold, live, health, checks, .. } = before;
        (self.hold, self.live) = (Arc::clone(hold), Arc::clone(live));
        (self.health, self.checks) = (Arc::clone(health), Arc::clone(checks));
        if self.settings.health.is_none() {
            // Nobody looks any more, so nobody could say that it works again.
            self.checks.end();
        }
        self.keys.goes_on(&before.keys);
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn models(&self) -> &[String] {
        &self.settings.models
    }

    pub(super) fn first_model(&self) -> Option<&str> {
        self.settings.models.first().map(String::as_str)
    }

    pub(super) fn lists(&self, model: &str) -> bool {
        self.settings.models.iter().any(|listed| listed == model)
    }

    /// Whether an unlisted model of this name is likely served here: at the provider that bears
    /// its company's name or sits at its address, or by anyone where that is the custom.
    pub(super) fn owns(&self, model: &str) -> bool {
        let row = &self.settings.row;
        let own = self.name() == row.name || self.client.base().host() == row.host();
        (own || row.is_everywhere) && row.owns(model)
    }

    /// Whether it can be asked at all.
    pub(super) fn is_usable(&self) -> bool {
        self.check().is_ok()
    }

    /// Says what is missing before it can be asked.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.client.is_forbidden() {
            return Err(self.client.forbidden());
        }
        if let Some(why) = &self.settings.locked {
            let text = format!("provider `{}` has no key: {why}", self.name());
            return Err(config(text).hint("send it again: PATCH /api/v1/providers/NAME"));
        }
        let row = &self.settings.row;
        // Other servers of the same dialect often want no key.
        if self.settings.keys.is_empty()
            && self.settings.headers.is_empty()
            && !row.local
            && self.client.base().host() == row.host()
        {
            let variable =
                row.key_variable().map(|name| format!("{name}, or ")).unwrap_or_default();
            return Err(config(format!("provider `{}` has no key", self.name()))
                .hint(format!("set {variable}`api_key` of the provider")));
        }
        Ok(())
    }

    pub(super) fn note(&self, model: &str, news: &News) {
        self.live.note(model, news, super::call::now());
    }

    pub(super) fn status(&self) -> ProviderStatus {
        let (seen, missing) = (self.live.provider(), self.check().err());
        ProviderStatus {
            name: self.name().to_owned(),
            dialect: self.dialect.name().to_owned(),
            base_url: self.client.base().to_string(),
            auth: self.settings.auth.to_string(),
            docs: self.settings.row.docs.clone(),
            configured: missing.is_none(),
            key_source: self.settings.key().and_then(|key| key.source.clone()),
            reachable: seen.reachable,
            last_error: missing.map(|fault| fault.text().to_owned()).or(seen.last_error),
            since: seen.since.map(|at| at.to_string()),
            keys: self.keys.statuses(),
            health: self
                .settings
                .health
                .as_ref()
                .map(|check| self.checks.status(check, self.check_path(check))),
            breakers: self.breakers(),
        }
    }

    /// What every request with this key carries.
    pub(super) fn headers_of(&self, key: Option<usize>) -> HeaderMap {
        let mut headers = self.keys.headers(key).unwrap_or(&self.headers).clone();
        let agent = concat!("rapport/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers
    }

    /// How a model fares here. Names come from callers: beyond a bound they share one record.
    pub(super) fn health(&self, model: &str) -> Arc<Health> {
        let mut all = self.health.lock();
        if let Some(health) = all.get(model) {
            return Arc::clone(health);
        }
        let name = if all.len() < HEALTH_MAX { model } else { "" };
        let new = || Arc::new(Health::under(self.checks.down()));
        Arc::clone(all.entry(name.to_owned()).or_insert_with(new))
    }

    /// Its models that were left alone are tried by their next calls.
    pub(super) fn ask_again(&self) {
        for health in self.health.lock().values() {
            health.is_worth_a_try();
        }
    }

    /// How the models fare that were asked for, by name.
    fn breakers(&self) -> Vec<BreakerStatus> {
        let now = Instant::now();
        let all = self.health.lock();
        let mut statuses: Vec<BreakerStatus> =
            all.iter().map(|(model, health)| BreakerStatus::of(model, health, now)).collect();
        statuses.sort_by(|a, b| a.model.cmp(&b.model));
        statuses
    }

    pub(super) fn model_statuses(&self) -> impl Iterator<Item = ModelStatus> + '_ {
        let configured = self.is_usable();
        self.models().iter().map(move |model| {
            ModelStatus {
                name: model.clone(),
                provider: self.name().to_owned(),
                dialect: Some(self.dialect.name().to_owned()),
                offline: false,
                configured,
                reachable: None,
                loaded: None,
                version: None,
                window_tokens: self.window_tokens(model),
                output_tokens: None,
                capabilities: Vec::new(),
                price: None,
                latency_ms: None,
                last_error: None,
                since: None,
            }
            .known(
                self.prices
                    .table()
                    .likely(self.name(), model)
                    .map(|row| ledger::Model {
                        // What another provider takes for it is not its price here.
                        usd: self.known(model).map(|own| own.usd).unwrap_or_default(),
                        tiers: self.known(model).map(|own| own.tiers.clone()).unwrap_or_default(),
                        ..row.clone()
                    })
                    .as_ref(),
            )
            .seen(self.live.model(model))
        })
    }

    fn window_tokens(&self, model: &str) -> u32 {
        let known = || self.prices.table().window_tokens(&self.settings.row.name, model);
        self.settings.window_tokens.or_else(known).unwrap_or(WINDOW_DEFAULT)
    }

    /// What the table knows of a model here.
    pub(super) fn known(&self, model: &str) -> Option<&ledger::Model> {
        self.prices.row([self.name(), &self.settings.row.name], model)
    }

    /// The text without our secrets, whoever repeated them.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in &self.secrets {
            if out.contains(secret) {
                out = out.replace(secret, "[hidden]");
            }
        }
        out
    }

    /// [`Site::clean`] over bytes that may not be text.
    pub(super) fn clean_bytes(&self, bytes: &Bytes) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.secrets.iter().any(|secret| text.contains(secret)) => {
                self.clean(text).into()
            }
            Ok(_) => bytes.clone(),
            Err(_) => self.clean(&String::from_utf8_lossy(bytes)).into(),
        }
    }
}

/// Why a streamed call failed, and what had come by then.
#[derive(Debug)]
pub struct Failed {
    /// What went wrong.
    pub fault: Fault,
    /// What is worth keeping: finished blocks and a begun text.
    pub partial: Option<Message>,
}

/// One model of one provider.
#[derive(Debug)]
pub struct Upstream {
    pub(super) site: Arc<Site>,
    pub(super) model: String,
    pub(super) health: Arc<Health>,
    /// Others can be asked: nothing is waited for here.
    pub(super) hurried: bool,
    /// Where tries are written down.
    pub(super) trail: Option<Arc<Trail>>,
}

impl Upstream {
    pub(super) fn new(site: Arc<Site>, model: String) -> Self {
        Self { health: site.health(&model), site, model, hurried: false, trail: None }
    }

    /// The same for one call: `hurried` when others can be asked instead of waiting here, and with
    /// a trail for its tries.
    #[must_use]
    pub fn for_call(&self, hurried: bool, trail: &Arc<Trail>) -> Self {
        Self {
            site: Arc::clone(&self.site),
            model: self.model.clone(),
            health: Arc::clone(&self.health),
            hurried,
            trail: Some(Arc::clone(trail)),
        }
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.site.name()
    }

    /// The provider's name of the model: what `Prompt::model` must say.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The dialect it is asked in.
    #[must_use]
    pub fn dialect(&self) -> &'static dyn Dialect {
        self.site.dialect
    }

    /// The row of the table of providers that its settings come from.
    pub(crate) fn row_name(&self) -> &str {
        &self.site.settings.row.name
    }

    /// The tokens it can take.
    #[must_use]
    pub fn window_tokens(&self) -> u32 {
        self.site.window_tokens(&self.model)
    }

    /// The address of its requests.
    #[must_use]
    pub fn url(&self, stream: bool) -> String {
        let path = self.site.dialect.path_for(&self.model, stream);
        self.url_of(&path, stream, self.site.keys.first())
    }

    /// The address of a request with this path of the dialect's and this key.
    pub(super) fn url_of(&self, path: &str, stream: bool, key: Option<usize>) -> String {
        let (site, base) = (&self.site, self.site.client.base());
        let ask = Ask { path, model: &self.model, stream };
        base.url(&provider::route(&site.settings, site.keys.key(key), base.path(), ask))
    }

    /// Whether its provider has these paths beside its dialect's, as far as is known: `rerank` …
    #[must_use]
    pub fn offers(&self, what: &str) -> bool {
        let paths = &self.site.settings.row.paths;
        paths.is_empty() || paths.iter().any(|path| path == what)
    }

    /// Counts a call until what is returned drops.
    pub(crate) fn begin(&self) -> Flight {
        self.health.begin()
    }

    /// What this costs here, in millionths of a US dollar; `None` when the price is not known.
    #[must_use]
    pub fn price_of(&self, usage: &Usage) -> Option<u64> {
        let cost = ledger::cost(self.known()?, usage, ledger::Terms::default())?;
        Some(cost.micro_usd)
    }

    /// Why its provider counts as down.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.site.checks.trouble()
    }

    /// How it fares.
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What the table knows of the model at this provider.
    #[must_use]
    pub fn known(&self) -> Option<&ledger::Model> {
        self.site.known(&self.model)
    }

    pub(super) fn headers(&self, stream: bool, key: Option<usize>) -> HeaderMap {
        let mut headers = self.site.headers_of(key);
        let accept = if stream { self.site.dialect.stream_type() } else { "application/json" };
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(accept));
        headers
    }

    /// Turns an outcome into what the statuses show.
    pub(super) fn news(&self, fault: &Fault) -> Option<News> {
        // Limit: a status line, not a report.
        let text: String = self.site.clean(fault.text()).chars().take(300).collect();
        let is_answer = fault.detail_values().is_some_and(|d| d.get("upstream_status").is_some());
        match fault.code() {
            // What the caller or the operator did wrong says nothing about the upstream.
            Code::ConfigurationError => None,
            _ if fault.blame() == Blame::Caller => None,
            Code::UpstreamUnavailable | Code::Timeout if !is_answer => Some(News::Lost(text)),
            _ => Some(News::Refused(text)),
        }
    }
}
