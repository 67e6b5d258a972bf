//! Anthropic and servers that offer its Messages API.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::Timestamp;
use wire::{Code, Fault};

use super::{Header, Preset, Provider, bearer, further, secret_value};
use crate::settings::ProviderSettings;

/// Models of this version still take a temperature.
const VERSION: &str = "2023-06-01";

static PRESET: Preset = Preset {
    name: "anthropic",
    key_variable: "ANTHROPIC_API_KEY",
    base_variable: "ANTHROPIC_BASE_URL",
    base_url: "https://api.anthropic.com",
    host: "api.anthropic.com",
    models: &["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"],
    is_everywhere: true,
};

/// The Messages API.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Provider for Anthropic {
    fn dialect(&self) -> &'static str {
        "anthropic"
    }

    fn preset(&self) -> &'static Preset {
        &PRESET
    }

    fn owns(&self, model: &str) -> bool {
        model.starts_with("claude-")
    }

    fn path(&self, base: &str, dialect: &str) -> String {
        // Some clients' base URLs end in `/v1`, the dialect's path begins with it.
        format!("{}{dialect}", base.strip_suffix("/v1").unwrap_or(base))
    }

    fn sign(&self, settings: &ProviderSettings, headers: &mut HeaderMap) -> Result<(), Fault> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let version = settings.version.as_deref().unwrap_or(VERSION);
        let value = HeaderValue::from_str(version).map_err(|cause| {
            Fault::new(
                Code::ConfigurationError,
                format!("version `{version}` of provider `{}` cannot be a header", settings.name),
            )
            .hint(format!("versions are dates, such as `{VERSION}`"))
            .because(cause)
        })?;
        headers.insert(HeaderName::from_static("anthropic-version"), value);
        match &settings.key {
            Some(key) if settings.bearer => bearer(settings, key, headers)?,
            Some(key) => {
                let value = secret_value(&settings.name, key.expose())?;
                headers.insert(HeaderName::from_static("x-api-key"), value);
            }
            None => {}
        }
        further(settings, headers)
    }

    fn pause(&self, header: Header<'_>, now: Timestamp) -> Option<Duration> {
        // Only requests: the token counts are rounded and say 0 before they are used up.
        if header("anthropic-ratelimit-requests-remaining")?.trim() != "0" {
            return None;
        }
        let reset: Timestamp = header("anthropic-ratelimit-requests-reset")?.trim().parse().ok()?;
        Duration::try_from(reset.duration_since(now)).ok()
    }
}
