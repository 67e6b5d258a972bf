//! From values by key to the resolved configuration.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doctor::port::LogicalMap;
use gateway::cache::{CacheMode, CacheSettings};
use gateway::hooks::HookSettings;
use gateway::mounts::MountSettings;
use gateway::settings::{
    AuthMode, Limits, ModelSettings, RequestLog, Settings, Unsupported, UpstreamFailure,
};
use ledger::Prices;

use super::mcp;
use super::problem::Place;
use super::prompts;
use super::providers;
use super::resolved::{Config, Contexts, Log, LogFormat, Ports, Store, Tls, TlsMode};
use super::routes;
use super::values::Values;

/// The data folder alone: it is needed before all sources are known.
pub(super) fn data_folder(values: &mut Values<'_>, default: &Path) -> std::path::PathBuf {
    let folder = values.path("data.dir").unwrap_or_else(|| default.to_owned());
    values.folder.join(folder)
}

/// Reads everything; problems are in the findings of `values`, and the result stands in for the
/// wrong parts with defaults.
pub(super) fn config(values: &mut Values<'_>, default_data: &Path) -> Config {
    let data = data_folder(values, default_data);
    let durability = values.choice(
        "data.durability",
        &[
            ("group", storage::Durability::Group),
            ("sync", storage::Durability::Sync),
            ("fast", storage::Durability::Fast),
        ],
    );
    let store =
        values.choice("data.store", &[("sqlite", Store::Sqlite), ("memory", Store::Memory)]);
    Config {
        hosts: hosts(values),
        ports: ports(values),
        store: store.unwrap_or(Store::Sqlite),
        durability: durability.unwrap_or(storage::Durability::Group),
        contexts: contexts(values),
        tls: tls(values),
        log: log(values, &data),
        gateway: settings(values),
        data,
    }
}

fn hosts(values: &mut Values<'_>) -> Vec<String> {
    let (hosts, place) = values.list("server.host");
    for host in &hosts {
        if host.contains("://") || host.contains('/') {
            values.findings.problem(
                &place,
                format!("`server.host` cannot be `{host}`: write an address or a name"),
            );
        }
    }
    hosts
}

fn ports(values: &mut Values<'_>) -> Ports {
    let strict = values.bool("server.strict_ports");
    let mut logical = LogicalMap::default();
    // The map is complete before the first port is looked up in it.
    for name in values.stack.below("ports.logical") {
        let path = format!("ports.logical.{name}");
        let Some(found) = values.found(&path) else { continue };
        match doctor::port::parse(found.text.trim(), found.place.for_port()) {
            Ok(port) => {
                if let Err(invalid) = logical.insert(&name, port) {
                    values.findings.problem(&found.place, invalid.to_string());
                }
            }
            Err(invalid) => values.findings.port(&invalid),
        }
    }
    let range = port_range(values);
    Ports {
        port: values.port("server.port", strict, &logical),
        range,
        fallback: values.bool("server.port_fallback"),
        strict,
        wrap_alias: values.bool("ports.wrap_alias"),
        logical,
    }
}

fn port_range(values: &mut Values<'_>) -> Option<RangeInclusive<u16>> {
    let found = values.found("server.port_range")?;
    let Some((first, last)) = found.text.split_once('-') else {
        let text = format!(
            "`server.port_range` cannot be `{}`: write two ports such as `8000-8010`",
            found.text
        );
        values.findings.problem(&found.place, text);
        return None;
    };
    let mut ends = Vec::new();
    for end in [first, last] {
        let end = end.trim();
        match doctor::port::parse(end, found.place.for_port()) {
            Ok(port) => ends.push(port),
            Err(invalid) => values.findings.port(&invalid),
        }
    }
    match ends.as_slice() {
        [first, last] if 0 < *first && first <= last => Some(*first..=*last),
        [_, _] => {
            let text = "`server.port_range` is empty: write the lower port first, from 1 up";
            values.findings.problem(&found.place, text);
            None
        }
        _ => None,
    }
}

fn tls(values: &mut Values<'_>) -> Tls {
    let modes =
        [("off", TlsMode::Off), ("optional", TlsMode::Optional), ("required", TlsMode::Required)];
    let mode = values.choice("tls.mode", &modes).unwrap_or(TlsMode::Off);
    let place = |values: &mut Values<'_>, path: &str| {
        values.found(path).map_or(Place::Default, |found| found.place)
    };
    let files = match (values.path("tls.certificate"), values.path("tls.key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let place = place(values, "tls.certificate");
            values.findings.problem(&place, "`tls.certificate` needs `tls.key` beside it");
            None
        }
        (None, Some(_)) => {
            let place = place(values, "tls.key");
            values.findings.problem(&place, "`tls.key` needs `tls.certificate` beside it");
            None
        }
    };
    for (path, file) in
        files.iter().flat_map(|(cert, key)| [("tls.certificate", cert), ("tls.key", key)])
    {
        if let Err(error) = std::fs::File::open(file) {
            let place = place(values, path);
            let text = format!("`{path}`: {} cannot be read: {error}", file.display());
            values.findings.problem(&place, text);
        }
    }
    Tls { mode, files }
}

fn log(values: &mut Values<'_>, data: &Path) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = values.choice("log.format", &formats).unwrap_or(LogFormat::Text);
    let mut level = "info".to_owned();
    if let Some(found) = values.found("log.level") {
        match crate::log::check_level(&found.text) {
            Ok(()) => level = found.text.trim().to_ascii_lowercase(),
            Err(problem) => {
                let text = format!("`log.level` cannot be `{}`: {problem}", found.text);
                values.findings.problem(&found.place, text);
            }
        }
    }
    // `debug` speaks up unless someone has said how loud.
    if values.bool("debug") && values.stack.given("log.level").is_none() {
        "debug".clone_into(&mut level);
    }
    let dir = values.path("log.dir").unwrap_or_else(|| data.join("logs"));
    Log { level, format, dir: values.bool("log.file").then_some(dir) }
}

fn settings(values: &mut Values<'_>) -> Settings {
    let auth = [
        ("auto", AuthMode::Auto),
        ("required", AuthMode::Required),
        ("auto-dev", AuthMode::AutoDev),
    ];
    let failures =
        [("unavailable", UpstreamFailure::Unavailable), ("apology", UpstreamFailure::Apology)];
    Settings {
        models: ModelSettings {
            default: values.text("models.default"),
            interact: values.text("models.interact").unwrap_or_default(),
            context: values.text("models.context").unwrap_or_default(),
            embed: values.text("models.embed").filter(|name| !name.is_empty()),
            mock: values.bool("models.mock"),
            unsupported: values
                .choice("models.unsupported", &Unsupported::WORDS)
                .unwrap_or_default(),
        },
        providers: providers::all(values),
        routes: routes::all(values),
        prompts: prompts::all(values),
        mcp: mcp::all(values),
        prices: prices(values),
        auth: values.choice("auth.mode", &auth).unwrap_or(AuthMode::Auto),
        allowed_hosts: values.list("server.allowed_hosts").0,
        cors_origins: origins(values),
        trusted_proxies: proxies(values),
        base_path: base_path(values),
        limits: limits(values),
        cache: cache(values),
        requests: requests(values),
        hooks: hooks(values),
        mounts: mounts(values),
        upstream_failure: values
            .choice("upstream_failure", &failures)
            .unwrap_or(UpstreamFailure::Unavailable),
        local_only: values.bool("local_only"),
        debug: values.bool("debug"),
    }
}

/// The embedded table of models with the rows of `prices_file`.
fn prices(values: &mut Values<'_>) -> Arc<Prices> {
    let mut prices = Prices::embedded().clone();
    if let Some((text, place)) = providers::file(values, "prices_file")
        && let Err(fault) = prices.merge(&text)
    {
        values.findings.fault(&place, "prices_file", &fault);
    }
    Arc::new(prices)
}

fn contexts(values: &mut Values<'_>) -> Contexts {
    let days = values.count("contexts.audit_days");
    let vault_key = values.secret("contexts.vault_key").map(|(key, _)| key);
    if let (Some(key), Some(found)) = (&vault_key, values.found("contexts.vault_key"))
        && crate::vault::parse(key.expose()).is_none()
    {
        let text = "`contexts.vault_key` must be 64 hexadecimal digits, such as `openssl rand -hex \
                    32` prints";
        values.findings.problem(&found.place, text);
    }
    Contexts {
        audit: values.choice("contexts.audit", &context::AuditMode::WORDS).unwrap_or_default(),
        audit_for: (days > 0).then(|| Duration::from_secs(days * 86_400)),
        lifetime: lifetime(values),
        redact: redact(values),
        encrypt: values.bool("contexts.encrypt"),
        vault_key,
    }
}

fn lifetime(values: &mut Values<'_>) -> context::Lifetime {
    let mut days = |path: &'static str| {
        let days = values.count(path);
        (days > 0).then(|| Duration::from_secs(days * 86_400))
    };
    let lifetime =
        context::Lifetime { age: days("contexts.age_days"), idle: days("contexts.idle_days") };
    if lifetime.age.is_some()
        && lifetime.idle.is_some()
        && let Some(found) = values.found("contexts.idle_days")
    {
        let text = "`contexts.idle_days` cannot be set together with `contexts.age_days`: a \
                    context lives so long after it was made, or after its last change";
        values.findings.problem(&found.place, text);
    }
    lifetime
}

fn redact(values: &mut Values<'_>) -> Option<context::RedactPlan> {
    let mode = values.choice("contexts.redact", &context::RedactMode::WORDS).unwrap_or_default();
    let (patterns, place) = values.list("contexts.redact_patterns");
    let (own, own_place) = values.list("contexts.redact_own");
    let mut named = context::Map::new();
    for text in &own {
        match text.split_once('=') {
            Some((name, regex)) => drop(named.insert(name.trim().to_owned(), regex.into())),
            None => {
                let text =
                    format!("`contexts.redact_own` cannot hold `{text}`: write `NAME=REGEX`");
                values.findings.problem(&own_place, text);
            }
        }
    }
    match context::RedactPlan::new(mode, patterns, named) {
        Ok(plan) => Some(plan),
        Err(fault) => {
            let at = if fault.text().contains("patterns") { &place } else { &own_place };
            values.findings.fault(at, "contexts.redact", &fault);
            None
        }
    }
}

fn hooks(values: &mut Values<'_>) -> HookSettings {
    HookSettings {
        private: values.bool("webhooks.private"),
        within: values.duration("webhooks.timeout"),
        attempts: u32::try_from(values.count("webhooks.attempts")).unwrap_or(1),
        ..HookSettings::default()
    }
}

fn mounts(values: &mut Values<'_>) -> MountSettings {
    MountSettings {
        private: values.bool("mounts.private"),
        within: values.duration("mounts.timeout"),
        refresh: values.duration("mounts.refresh").max(Duration::from_millis(100)),
    }
}

fn requests(values: &mut Values<'_>) -> RequestLog {
    let hours = values.count("requests.days").saturating_mul(24);
    RequestLog { rows: values.count("requests.rows"), age: Duration::from_hours(hours) }
}

fn cache(values: &mut Values<'_>) -> CacheSettings {
    let modes = [
        ("off", CacheMode::Off),
        ("ask", CacheMode::Ask),
        ("deterministic", CacheMode::Deterministic),
        ("all", CacheMode::All),
    ];
    CacheSettings {
        exact: values.choice("cache.exact", &modes).unwrap_or_default(),
        similar: values.bool("cache.similar"),
        threshold: u16::try_from(values.size("cache.threshold")).unwrap_or(1000),
        ttl: values.duration("cache.ttl"),
        bytes: values.size("cache.bytes"),
        entry_bytes: values.size("cache.entry_bytes"),
    }
}

/// How long a request may wait for its place; not at all unless that is written.
fn requests_wait(values: &mut Values<'_>) -> Duration {
    let path = "limits.requests_wait";
    let written = values.found(path).is_some_and(|found| !found.text.is_empty());
    if written { values.duration(path) } else { Duration::ZERO }
}

fn limits(values: &mut Values<'_>) -> Limits {
    Limits {
        connections: values.size("limits.connections"),
        body_bytes: values.size("limits.body_bytes"),
        upload_bytes: values.count("limits.upload_bytes"),
        import_bytes: values.count("limits.import_bytes"),
        line_bytes: values.size("limits.line_bytes"),
        json_depth: values.size("limits.json_depth"),
        turns: values.size("limits.turns"),
        requests_per_minute: values
            .optional_count("limits.requests_per_minute")
            .and_then(|count| u32::try_from(count).ok()),
        requests_wait: requests_wait(values),
        queue: values.duration("limits.queue"),
        header_read: values.duration("limits.header_read"),
        body_read: values.duration("limits.body_read"),
        line_idle: values.duration("limits.line_idle"),
        heartbeat: values.duration("limits.heartbeat"),
        request: values.duration("limits.request"),
    }
}

fn origins(values: &mut Values<'_>) -> Vec<String> {
    let (origins, place) = values.list("server.cors_origins");
    for origin in &origins {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let is_origin = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'));
        if !is_origin {
            let text = format!(
                "`server.cors_origins` cannot hold `{origin}`: write an origin such as \
                 `http://localhost:3000`"
            );
            values.findings.problem(&place, text);
        }
    }
    origins
}

fn proxies(values: &mut Values<'_>) -> Vec<IpAddr> {
    let (texts, place) = values.list("server.trusted_proxies");
    let mut found = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(address) => found.push(address),
            Err(_) => values.findings.problem(
                &place,
                format!(
                    "`server.trusted_proxies` cannot hold `{text}`: write an IP address such as \
                     `10.0.0.1`"
                ),
            ),
        }
    }
    found
}

fn base_path(values: &mut Values<'_>) -> String {
    let Some(found) = values.found("server.base_path") else { return String::new() };
    let path = found.text.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.is_empty() && (!path.starts_with('/') || !path.chars().all(is_plain)) {
        let text = format!("`server.base_path` cannot be `{path}`: write a path like `/rapport`");
        values.findings.problem(&found.place, text);
        return String::new();
    }
    path.to_owned()
}
