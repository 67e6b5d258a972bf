//! Names lead to the right model, the wrong ones to advice, and statuses tell what calls showed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::hold::Hold;
use super::live::{Live, News};
use super::*;
use crate::client::after;
use crate::provider::from_environment;
use crate::settings::{KeySettings, ProviderSettings, Secret};

fn both() -> Settings {
    let providers = from_environment(&|name| {
        let wanted = matches!(name, "ANTHROPIC_API_KEY" | "OPENAI_API_KEY");
        wanted.then(|| format!("sk-secret-of-{name}"))
    });
    Settings { providers, ..Settings::default() }
}

fn local(name: &str, dialect: &str, models: &[&str]) -> ProviderSettings {
    ProviderSettings {
        models: models.iter().map(|&model| model.to_owned()).collect(),
        ..ProviderSettings::new(name, dialect, "http://127.0.0.1:9/v1")
    }
}

/// `provider/model` of what a name leads to.
#[track_caller]
fn found(models: &Models, wanted: Option<&str>, door: Door) -> String {
    let target = models.resolve(wanted, door).unwrap();
    format!("{}/{}", target.provider(), target.model())
}

#[track_caller]
fn unknown(models: &Models, wanted: &str) -> Fault {
    models.resolve(Some(wanted), Door::Context).unwrap_err()
}

#[test]
fn without_a_key_each_door_has_its_offline_model() {
    let models = Models::new(&Settings::default()).unwrap();
    assert_eq!(found(&models, None, Door::Interact), "offline/echo");
    assert_eq!(found(&models, None, Door::Context), "offline/demo");
    assert_eq!(found(&models, Some("mock"), Door::Context), "offline/mock");
    assert_eq!(found(&models, Some("offline/echo"), Door::Context), "offline/echo");
    assert_eq!(found(&models, Some("  "), Door::Context), "offline/demo");
    assert_eq!(models.default_name(Door::Interact), "echo");
}

#[test]
fn with_a_key_the_first_model_of_the_provider_is_the_default() {
    let models = Models::new(&both()).unwrap();
    for door in [Door::Interact, Door::Context] {
        assert_eq!(found(&models, None, door), "anthropic/claude-sonnet-5-5");
        assert_eq!(found(&models, Some("echo"), door), "offline/echo");
    }
    assert_eq!(models.default_name(Door::Context), "anthropic/claude-sonnet-5-5");
}

#[test]
fn settings_may_choose_the_default_and_mock_mode_beats_them() {
    let mut settings = both();
    settings.models.default = Some("demo".to_owned());
    let models = Models::new(&settings).unwrap();
    assert_eq!(found(&models, None, Door::Interact), "offline/demo");
    settings.models.mock = true;
    let models = Models::new(&settings).unwrap();
    assert_eq!(found(&models, None, Door::Interact), "offline/mock");
    assert_eq!(found(&models, Some("gpt-6-luna"), Door::Interact), "openai/gpt-6-luna");
}

#[test]
fn names_are_found_by_provider_by_list_and_by_family() {
    let mut settings = both();
    settings.providers.push(local("ollama", "openai_chat", &["llama3", "org/mixtral"]));
    let models = Models::new(&settings).unwrap();
    for (name, expected) in [
        ("openai/gpt-7", "openai/gpt-7"),
        ("gpt-6-luna", "openai/gpt-6-luna"),
        ("claude-next", "anthropic/claude-next"),
        ("o5-mini", "openai/o5-mini"),
        ("llama3", "ollama/llama3"),
        ("ollama/unlisted:7b", "ollama/unlisted:7b"),
        ("org/mixtral", "ollama/org/mixtral"),
        ("ollama", "ollama/llama3"),
        (" anthropic ", "anthropic/claude-sonnet-5-5"),
    ] {
        assert_eq!(found(&models, Some(name), Door::Context), expected, "{name}");
    }
}

#[test]
fn a_local_server_of_the_dialect_serves_claude_names_but_not_gpt_names() {
    let providers = vec![local("proxy", "anthropic", &["a"]), local("vllm", "openai_chat", &["b"])];
    let models = Models::new(&Settings { providers, ..Settings::default() }).unwrap();
    assert_eq!(found(&models, Some("claude-x"), Door::Context), "proxy/claude-x");
    assert_eq!(unknown(&models, "gpt-x").code(), Code::ModelNotFound);
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest_and_the_next_step() {
    let models = Models::new(&both()).unwrap();
    let fault = unknown(&models, "ehco");
    assert_eq!(fault.code(), Code::ModelNotFound);
    assert_eq!(fault.text(), "there is no model `ehco`");
    assert!(fault.hint_text().unwrap().contains("did you mean `echo`?"));
    let bare = Models::new(&Settings::default()).unwrap();
    let hint = unknown(&bare, "claude-sonnet-5-5").hint_text().unwrap().to_owned();
    assert!(hint.contains("ANTHROPIC_API_KEY"), "{hint}");
    for name in ["groq", "groq/llama-3.3-70b-versatile"] {
        let hint = unknown(&bare, name).hint_text().unwrap().to_owned();
        assert!(hint.contains("set GROQ_API_KEY"), "{hint}");
    }
    let hint = unknown(&bare, "vllm").hint_text().unwrap().to_owned();
    assert!(hint.contains("set VLLM_BASE_URL"), "{hint}");
    let hint = unknown(&bare, "zzzzzzzzzzzz").hint_text().unwrap().to_owned();
    assert!(hint.contains("known models: echo, demo, mock"), "{hint}");
    let long = unknown(&bare, &"x".repeat(1 << 20));
    assert!(long.text().len() < 200);
    assert_eq!(unknown(&models, "openai/").code(), Code::ModelNotFound);
}

#[test]
fn a_provider_without_its_key_says_which_variable_is_missing() {
    let mut settings = both();
    for row in &mut settings.providers {
        row.keys.clear();
    }
    let models = Models::new(&settings).unwrap();
    assert_eq!(found(&models, None, Door::Context), "offline/demo");
    let fault = unknown(&models, "gpt-6-luna");
    assert_eq!(fault.code(), Code::ConfigurationError);
    assert!(fault.hint_text().unwrap().contains("OPENAI_API_KEY"));
    assert!(models.providers().iter().all(|status| !status.configured));
}

#[test]
fn local_only_allows_loopback_and_nothing_else() {
    let mut settings = both();
    settings.local_only = true;
    settings.providers.push(local("ollama", "openai_chat", &["llama3"]));
    let models = Models::new(&settings).unwrap();
    assert_eq!(found(&models, None, Door::Context), "ollama/llama3");
    let fault = unknown(&models, "claude-sonnet-5-5");
    assert!(fault.text().contains("local_only") && fault.text().contains("api.anthropic.com"));
}

#[test]
fn every_problem_of_the_settings_is_reported() {
    let broken = KeySettings::new(Secret::new("sk\n1"), "a test");
    let providers = vec![
        ProviderSettings { base_url: "http://h:619009".to_owned(), ..local("a", "anthropic", &[]) },
        ProviderSettings { dialect: "esperanto".to_owned(), ..local("b", "anthropic", &[]) },
        ProviderSettings { keys: vec![broken], ..local("c", "anthropic", &[]) },
        local("echo", "anthropic", &[]),
        local("a b", "anthropic", &[]),
        local("d", "openai_chat", &[]),
        local("d", "openai_chat", &[]),
    ];
    let problems = Models::problems(&Settings { providers, ..Settings::default() });
    let codes: Vec<_> = problems.iter().map(|fault| fault.code().as_str()).collect();
    assert_eq!(codes[0], "invalid_port");
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(problems[1].hint_text().unwrap().contains("anthropic, openai_chat"));
    let choice = ModelSettings { default: Some("ecko".to_owned()), ..ModelSettings::default() };
    let wrong = Settings { models: choice, ..Settings::default() };
    let fault = Models::new(&wrong).unwrap_err();
    assert_eq!(fault.text(), "models.default: there is no model `ecko`");
    assert_eq!(fault.code(), Code::ConfigurationError);
}

#[test]
fn no_secret_is_in_debug_status_or_rendered_request() {
    let mut settings = both();
    settings.providers[0].headers = vec![("x-team".to_owned(), "sk-secret-header".to_owned())];
    let models = Models::new(&settings).unwrap();
    let Target::Upstream(upstream) = models.resolve(None, Door::Context).unwrap() else {
        panic!("a key is configured");
    };
    let prompt = wire::prompt::Prompt {
        model: upstream.model().to_owned(),
        system: None,
        messages: vec![wire::prompt::Message::text(wire::prompt::Role::User, "hi")],
        tools: Vec::new(),
        system_raw: None,
        private: None,
        knobs: wire::prompt::Knobs::default(),
    };
    let (url, headers, body) = upstream.render(&prompt, true);
    assert_eq!(url, "https://api.anthropic.com/v1/messages");
    assert!(headers.contains(&("x-api-key".to_owned(), "[hidden]".to_owned())), "{headers:?}");
    assert!(headers.contains(&("accept".to_owned(), "text/event-stream".to_owned())));
    assert!(String::from_utf8_lossy(&body).contains("\"stream\":true"));
    let statuses = serde_json::to_string(&(models.list(), models.providers())).unwrap();
    let shown = format!("{models:?} {upstream:?} {headers:?} {statuses}");
    assert!(!shown.contains("sk-secret"), "{shown}");
}

#[test]
fn statuses_have_the_documented_members_and_know_nothing_before_the_first_call() {
    let models = Models::new(&both()).unwrap();
    let list = serde_json::to_value(models.list()).unwrap();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names[..4], ["echo", "demo", "mock", "claude-sonnet-5-5"]);
    let claude = &list[3];
    assert_eq!(claude["provider"], "anthropic");
    assert_eq!(claude["dialect"], "anthropic");
    assert_eq!(claude["configured"], true);
    assert_eq!(claude["window_tokens"], 1_000_000);
    for unknown in ["reachable", "latency_ms", "last_error", "version"] {
        assert!(claude.get(unknown).unwrap().is_null(), "{unknown}");
    }
    assert_eq!(list[0]["offline"], true);
    let providers = serde_json::to_value(models.providers()).unwrap();
    assert_eq!(providers[0]["key_source"], "environment ANTHROPIC_API_KEY");
    assert_eq!(providers[1]["base_url"], "https://api.openai.com/v1");
}

#[test]
fn live_state_follows_the_calls_and_keeps_when_it_changed() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let live = Live::default();
    assert_eq!(live.provider().reachable, None);
    live.note("m", &News::Lost("no route".to_owned()), at(1));
    live.note("m", &News::Lost("still none".to_owned()), at(2));
    let seen = live.model("m");
    assert_eq!((seen.reachable, seen.since), (Some(false), Some(at(1))));
    assert_eq!(seen.last_error.as_deref(), Some("still none"));
    live.note("m", &News::Good(Duration::from_millis(7), "m-2026".to_owned()), at(3));
    let seen = live.model("m");
    assert_eq!((seen.reachable, seen.since), (Some(true), Some(at(3))));
    assert_eq!((seen.last_error, seen.version.as_deref()), (None, Some("m-2026")));
    live.note("m", &News::Refused("overloaded".to_owned()), at(4));
    assert_eq!(live.provider().since, Some(at(3)));
    for i in 0..1_000 {
        live.note(&format!("invented-{i}"), &News::Lost(String::new()), at(5));
    }
    assert_eq!(live.model("invented-999").reachable, None, "the memory is bounded");
}

#[tokio::test]
async fn a_pause_holds_every_call_until_its_end() {
    let hold = Hold::default();
    let begun = tokio::time::Instant::now();
    hold.pass("p", after(Duration::from_secs(1))).await.unwrap();
    hold.close(Duration::from_millis(60));
    hold.close(Duration::from_millis(1));
    hold.pass("p", after(Duration::from_secs(5))).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_pause_that_is_too_long_is_passed_on_at_once() {
    let hold = Hold::default();
    hold.close(Duration::from_secs(30));
    let fault = hold.pass("p", after(Duration::from_secs(10))).await.unwrap_err();
    assert_eq!(fault.code(), Code::RateLimited);
    assert_eq!(fault.blame(), wire::Blame::Upstream);
    assert!(fault.wait().unwrap() > Duration::from_secs(25));
    hold.close(Duration::from_secs(90));
    let fault = hold.pass("p", after(Duration::from_secs(600))).await.unwrap_err();
    assert!(fault.wait().unwrap() > Duration::from_secs(60));
}

#[tokio::test]
async fn the_queue_of_waiting_calls_is_bounded_and_gives_places_back() {
    let hold = Arc::new(Hold::default());
    hold.close(Duration::from_secs(30));
    let mut waiting: Vec<_> = (0..128)
        .map(|_| {
            let hold = Arc::clone(&hold);
            Box::pin(async move { hold.pass("p", after(Duration::from_secs(60))).await })
        })
        .collect();
    for call in &mut waiting {
        assert!(futures_util::poll!(call).is_pending());
    }
    let full = hold.pass("p", after(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(full.code(), Code::RateLimited);
    drop(waiting.pop());
    let mut next = Box::pin(hold.pass("p", after(Duration::from_secs(60))));
    assert!(futures_util::poll!(&mut next).is_pending());
}

#[test]
fn dice_fall_on_every_side_about_as_often() {
    let mut sides = [0_u32; 10];
    for _ in 0..10_000 {
        let fell = dice();
        assert!((0.0..=1.0).contains(&fell), "{fell}");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
        let side = ((fell * 10.0) as usize).min(9);
        sides[side] += 1;
    }
    // Nine standard deviations.
    assert!(sides.iter().all(|count| (730..1_270).contains(count)), "{sides:?}");
}
