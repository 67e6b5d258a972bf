//! How a request is addressed and shows who sends it: a file for each kind that needs code.

mod azure;
mod google;
mod plain;
mod sigv4;
#[cfg(test)]
mod tests;

pub use google::{Token, TokenAsk};

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use jiff::Timestamp;
use wire::{Code, Fault};

use super::path;
use super::row::AuthKind;
use crate::client::Request;
use crate::settings::{KeySettings, ProviderSettings, Secret};

/// Models of this version still take a temperature.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What a request asks for, as far as its address depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The path below the API's beginning, as the dialect has it.
    pub path: &'a str,
    /// The provider's name of the model; empty where none is asked.
    pub model: &'a str,
    /// The answer is to be streamed.
    pub stream: bool,
}

/// Path and query of a request, below a base URL with the path `base`.
#[must_use]
pub fn route(
    settings: &ProviderSettings,
    key: Option<&KeySettings>,
    base: &str,
    ask: Ask<'_>,
) -> String {
    match &settings.auth {
        AuthKind::Azure => azure::route(settings, base, ask),
        AuthKind::Google => google::route(settings, key.map(|key| &key.key), ask),
        AuthKind::Query(name) => plain::with_query(
            path::join(&settings.dialect, base, ask.path),
            name,
            key.map_or("", |key| key.key.expose()),
        ),
        _ if settings.row.is_bare && base.is_empty() => {
            ask.path.strip_prefix("/v1").unwrap_or(ask.path).to_owned()
        }
        _ => path::join(&settings.dialect, base, ask.path),
    }
}

/// The headers that every request with this key carries.
///
/// # Errors
/// `configuration_error` when a value cannot be a header.
pub fn headers(settings: &ProviderSettings, key: Option<&KeySettings>) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if settings.dialect == "anthropic" && settings.auth != AuthKind::Google {
        version(settings, &mut headers)?;
    }
    for (name, value) in &settings.row.headers {
        further(settings, (name, value), &mut headers)?;
    }
    if let Some(KeySettings { key, .. }) = key {
        match &settings.auth {
            AuthKind::Bearer => bearer(settings, key, &mut headers)?,
            AuthKind::Header(name) => {
                let name = header_name(settings, name)?;
                headers.insert(name, secret_value(&settings.name, key.expose())?);
            }
            AuthKind::Azure => azure::headers(settings, key, &mut headers)?,
            AuthKind::Query(_) | AuthKind::None => {}
            AuthKind::Sigv4 | AuthKind::Google => {}
        }
    }
    // They come last, so that they win.
    for (name, value) in &settings.headers {
        further(settings, (name, value), &mut headers)?;
    }
    Ok(headers)
}

/// The last step before a request is sent, each time it is: signs what depends on the whole of it.
///
/// # Errors
/// `configuration_error` when the key or the region is not usable.
pub fn sign(
    settings: &ProviderSettings,
    key: &KeySettings,
    request: &mut Request,
    now: Timestamp,
) -> Result<(), Fault> {
    match settings.auth {
        AuthKind::Sigv4 => sigv4::sign(settings, &key.key, request, now),
        _ => Ok(()),
    }
}

/// The request for the token that a key buys, where keys are not shown themselves.
///
/// # Errors
/// `configuration_error` when the key is not a service account's.
pub fn token(
    settings: &ProviderSettings,
    key: &KeySettings,
    now: Timestamp,
) -> Result<TokenAsk, Fault> {
    google::ask(settings, &key.key, now)
}

/// Every text that must not be shown: keys, also as they are sent, and values of headers.
#[must_use]
pub fn secrets(settings: &ProviderSettings) -> Vec<String> {
    let mut all: Vec<String> =
        settings.headers.iter().map(|(_, value)| value.trim().to_owned()).collect();
    for KeySettings { key, .. } in &settings.keys {
        let key = key.expose().trim();
        all.push(key.to_owned());
        match settings.auth {
            AuthKind::Query(_) => {
                let mut sent = String::new();
                plain::encode(key, &mut sent);
                all.push(sent);
            }
            // What stands before the first colon is a name.
            AuthKind::Sigv4 => all.extend(key.split(':').skip(1).map(ToOwned::to_owned)),
            _ => {}
        }
    }
    all
}

fn version(settings: &ProviderSettings, headers: &mut HeaderMap) -> Result<(), Fault> {
    let version = settings.version.as_deref().unwrap_or(ANTHROPIC_VERSION);
    let value = HeaderValue::from_str(version).map_err(|cause| {
        Fault::new(
            Code::ConfigurationError,
            format!("version `{version}` of provider `{}` cannot be a header", settings.name),
        )
        .hint(format!("versions are dates, such as `{ANTHROPIC_VERSION}`"))
        .because(cause)
    })?;
    headers.insert(HeaderName::from_static("anthropic-version"), value);
    Ok(())
}

/// A header value that stays out of logs and out of compression tables.
fn secret_value(provider: &str, text: &str) -> Result<HeaderValue, Fault> {
    // The value is not named: it may be a key.
    let mut value = HeaderValue::from_str(text.trim()).map_err(|cause| {
        Fault::new(
            Code::ConfigurationError,
            format!("the key of provider `{provider}` cannot be sent in a header"),
        )
        .hint("a key is one line of printable ASCII: check it for line ends and typographic quotes")
        .because(cause)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds `Authorization: Bearer`.
fn bearer(settings: &ProviderSettings, key: &Secret, headers: &mut HeaderMap) -> Result<(), Fault> {
    let value = secret_value(&settings.name, &format!("Bearer {}", key.expose().trim()))?;
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn header_name(settings: &ProviderSettings, name: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|cause| {
        Fault::new(
            Code::ConfigurationError,
            format!("`{name}` of provider `{}` is not a header name", settings.name),
        )
        .because(cause)
    })
}

/// Adds a configured header.
fn further(
    settings: &ProviderSettings,
    (name, value): (&str, &str),
    headers: &mut HeaderMap,
) -> Result<(), Fault> {
    let key = header_name(settings, name)?;
    if key == HOST || key == CONTENT_LENGTH || key == TRANSFER_ENCODING {
        return Err(Fault::new(
            Code::ConfigurationError,
            format!("`{name}` of provider `{}` is set by the connection itself", settings.name),
        ));
    }
    headers.insert(key, secret_value(&settings.name, value)?);
    Ok(())
}
