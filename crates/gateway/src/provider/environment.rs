//! Providers that appear by themselves because their keys are in the environment.

use wire::{Code, Fault};

use super::row::Row;
use super::table::Providers;
use crate::settings::{KeySettings, ProviderSettings, Secret};

/// The upstreams that appear by themselves because their keys are in the environment.
///
/// A base URL without a key counts too, when it is not the company's own: that is a local server.
#[must_use]
pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<ProviderSettings> {
    Providers::embedded().rows().iter().filter_map(|row| present(row, variable)).collect()
}

fn present(row: &Row, variable: &dyn Fn(&str) -> Option<String>) -> Option<ProviderSettings> {
    let read = |name: &str| {
        variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let key = row.key.iter().find_map(|name| Some((name, read(name)?)));
    let base = row.base.as_deref().and_then(read);
    if key.is_none() && base.as_deref().is_none_or(|base| !row.local && base.contains(row.host())) {
        return None;
    }
    let mut settings = ProviderSettings::of(row);
    if let Some(base) = base {
        settings.base_url = if row.local { host_address(&base, row) } else { base };
    }
    // What has to be configured first does not appear by itself.
    settings.base_url = fill(&settings).ok()?;
    settings.keys = key
        .map(|(name, value)| KeySettings::new(Secret::new(value), format!("environment {name}")))
        .into_iter()
        .collect();
    Some(settings)
}

/// A local engine's address as its own variable may say it: `host`, `host:port`, `0.0.0.0`, or
/// whole. What is missing is taken from the row.
#[must_use]
pub fn host_address(text: &str, row: &Row) -> String {
    let text = text.trim().trim_end_matches('/');
    if text.contains("://") {
        return text.to_owned();
    }
    let port = row.base_url.rsplit(':').next().and_then(|rest| rest.split('/').next());
    let (host, own) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, Some(port)),
        _ => (text, None),
    };
    // A server that listens everywhere is reached on this machine.
    let host = if matches!(host, "" | "0.0.0.0" | "[::]" | "::") { "127.0.0.1" } else { host };
    format!("http://{host}:{}", own.or(port).unwrap_or("80"))
}

/// The address with region and project put in.
///
/// # Errors
/// `configuration_error` that names the setting which is missing.
pub fn fill(settings: &ProviderSettings) -> Result<String, Fault> {
    let mut url = settings.base_url.clone();
    let parts = [("region", &settings.region), ("project", &settings.project)];
    for (name, value) in parts {
        let hole = format!("{{{name}}}");
        if !url.contains(&hole) {
            continue;
        }
        let provider = &settings.name;
        let Some(value) = value else {
            return Err(Fault::new(
                Code::ConfigurationError,
                format!("provider `{provider}` needs its {name}"),
            )
            .hint(format!("set `providers.{provider}.{name}`")));
        };
        // Google's one address for all regions has no region in front.
        let whole = format!("{hole}-");
        url = if value == "global" { url.replace(&whole, "") } else { url };
        url = url.replace(&hole, value);
    }
    Ok(url)
}
