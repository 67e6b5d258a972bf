//! The kinds of upstreams: how each is addressed and signed, one file and one line each.
//!
//! Invariant: a provider does no IO and no translation; the dialect writes the body, the client
//! sends it.

mod anthropic;
mod openai;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, header};
use jiff::Timestamp;
use wire::{Code, Fault};

use crate::settings::{Deadlines, ProviderSettings, Secret};

/// What a provider is when nothing but its key is known.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name in `provider/model`.
    pub name: &'static str,
    /// The environment variable of its key.
    pub key_variable: &'static str,
    /// The environment variable that replaces `base_url`.
    pub base_variable: &'static str,
    /// Where the company's own API begins.
    pub base_url: &'static str,
    /// The host of `base_url`: only there a key is always needed.
    pub host: &'static str,
    /// Models to offer; the first is the default.
    pub models: &'static [&'static str],
    /// Whoever speaks its dialect serves its company's models.
    pub is_everywhere: bool,
}

/// Looks up a response header by its lower-case name.
pub type Header<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One kind of upstream.
pub trait Provider: Sync + Send + std::fmt::Debug {
    /// The dialect it speaks, as in [`ProviderSettings::dialect`].
    fn dialect(&self) -> &'static str;

    /// What it is when nothing but its key is known.
    fn preset(&self) -> &'static Preset;

    /// Whether a model of this name is likely one of its company's.
    fn owns(&self, model: &str) -> bool;

    /// The path of a request, from the path of the base URL and the dialect's own.
    fn path(&self, base: &str, dialect: &str) -> String;

    /// Adds the headers that authenticate and version a request.
    ///
    /// # Errors
    /// `configuration_error` when a value cannot be a header.
    fn sign(&self, settings: &ProviderSettings, headers: &mut HeaderMap) -> Result<(), Fault>;

    /// How long the provider wants to be left alone, by the limit headers of a response.
    fn pause(&self, header: Header<'_>, now: Timestamp) -> Option<Duration>;
}

/// Every kind of upstream.
pub const PROVIDERS: &[&dyn Provider] = &[&anthropic::Anthropic, &openai::OpenAi];

/// The kind that speaks this dialect.
#[must_use]
pub fn speaking(dialect: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.dialect() == dialect)
}

/// Tries after the first while nothing else is configured.
pub const RETRIES: u32 = 2;

/// The upstreams that appear by themselves because their keys are in the environment.
///
/// A base URL without a key counts too, when it is not the company's own: that is a local server.
#[must_use]
pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<ProviderSettings> {
    PROVIDERS.iter().filter_map(|provider| present(*provider, variable)).collect()
}

fn present(
    provider: &dyn Provider,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<ProviderSettings> {
    let read = |name: &str| {
        variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let preset = provider.preset();
    let key = read(preset.key_variable);
    let base = read(preset.base_variable);
    if key.is_none() && base.as_deref().is_none_or(|base| base.contains(preset.host)) {
        return None;
    }
    Some(ProviderSettings {
        name: preset.name.to_owned(),
        dialect: provider.dialect().to_owned(),
        base_url: base.unwrap_or_else(|| preset.base_url.to_owned()),
        key_source: key.as_ref().map(|_| format!("environment {}", preset.key_variable)),
        key: key.map(Secret::new),
        bearer: false,
        version: None,
        models: preset.models.iter().map(|&model| model.to_owned()).collect(),
        window_tokens: None,
        headers: Vec::new(),
        retries: RETRIES,
        deadlines: Deadlines::default(),
    })
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

/// Adds the configured headers; they come last, so that they win.
fn further(settings: &ProviderSettings, headers: &mut HeaderMap) -> Result<(), Fault> {
    for (name, value) in &settings.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|cause| {
            Fault::new(
                Code::ConfigurationError,
                format!("`{name}` of provider `{}` is not a header name", settings.name),
            )
            .because(cause)
        })?;
        if key == header::HOST || key == header::CONTENT_LENGTH || key == header::TRANSFER_ENCODING
        {
            return Err(Fault::new(
                Code::ConfigurationError,
                format!("`{name}` of provider `{}` is set by the connection itself", settings.name),
            ));
        }
        headers.insert(key, secret_value(&settings.name, value)?);
    }
    Ok(())
}
