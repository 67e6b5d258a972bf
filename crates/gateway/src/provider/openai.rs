//! OpenAI and every server that offers its Chat Completions API (Ollama, vLLM, llama.cpp …).

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use wire::Fault;

use super::{Header, Preset, Provider, bearer, further};
use crate::settings::ProviderSettings;

static PRESET: Preset = Preset {
    name: "openai",
    key_variable: "OPENAI_API_KEY",
    base_variable: "OPENAI_BASE_URL",
    base_url: "https://api.openai.com/v1",
    host: "api.openai.com",
    models: &["gpt-6.1-sol", "gpt-6-astra", "gpt-6-luna", "gpt-5.5", "gpt-5.4-mini"],
    is_everywhere: false,
};

/// The Chat Completions API.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Provider for OpenAi {
    fn dialect(&self) -> &'static str {
        "openai_chat"
    }

    fn preset(&self) -> &'static Preset {
        &PRESET
    }

    fn owns(&self, model: &str) -> bool {
        let numbered = |prefix: &str| {
            model
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        model.starts_with("gpt-") || model.starts_with("chatgpt-") || numbered("o")
    }

    fn path(&self, base: &str, dialect: &str) -> String {
        // The custom of this API: base URLs end in `/v1`, and a bare host means that too.
        let below = dialect.strip_prefix("/v1").unwrap_or(dialect);
        if base.is_empty() { format!("/v1{below}") } else { format!("{base}{below}") }
    }

    fn sign(&self, settings: &ProviderSettings, headers: &mut HeaderMap) -> Result<(), Fault> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &settings.key {
            bearer(settings, key, headers)?;
        }
        further(settings, headers)
    }

    fn pause(&self, header: Header<'_>, _: Timestamp) -> Option<Duration> {
        if header("x-ratelimit-remaining-requests")?.trim() != "0" {
            return None;
        }
        span(header("x-ratelimit-reset-requests")?.trim())
    }
}

/// Reads `1s`, `6m0s`, `120ms`, `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit)?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = next;
    }
    Some(total)
}
