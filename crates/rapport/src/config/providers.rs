//! The upstreams: those that are configured, and those whose keys are in the environment.

use gateway::provider::{PROVIDERS, Preset};
use gateway::settings::{Deadlines, ProviderSettings};

use super::layer::address;
use super::values::Values;

/// Every upstream that can be called, those with known names first.
pub(super) fn all(values: &mut Values<'_>) -> Vec<ProviderSettings> {
    let names = values.stack.names("providers");
    let preset = |name: &str| {
        PROVIDERS
            .iter()
            .map(|provider| (provider.dialect(), provider.preset()))
            .find(|(_, p)| p.name == name)
    };
    let known = PROVIDERS.iter().map(|provider| provider.preset().name);
    let known = known.filter(|name| names.contains(*name)).map(ToOwned::to_owned);
    let own = names.iter().filter(|name| preset(name).is_none()).cloned();
    let ordered: Vec<String> = known.chain(own).collect();
    ordered.iter().filter_map(|name| one(values, name, preset(name))).collect()
}

fn one(
    values: &mut Values<'_>,
    name: &str,
    preset: Option<(&'static str, &'static Preset)>,
) -> Option<ProviderSettings> {
    let at = |field: &str| format!("providers.{name}.{field}");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if !name.chars().all(is_plain) {
        let place = place_of(values, name);
        let text = format!("provider `{name}`: write its name with a-z, 0-9, `-` and `_`");
        values.findings.problem(&place, text);
    }
    let key = values.secret(&at("api_key"));
    let given_url = url(values, &at("base_url"));
    let dialect = dialect(values, &at("dialect"), preset);
    let models = values.list(&at("models")).0;
    let base_url = match (given_url, preset) {
        (Some(url), _) => url,
        (None, Some((_, preset))) => preset.base_url.to_owned(),
        (None, None) => {
            let place = place_of(values, name);
            let text = format!(
                "provider `{name}` has no address: write `providers.{name}.base_url`, such as \
                 `http://127.0.0.1:11434/v1`"
            );
            values.findings.problem(&place, text);
            return None;
        }
    };
    // The company's own API is no use without a key; a server of one's own may be.
    if let Some((_, preset)) = preset
        && key.is_none()
        && base_url.contains(preset.host)
    {
        return None;
    }
    warn_about_reach(values, name, &base_url, key.is_some());
    let preset_models = preset.map_or(&[][..], |(_, preset)| preset.models);
    let (key, key_source) = key.unzip();
    Some(ProviderSettings {
        name: name.to_owned(),
        dialect,
        base_url,
        key,
        key_source,
        bearer: values.bool(&at("bearer")),
        version: values.text(&at("version")),
        models: if models.is_empty() {
            preset_models.iter().map(|model| (*model).to_owned()).collect()
        } else {
            models
        },
        window_tokens: values
            .optional_count(&at("window_tokens"))
            .and_then(|count| u32::try_from(count).ok()),
        headers: headers(values, name),
        retries: u32::try_from(values.count(&at("retries"))).unwrap_or(0),
        deadlines: Deadlines {
            connect: values.duration(&at("connect_seconds")),
            first_byte: values.duration(&at("first_byte_seconds")),
            idle: values.duration(&at("idle_seconds")),
            total: values.duration(&at("total_seconds")),
        },
    })
}

fn dialect(
    values: &mut Values<'_>,
    path: &str,
    preset: Option<(&'static str, &'static Preset)>,
) -> String {
    let words: Vec<(&str, &'static str)> =
        PROVIDERS.iter().map(|provider| (provider.dialect(), provider.dialect())).collect();
    let otherwise = preset.map_or("openai_chat", |(dialect, _)| dialect);
    values.choice(path, &words).unwrap_or(otherwise).to_owned()
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

fn url(values: &mut Values<'_>, path: &str) -> Option<String> {
    let found = values.found(path)?;
    let text = found.text.trim();
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
fn place_of(values: &Values<'_>, name: &str) -> super::problem::Place {
    let paths = values.stack.below(&format!("providers.{name}"));
    let given = paths.iter().find_map(|p| values.stack.given(&format!("providers.{name}.{p}")));
    given.map_or(super::problem::Place::Default, |given| given.place.clone())
}
