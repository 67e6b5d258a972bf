//! Every row is sound, signs as its API wants, keeps its key out of `Debug`, appears with its key.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use wire::Code;

use super::path::join;
use super::*;
use crate::settings::{KeySettings, ProviderSettings, Secret};

fn row(dialect: &str) -> ProviderSettings {
    let variable = |name: &str| name.ends_with("_API_KEY").then(|| "sk-secret-7".to_owned());
    from_environment(&variable).into_iter().find(|row| row.dialect == dialect).unwrap()
}

fn signed(settings: &ProviderSettings) -> HeaderMap {
    headers(settings, settings.key()).unwrap()
}

fn key(text: &str) -> KeySettings {
    KeySettings::new(Secret::new(text), "a test")
}

#[test]
fn each_provider_signs_in_its_own_header_and_hides_the_key() {
    let mut settings = row("anthropic");
    let headers = signed(&settings);
    assert_eq!(headers["x-api-key"], "sk-secret-7");
    assert_eq!(headers["anthropic-version"], "2023-06-01");
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("authorization"));
    assert!(!format!("{headers:?}").contains("sk-secret"));

    settings.auth = AuthKind::Bearer;
    settings.version = Some("2026-10-21".to_owned());
    let headers = signed(&settings);
    assert_eq!(headers["authorization"], "Bearer sk-secret-7");
    assert_eq!(headers["anthropic-version"], "2026-10-21");
    assert!(!headers.contains_key("x-api-key"));

    let headers = signed(&row("openai_chat"));
    assert_eq!(headers["authorization"], "Bearer sk-secret-7");
    assert!(!format!("{headers:?}").contains("sk-secret"));
}

#[test]
fn a_key_is_optional_and_further_headers_win() {
    let mut settings = row("openai_chat");
    settings.keys.clear();
    settings.headers = vec![("Authorization".to_owned(), "Basic abc".to_owned())];
    assert_eq!(signed(&settings)["authorization"], "Basic abc");
    settings.headers = vec![("content-length".to_owned(), "1".to_owned())];
    assert_eq!(headers(&settings, None).unwrap_err().code(), Code::ConfigurationError);
}

#[test]
fn a_key_with_a_line_end_is_refused_without_showing_it() {
    let mut settings = row("anthropic");
    settings.keys = vec![key("sk-secret\nx")];
    let fault = headers(&settings, settings.key()).unwrap_err();
    assert!(!format!("{fault:?} {:?}", fault.hint_text()).contains("sk-secret"));
}

#[test]
fn providers_appear_with_their_keys_or_with_a_base_url_of_their_own() {
    let none = from_environment(&|_| None);
    assert!(none.is_empty());
    let blank = from_environment(&|_| Some("  ".to_owned()));
    assert!(blank.is_empty());
    let local = from_environment(&|name| {
        (name == "OPENAI_BASE_URL").then(|| "http://127.0.0.1:11434/v1".to_owned())
    });
    assert_eq!(local.len(), 1);
    assert_eq!(local[0].base_url, "http://127.0.0.1:11434/v1");
    assert!(local[0].keys.is_empty());
    let own = from_environment(&|name| {
        (name == "OPENAI_BASE_URL").then(|| "https://api.openai.com/v1".to_owned())
    });
    assert!(own.is_empty(), "the company's own address is no use without a key");
    let row = row("anthropic");
    assert_eq!(row.key().unwrap().source.as_deref(), Some("environment ANTHROPIC_API_KEY"));
    assert_eq!(row.models[0], "claude-sonnet-5-5");
}

#[test]
fn paths_join_whether_or_not_the_base_names_the_version() {
    let anthropic = |base: &str| join("anthropic", base, "/v1/messages");
    assert_eq!(anthropic(""), "/v1/messages");
    assert_eq!(anthropic("/v1"), "/v1/messages");
    assert_eq!(anthropic("/proxy"), "/proxy/v1/messages");
    for path in ["/chat/completions", "/v1/chat/completions"] {
        let openai = |base: &str| join("openai_chat", base, path);
        assert_eq!(openai("/v1"), "/v1/chat/completions");
        assert_eq!(openai(""), "/v1/chat/completions");
        assert_eq!(openai("/api/openai"), "/api/openai/chat/completions");
    }
    let gemini = "/v1beta/models/m:generateContent";
    assert_eq!(join("gemini", "", gemini), gemini);
    assert_eq!(join("gemini", "/v1beta", gemini), gemini);
    for base in ["", "/api", "/v1"] {
        assert_eq!(join("ollama_chat", base, "/api/chat"), "/api/chat");
    }
}

#[test]
fn limit_headers_ask_for_a_pause_only_when_nothing_is_left() {
    let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let pause = |pairs: &[(&str, &str)]| {
        let header = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        pause(&header, now)
    };
    let remaining = "anthropic-ratelimit-requests-remaining";
    let reset = ("anthropic-ratelimit-requests-reset", "2026-11-21T00:00:07Z");
    assert_eq!(pause(&[(remaining, "0"), reset]), Some(Duration::from_secs(7)));
    assert_eq!(pause(&[(remaining, "3"), reset]), None);
    assert_eq!(pause(&[(remaining, "0")]), None);
    let (left, back) = ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
    let seconds = |text: &str| pause(&[(left, "0"), (back, text)]);
    assert_eq!(seconds("6m0s"), Some(Duration::from_secs(360)));
    assert_eq!(seconds("120ms"), Some(Duration::from_millis(120)));
    assert_eq!(seconds("soon"), None);
    assert_eq!(pause(&[(left, "1"), (back, "1s")]), None);
}

#[test]
fn names_tell_whose_model_it_is() {
    let owner = |model: &str| Providers::embedded().owner(model).map(|row| row.name.as_str());
    assert_eq!(owner("claude-opus-5-5"), Some("anthropic"));
    assert_eq!(owner("gpt-6-luna"), Some("openai"));
    assert_eq!(owner("o3-mini"), Some("openai"));
    assert_eq!(owner("olmo-3"), None);
    assert_eq!(owner("llama3"), None);
}
