//! The keys of a provider: one, or a pool of named ones.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{AuthKind, KeySettings, ProviderSettings, Secret, Values, file};

/// Every key of a provider: `api_key`, those below `keys`, or what its cloud's own tools use.
pub(super) fn all(values: &mut Values<'_>, settings: &ProviderSettings) -> Vec<KeySettings> {
    let name = &settings.name;
    let mut keys = Vec::new();
    if let Some((key, source)) = values.secret(&format!("providers.{name}.api_key")) {
        keys.push(KeySettings::new(key, source));
    }
    let group = format!("providers.{name}.keys");
    let names = values.stack.names(&group);
    keys.extend(names.iter().filter_map(|key| named(values, &group, key)));
    // Rows of a file: their variables are not keys of the configuration.
    if keys.is_empty() {
        let set = |name: &String| Some((name.clone(), (values.lookup)(name)?));
        let found = settings.row.key.iter().find_map(set);
        keys.extend(
            found.map(|(name, key)| {
                KeySettings::new(Secret::new(key), format!("environment {name}"))
            }),
        );
    }
    if keys.is_empty() && settings.auth == AuthKind::Sigv4 {
        keys.extend(aws(values));
    }
    if settings.auth == AuthKind::Google {
        let path = format!("providers.{name}.credentials");
        let written = file(values, &path).map(|(text, place)| (text, place.to_string()));
        keys.extend(
            written
                .or_else(|| google(values, &path))
                .map(|(text, source)| KeySettings::new(Secret::new(text), source)),
        );
    }
    keys
}

/// The service account that the tools of Google take from the environment.
fn google(values: &mut Values<'_>, path: &str) -> Option<(String, String)> {
    const NAME: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    if values.found(path).is_some() {
        return None;
    }
    let account = values.folder.join((values.lookup)(NAME)?);
    match std::fs::read_to_string(&account) {
        Ok(text) => Some((text, format!("environment {NAME}"))),
        Err(error) => {
            let text = format!("{NAME}: {} cannot be read: {error}", account.display());
            values.findings.warn(text);
            None
        }
    }
}

fn named(values: &mut Values<'_>, group: &str, name: &str) -> Option<KeySettings> {
    let at = |field: &str| format!("{group}.{name}.{field}");
    let Some((key, source)) = values.secret(&at("key")) else {
        if let Some(found) = values.found(&at("key")).or_else(|| values.found(&at("expires"))) {
            let text = format!("`{group}.{name}` has no key: write `key: ${{VARIABLE}}`");
            values.findings.problem(&found.place, text);
        }
        return None;
    };
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Some(KeySettings {
        name: values.text(&at("name")).unwrap_or_else(|| name.to_owned()),
        key,
        source: Some(source),
        priority: count(values.count(&at("priority"))),
        weight: count(values.count(&at("weight"))),
        expires: expires(values, &at("expires")),
    })
}

/// A date, which counts from its first moment in UTC, or a time.
fn expires(values: &mut Values<'_>, path: &str) -> Option<Timestamp> {
    let found = values.found(path)?;
    let text = found.text.trim();
    let date = |text: &str| {
        let date: Date = text.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let at = text.parse().ok().or_else(|| date(text));
    if at.is_none() {
        let text = format!(
            "`{path}` cannot be `{text}`: write a date such as `2027-01-31`, or a time such as \
             `2027-01-31T12:00:00Z`"
        );
        values.findings.problem(&found.place, text);
    }
    at
}

/// The credentials that the tools of AWS take from the environment.
fn aws(values: &Values<'_>) -> Option<KeySettings> {
    let read = |name: &str| (values.lookup)(name);
    let mut key = format!("{}:{}", read("AWS_ACCESS_KEY_ID")?, read("AWS_SECRET_ACCESS_KEY")?);
    if let Some(token) = read("AWS_SESSION_TOKEN") {
        key = format!("{key}:{token}");
    }
    Some(KeySettings::new(Secret::new(key), "environment AWS_ACCESS_KEY_ID"))
}
