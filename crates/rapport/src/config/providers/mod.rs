//! The upstreams: those that are configured, and those whose keys are in the environment.

mod keys;

use gateway::provider::{AuthKind, Providers, Row, fill, host_address};
use gateway::settings::{Deadlines, HealthCheck, KeySettings, ProviderSettings, Secret};

use super::layer::address;
use super::nearest::nearest;
use super::problem::Place;
use super::sealed;
use super::values::Values;

/// Every upstream that can be called: those with known names first, then others that are
/// configured, then those that the API added, in that order.
pub(super) fn all(values: &mut Values<'_>) -> Vec<ProviderSettings> {
    let table = table(values);
    let mut names = values.stack.names("providers");
    // Rows of a file are not known yet when variables are read.
    let file_rows =
        table.rows().iter().filter(|row| Providers::embedded().find(&row.name).is_none());
    let set = |row: &&Row| row.key.iter().any(|name| (values.lookup)(name).is_some());
    names.extend(file_rows.filter(set).map(|row| row.name.clone()));
    let known = table.rows().iter().filter(|row| names.contains(&row.name));
    let known = known.map(|row| (row.name.clone(), Some(row)));
    let own = names.iter().filter(|name| table.find(name).is_none());
    let mut ordered: Vec<(String, Option<&Row>)> =
        known.chain(own.map(|name| (name.clone(), None))).collect();
    // The first that can be asked is the default: adding one must not change who that is.
    ordered.sort_by_key(|(name, _)| values.stack.added_place(name));
    ordered.iter().filter_map(|(name, row)| one(values, name, *row, &table)).collect()
}

/// The embedded table with the rows of `providers_file`.
fn table(values: &mut Values<'_>) -> Providers {
    let mut table = Providers::embedded().clone();
    if let Some((text, place)) = file(values, "providers_file")
        && let Err(fault) = table.merge(&text)
    {
        values.findings.fault(&place, "providers_file", &fault);
    }
    table
}

/// The text of a file that a setting names.
pub(super) fn file(values: &mut Values<'_>, path: &str) -> Option<(String, Place)> {
    let found = values.found(path)?;
    let file = values.absolute(&found.text, &found.place);
    values.findings.secrets.push(file.clone());
    match std::fs::read_to_string(&file) {
        Ok(text) => Some((text, found.place)),
        Err(error) => {
            let text = format!("`{path}`: {} cannot be read: {error}", file.display());
            values.findings.problem(&found.place, text);
            None
        }
    }
}

fn one(
    values: &mut Values<'_>,
    name: &str,
    row: Option<&Row>,
    table: &Providers,
) -> Option<ProviderSettings> {
    let at = |field: &str| format!("providers.{name}.{field}");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if !name.chars().all(is_plain) {
        let place = place_of(values, name);
        let text = format!("provider `{name}`: write its name with a-z, 0-9, `-` and `_`");
        values.findings.problem(&place, text);
    }
    let given_url = url(values, &at("base_url"), row);
    let dialect = dialect(values, name, row, given_url.as_deref());
    let mut settings = match row {
        Some(row) => ProviderSettings::of(row),
        None => ProviderSettings::of(&Row::unknown(name, &dialect)),
    };
    settings.dialect = dialect;
    match (given_url, row) {
        (Some(url), _) => settings.base_url = url,
        (None, Some(_)) => {}
        (None, None) => {
            no_address(values, name, table);
            return None;
        }
    }
    auth(values, &mut settings);
    settings.version = values.text(&at("version"));
    settings.region = values.text(&at("region"));
    settings.project = values.text(&at("project"));
    settings.keys = keys::all(values, &settings);
    // The company's own API is no use without a key; a server of one's own may be.
    let is_own = row.is_some_and(|row| !row.local && settings.base_url.contains(row.host()));
    settings.locked = locked(values, &settings);
    let lacks_key = settings.keys.is_empty() && settings.locked.is_none();
    if is_own && lacks_key && settings.auth != AuthKind::None {
        return None;
    }
    match fill(&settings) {
        Ok(url) => settings.base_url = url,
        Err(fault) => {
            let place = place_of(values, name);
            if place.file().is_some() {
                values.findings.fault(&place, &at("base_url"), &fault);
            } else {
                // A variable that lies around is no reason not to start.
                let hint = fault.hint_text().unwrap_or_default();
                values.findings.warn(format!("{place}: {}: {hint}", fault.text()));
            }
            return None;
        }
    }
    warn_about_reach(values, name, &settings.base_url, !settings.keys.is_empty());
    rest(values, &mut settings);
    Some(settings)
}

/// Why the key that is kept for a provider cannot be used.
fn locked(values: &mut Values<'_>, settings: &ProviderSettings) -> Option<String> {
    let path = format!("providers.{}.api_key", settings.name);
    let found = values.found(&path).filter(|_| settings.keys.is_empty())?;
    sealed::is_sealed(&found.text).then(|| sealed::trouble(&path, &found, values)).flatten()
}

/// The settings that every provider has alike.
fn rest(values: &mut Values<'_>, settings: &mut ProviderSettings) {
    let name = settings.name.clone();
    let at = |field: &str| format!("providers.{name}.{field}");
    let models = values.list(&at("models")).0;
    if !models.is_empty() {
        settings.models = models;
    }
    settings.window_tokens =
        values.optional_count(&at("window_tokens")).and_then(|count| u32::try_from(count).ok());
    settings.transcript =
        values.choice(&at("transcript"), &gateway::model::Transcript::WORDS).unwrap_or_default();
    settings.headers = headers(values, &name);
    settings.retries = u32::try_from(values.count(&at("retries"))).unwrap_or(0);
    settings.deadlines = Deadlines {
        connect: values.duration(&at("connect_seconds")),
        first_byte: values.duration(&at("first_byte_seconds")),
        idle: values.duration(&at("idle_seconds")),
        total: values.duration(&at("total_seconds")),
    };
    settings.health = health(values, &settings.name);
}

/// How the provider is looked after, if anything is said of it.
fn health(values: &mut Values<'_>, name: &str) -> Option<HealthCheck> {
    let group = format!("providers.{name}.health");
    if values.stack.below(&group).is_empty() {
        return None;
    }
    let path = values.found(&format!("{group}.path")).filter(|found| !found.text.is_empty());
    if let Some(wrong) = path.as_ref().filter(|found| !found.text.starts_with('/')) {
        let text = format!(
            "`{group}.path` cannot be `{}`: write a path that begins with `/`, such as \
             `/v1/models`",
            wrong.text
        );
        values.findings.problem(&wrong.place, text);
    }
    let every = values.duration(&format!("{group}.every"));
    let timeout = values.duration(&format!("{group}.timeout"));
    Some(HealthCheck { every, path: path.map(|found| found.text), timeout })
}

fn no_address(values: &mut Values<'_>, name: &str, table: &Providers) {
    let written = values.found(&format!("providers.{name}.base_url"));
    if written.is_some_and(|found| !found.text.is_empty()) {
        // It has one, which was refused already.
        return;
    }
    let place = place_of(values, name);
    let known = table.rows().iter().map(|row| row.name.as_str());
    let near = nearest(name, known)
        .map_or_else(String::new, |near| format!(", or did you mean the known provider `{near}`?"));
    let text = format!(
        "provider `{name}` has no address: write `providers.{name}.base_url`, such as \
         `http://127.0.0.1:11434/v1`{near}"
    );
    values.findings.problem(&place, text);
}

/// The dialect that is written, else the row's. An address that ends in `/v1` is that of an
/// engine's OpenAI-compatible API, whatever else the engine speaks.
fn dialect(values: &mut Values<'_>, name: &str, row: Option<&Row>, url: Option<&str>) -> String {
    let known: Vec<(&str, &'static str)> =
        wire::dialect::DIALECTS.iter().map(|dialect| (dialect.name(), dialect.name())).collect();
    if let Some(written) = values.choice(&format!("providers.{name}.dialect"), &known) {
        return written.to_owned();
    }
    match row {
        Some(row) if row.local && url.is_some_and(|url| url.ends_with("/v1")) => "openai_chat",
        Some(row) => row.dialect.as_str(),
        None => "openai_chat",
    }
    .to_owned()
}

/// How the key is shown: as it is written, else as the row says, else as the dialect has it.
fn auth(values: &mut Values<'_>, settings: &mut ProviderSettings) {
    let path = format!("providers.{}.auth", settings.name);
    if settings.dialect != settings.row.dialect {
        settings.auth = Row::unknown(&settings.name, &settings.dialect).auth;
    }
    if values.bool(&format!("providers.{}.bearer", settings.name)) {
        settings.auth = AuthKind::Bearer;
    }
    let Some(found) = values.found(&path) else { return };
    match AuthKind::parse(&found.text) {
        Some(kind) => settings.auth = kind,
        None => {
            let text = format!(
                "`{path}` cannot be `{}`: write `bearer`, `header:NAME`, `query:NAME`, `none`, \
                 `azure`, `sigv4` or `google`",
                found.text
            );
            values.findings.problem(&found.place, text);
        }
    }
}

fn headers(values: &mut Values<'_>, name: &str) -> Vec<(String, String)> {
    let group = format!("providers.{name}.headers");
    let names = values.stack.below(&group);
    let read = |header: String| {
        let (secret, _) = values.secret(&format!("{group}.{header}"))?;
        Some((header, secret.expose().to_owned()))
    };
    names.into_iter().filter_map(read).collect()
}

fn url(values: &mut Values<'_>, path: &str, row: Option<&Row>) -> Option<String> {
    let found = values.found(path)?;
    // Engines' own variables name a host and a port.
    let whole = match row {
        Some(row) if row.local && !matches!(found.place, Place::File(..)) => {
            host_address(&found.text, row)
        }
        _ => found.text.clone(),
    };
    let text = whole.trim();
    if !(text.starts_with("http://") || text.starts_with("https://")) {
        let text = format!(
            "`{path}` cannot be `{text}`: write an address that begins with http:// or https://"
        );
        values.findings.problem(&found.place, text);
        return None;
    }
    // URL parsers of libraries forget a port that is too large; ours says so now.
    if let (_, Some(port)) = address::split(text)
        && let Err(invalid) = doctor::port::parse(port, found.place.for_port())
    {
        values.findings.port(&invalid);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Says what others could read, and what is never called.
fn warn_about_reach(values: &mut Values<'_>, name: &str, base_url: &str, has_key: bool) {
    let host = address::split(base_url).0.unwrap_or_default();
    let is_local = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_local {
        return;
    }
    if values.bool("local_only") {
        values.findings.warn(format!("provider `{name}` is never called: `local_only` is on"));
    } else if has_key && base_url.starts_with("http://") {
        values.findings.warn(format!(
            "provider `{name}` gets its key over plain HTTP, which everybody in between can read: \
             use https://"
        ));
    }
}

/// Where the first setting of a provider is written.
fn place_of(values: &Values<'_>, name: &str) -> Place {
    let paths = values.stack.below(&format!("providers.{name}"));
    let given = paths.iter().find_map(|p| values.stack.given(&format!("providers.{name}.{p}")));
    given.map_or(Place::Default, |given| given.place.clone())
}
