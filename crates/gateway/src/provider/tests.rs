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

#[test]
fn every_row_of_the_table_can_be_used() {
    let table = Providers::read(include_str!("providers.toml")).unwrap();
    let companies = table.rows().iter().filter(|row| !row.local).count();
    assert!(companies >= 37, "only {companies} companies");
    assert!(table.rows().len() - companies >= 10, "too few engines");
    let (mut names, mut variables) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let mut settings = ProviderSettings::of(row);
        settings.region = Some("eu-west-1".to_owned());
        settings.project = Some("p".to_owned());
        let url = fill(&settings).unwrap();
        let base = crate::client::Base::parse(&row.name, &url).unwrap();
        assert!(row.local != base.is_https(), "{}: {url}", row.name);
        assert!(row.docs.starts_with("https://") && !row.title.is_empty(), "{}", row.name);
        settings.keys = vec![key("sk-secret-7")];
        let signed = signed(&settings);
        assert!(!format!("{signed:?}").contains("sk-secret"), "{}", row.name);
        let dialect = wire::dialect::named(&row.dialect).unwrap();
        let path = dialect.path_for("m", true);
        let ask = Ask { path: &path, model: "m", stream: true };
        let path = route(&settings, settings.key(), base.path(), ask);
        assert!(path.starts_with('/') && !path.contains("//"), "{}: {path}", row.name);
        assert!(!path.contains("/v1/v1") && !path.contains("/v4/v1"), "{}: {path}", row.name);
        names.push(&row.name);
        variables.extend(row.key.iter().chain(&row.base));
    }
    for list in [&mut names, &mut variables] {
        let all = list.len();
        list.sort();
        list.dedup();
        assert_eq!(all, list.len(), "a name stands there twice: {list:?}");
    }
}

#[test]
fn every_price_belongs_to_a_known_provider() {
    for model in ledger::Prices::embedded().models() {
        let known = Providers::embedded().find(&model.provider).is_some();
        assert!(known || model.provider == "*", "`{}` is no provider", model.provider);
    }
}

#[test]
fn quirks_rename_drop_and_set_and_leave_all_else_as_it_is() {
    let quirks: Quirks = toml::from_str(
        "rename = {max_tokens = 'max_completion_tokens'}\ndrop = ['seed']\nset = {v = '1'}",
    )
    .unwrap();
    let changed = |body: &str| String::from_utf8(apply(&quirks, body.into())).unwrap();
    assert_eq!(
        changed(r#"{"a": 1e400,"max_tokens":5,"seed":1}"#),
        r#"{"a":1e400,"max_completion_tokens":5,"v":"1"}"#
    );
    assert_eq!(
        changed(r#"{"max_tokens":5,"max_completion_tokens":6,"v":"2"}"#),
        r#"{"max_completion_tokens":6,"v":"2"}"#
    );
    assert_eq!(changed("[1]"), "[1]");
}

#[test]
fn addresses_follow_the_custom_of_the_provider() {
    let address = |name: &str, base: &str, ask: Ask<'_>| {
        let mut settings = ProviderSettings::of(Providers::embedded().find(name).unwrap());
        settings.keys = vec![key("k 1")];
        route(&settings, settings.key(), base, ask)
    };
    let chat = Ask { path: "/v1/chat/completions", model: "gpt 4", stream: false };
    assert_eq!(address("zai", "/api/paas/v4", chat), "/api/paas/v4/chat/completions");
    assert_eq!(address("perplexity", "", chat), "/chat/completions");
    assert_eq!(
        address("azure", "", chat),
        "/openai/deployments/gpt%204/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(address("azure", "/openai/v1", chat), "/openai/v1/chat/completions");
    let mut settings = ProviderSettings::new("q", "openai_chat", "https://h");
    settings.auth = AuthKind::parse("query:key").unwrap();
    settings.keys = vec![key("k 1")];
    assert_eq!(route(&settings, settings.key(), "", chat), "/v1/chat/completions?key=k%201");
    assert_eq!(AuthKind::parse("header:"), None);
    assert_eq!(AuthKind::parse("magic"), None);
}

#[test]
fn the_address_of_an_engine_may_be_a_host_alone() {
    let row = Providers::embedded().find("ollama").unwrap();
    for (text, url) in [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("box:80", "http://box:80"),
        ("https://box/x/", "https://box/x"),
        ("[::1]:9", "http://[::1]:9"),
    ] {
        assert_eq!(host_address(text, row), url);
    }
    let found = from_environment(&|name| (name == "OLLAMA_HOST").then(|| "127.0.0.1".to_owned()));
    assert_eq!(found[0].base_url, "http://127.0.0.1:11434");
    assert_eq!(found[0].dialect, "ollama_chat");
}

#[test]
fn an_added_provider_has_no_model_without_a_name() {
    for models in [vec![""], vec!["big", "  "]] {
        let models: Vec<String> = models.into_iter().map(str::to_owned).collect();
        let added = Added { name: "mine".to_owned(), models, ..Added::default() };
        let fault = added.check().unwrap_err();
        assert_eq!(fault.code(), Code::InvalidInput);
    }
    let models = vec!["big one".to_owned()];
    assert!(Added { name: "mine".to_owned(), models, ..Added::default() }.check().is_ok());
}
