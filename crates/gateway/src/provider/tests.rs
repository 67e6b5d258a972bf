//! Every kind signs as its API wants, keeps its key out of `Debug`, and appears with its key.

use super::*;

fn row(dialect: &str) -> ProviderSettings {
    let variable = |name: &str| name.ends_with("_API_KEY").then(|| "sk-secret-7".to_owned());
    from_environment(&variable).into_iter().find(|row| row.dialect == dialect).unwrap()
}

fn signed(settings: &ProviderSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    speaking(&settings.dialect).unwrap().sign(settings, &mut headers).unwrap();
    headers
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

    settings.bearer = true;
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
    settings.key = None;
    settings.headers = vec![("Authorization".to_owned(), "Basic abc".to_owned())];
    assert_eq!(signed(&settings)["authorization"], "Basic abc");
    settings.headers = vec![("content-length".to_owned(), "1".to_owned())];
    let fault = speaking("openai_chat").unwrap().sign(&settings, &mut HeaderMap::new());
    assert_eq!(fault.unwrap_err().code(), Code::ConfigurationError);
}

#[test]
fn a_key_with_a_line_end_is_refused_without_showing_it() {
    let mut settings = row("anthropic");
    settings.key = Some(Secret::new("sk-secret\nx"));
    let fault = speaking("anthropic").unwrap().sign(&settings, &mut HeaderMap::new()).unwrap_err();
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
    assert!(local[0].key.is_none());
    let own = from_environment(&|name| {
        (name == "OPENAI_BASE_URL").then(|| "https://api.openai.com/v1".to_owned())
    });
    assert!(own.is_empty(), "the company's own address is no use without a key");
    let row = row("anthropic");
    assert_eq!(row.key_source.as_deref(), Some("environment ANTHROPIC_API_KEY"));
    assert_eq!(row.models[0], "claude-sonnet-5-5");
}

#[test]
fn paths_join_whether_or_not_the_base_names_the_version() {
    let anthropic = speaking("anthropic").unwrap();
    assert_eq!(anthropic.path("", "/v1/messages"), "/v1/messages");
    assert_eq!(anthropic.path("/v1", "/v1/messages"), "/v1/messages");
    assert_eq!(anthropic.path("/proxy", "/v1/messages"), "/proxy/v1/messages");
    let openai = speaking("openai_chat").unwrap();
    for path in ["/chat/completions", "/v1/chat/completions"] {
        assert_eq!(openai.path("/v1", path), "/v1/chat/completions");
        assert_eq!(openai.path("", path), "/v1/chat/completions");
        assert_eq!(openai.path("/api/openai", path), "/api/openai/chat/completions");
    }
}

#[test]
fn limit_headers_ask_for_a_pause_only_when_nothing_is_left() {
    let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let pause = |dialect: &str, pairs: &[(&str, &str)]| {
        let header = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        speaking(dialect).unwrap().pause(&header, now)
    };
    let remaining = "anthropic-ratelimit-requests-remaining";
    let reset = ("anthropic-ratelimit-requests-reset", "2026-11-21T00:00:07Z");
    assert_eq!(pause("anthropic", &[(remaining, "0"), reset]), Some(Duration::from_secs(7)));
    assert_eq!(pause("anthropic", &[(remaining, "3"), reset]), None);
    assert_eq!(pause("anthropic", &[(remaining, "0")]), None);
    let (left, back) = ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
    let seconds = |text: &str| pause("openai_chat", &[(left, "0"), (back, text)]);
    assert_eq!(seconds("6m0s"), Some(Duration::from_secs(360)));
    assert_eq!(seconds("120ms"), Some(Duration::from_millis(120)));
    assert_eq!(seconds("soon"), None);
    assert_eq!(pause("openai_chat", &[(left, "1"), (back, "1s")]), None);
}

#[test]
fn names_tell_whose_model_it_is() {
    let owner = |model: &str| {
        PROVIDERS.iter().find(|provider| provider.owns(model)).map(|p| p.preset().name)
    };
    assert_eq!(owner("claude-opus-5-5"), Some("anthropic"));
    assert_eq!(owner("gpt-6-luna"), Some("openai"));
    assert_eq!(owner("o3-mini"), Some("openai"));
    assert_eq!(owner("olmo-3"), None);
    assert_eq!(owner("llama3"), None);
}
