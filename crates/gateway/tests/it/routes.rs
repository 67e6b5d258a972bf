//! Routes from outside: who answers, who is asked next, what is written down.

use std::time::Duration;

use gateway::route::{Hedge, RouteSettings, Strategy, TargetSettings};
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House};

/// Two model servers, `one` and `two` of these dialects, and a route `both` over them.
pub(crate) struct Town {
    pub(crate) one: Mock,
    pub(crate) two: Mock,
    pub(crate) house: House,
}

pub(crate) async fn mock(script: &str) -> Mock {
    let script = Script::parse(script).unwrap();
    Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap()
}

pub(crate) fn provider(name: &str, dialect: &str, mock: &Mock) -> ProviderSettings {
    let mut settings = ProviderSettings::new(name, dialect, &format!("http://{}", mock.addr()));
    settings.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    settings.models = vec![format!("{name}-m")];
    settings.retries = 0;
    settings
}

pub(crate) async fn town(
    (one, first): (&str, &str),
    (two, second): (&str, &str),
    change: impl FnOnce(&mut RouteSettings),
) -> Town {
    let (one_mock, two_mock) = (mock(first).await, mock(second).await);
    let target = |text: &str| TargetSettings::parse(text).unwrap();
    let mut route = RouteSettings {
        name: "both".into(),
        targets: vec![target("one/one-m"), target("two/two-m")],
        sticky: true,
        ..RouteSettings::default()
    };
    change(&mut route);
    let settings = Settings {
        providers: vec![provider("one", one, &one_mock), provider("two", two, &two_mock)],
        routes: vec![route],
        ..Settings::default()
    };
    Town { house: House::with(settings).await, one: one_mock, two: two_mock }
}

fn question(text: &str, stream: bool) -> Value {
    json!({"model": "both", "max_tokens": 9, "stream": stream,
           "messages": [{"role": "user", "content": text}]})
}

impl Town {
    async fn ask(&self, path: &str, text: &str, stream: bool) -> Answer {
        self.house.post(path, &question(text, stream)).await
    }

    pub(crate) async fn explain(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id");
        let told = self.house.call("GET", &format!("/api/v1/requests/{id}/explain")).await;
        assert_eq!(told.status, StatusCode::OK, "{told:?}");
        told.json()
    }

    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.one.requests().len(), self.two.requests().len())
    }
}

const BROKEN: &[&str] = &[
    "default.status = 500",
    "default.status = 401",
    "default.status = 404",
    "default.status = 529",
    "default.status = 402",
    "default.fault = \"drop\"",
    "default.fault = \"html\"",
];

#[tokio::test]
async fn whoever_fails_is_followed_by_the_next_in_every_pair_of_dialects() {
    for broken in BROKEN {
        for (path, one, two) in [
            ("/v1/messages", "anthropic", "anthropic"),
            ("/v1/messages", "anthropic", "openai_chat"),
            ("/v1/chat/completions", "anthropic", "openai_chat"),
            ("/v1/chat/completions", "openai_chat", "anthropic"),
        ] {
            let two_says = "default.text = \"from-two\"";
            let free = |route: &mut RouteSettings| route.sticky = false;
            let town = town((one, broken), (two, two_says), free).await;
            for stream in [false, true] {
                let answer = town.ask(path, "hello", stream).await;
                assert_eq!(answer.status, StatusCode::OK, "{broken} {path} {one} {answer:?}");
                assert!(answer.text.contains("from-two"), "{broken} {path} {one} {answer:?}");
                assert_eq!(answer.header("x-rapport-provider"), "two");
                assert_eq!(answer.header("x-rapport-attempts"), "2", "{broken}");
                assert_eq!(answer.header("x-rapport-route"), "both");
                let told = town.explain(&answer).await;
                assert_eq!(told["outcome"], "ok", "{told}");
                assert_eq!(told["attempts"][0]["provider"], "one");
                assert_eq!(told["attempts"][1]["outcome"], "ok");
                assert_eq!(told["provider"], "two");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_request_is_nobody_elses_business() {
    let script = "default.status = 400\ndefault.error.message = \"bad role\"";
    let town = town(("anthropic", script), ("anthropic", "default.text = \"two\""), |_| {}).await;
    let answer = town.ask("/v1/messages", "hello", false).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(answer.text.contains("bad role"), "the upstream's own words: {answer:?}");
    assert_eq!(town.asked(), (1, 0));
    let told = town.explain(&answer).await;
    assert_eq!(
        (&told["culprit"], &told["attempts"][0]["status"]),
        (&json!("request"), &json!(400))
    );
}

#[tokio::test]
async fn a_stream_that_opens_with_an_error_is_no_answer() {
    let broken = "default.stream_error = { after = 0, kind = \"overloaded_error\" }";
    for dialect in ["anthropic", "openai_chat", "openai_responses", "gemini", "ollama_chat"] {
        for path in ["/v1/messages", "/v1/chat/completions", "/api/v1/contexts/c/turns"] {
            let two = "default.text = \"from-two\"";
            let town = town((dialect, broken), (dialect, two), |_| {}).await;
            town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
            let mut body = question("hello", true);
            if path.ends_with("turns") {
                body = json!({"model": "both", "message": "hello", "stream": true});
            }
            let answer = town.house.post(path, &body).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.text.contains("two"), "{dialect} {path}: {answer:?}");
            assert!(!answer.text.contains("overloaded"), "{dialect} {path}: {answer:?}");
            let told = town.explain(&answer).await;
            assert_eq!(told["attempts"][0]["provider"], "one", "{dialect} {path}: {told}");
            assert_eq!((&told["provider"], &told["outcome"]), (&json!("two"), &json!("ok")));
        }
    }
}

#[tokio::test]
async fn a_broken_target_is_left_alone_and_tried_again_later() {
    let town = town(
        ("anthropic", "default.status = 500"),
        ("anthropic", "default.text = \"two\""),
        |route| route.sticky = false,
    )
    .await;
    for _ in 0..12 {
        let answer = town.ask("/v1/messages", "hello", false).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let (one, two) = town.asked();
    assert_eq!((one, two), (5, 12), "five failures open the breaker");
    let answer = town.ask("/v1/messages", "hello", false).await;
    let told = town.explain(&answer).await;
    assert_eq!(told["plan"][0]["provider"], "two", "{told}");
    assert!(told["plan"][1]["reason"].as_str().unwrap().contains("open"), "{told}");
}

#[tokio::test]
async fn a_conversation_stays_where_it_was_answered() {
    let town = town(
        ("anthropic", "default.text = \"one\""),
        ("anthropic", "default.text = \"two\""),
        |route| route.strategy = Strategy::Weighted,
    )
    .await;
    for talk in 0..10 {
        let text = format!("talk {talk}");
        let first = town.ask("/v1/messages", &text, false).await;
        let provider = first.header("x-rapport-provider").to_owned();
        for _ in 0..5 {
            let mut longer = question(&text, false);
            let messages = longer["messages"].as_array_mut().unwrap();
            messages.push(json!({"role": "assistant", "content": "so"}));
            messages.push(json!({"role": "user", "content": "and?"}));
            let next = town.house.post("/v1/messages", &longer).await;
            assert_eq!(next.header("x-rapport-provider"), provider, "no header names it");
        }
    }
    let (one, two) = town.asked();
    assert!(one > 0 && two > 0, "other conversations went elsewhere: {one} {two}");
}

#[tokio::test]
async fn conversations_take_turns_and_each_stays_where_it_began() {
    let town = town(
        ("anthropic", "default.text = \"one\""),
        ("anthropic", "default.text = \"two\""),
        |route| route.strategy = Strategy::RoundRobin,
    )
    .await;
    for talk in 0..6 {
        for _ in 0..2 {
            let answer = town.ask("/v1/messages", &format!("talk {talk}"), false).await;
            let wanted = ["one", "two"][talk % 2];
            assert_eq!(answer.header("x-rapport-provider"), wanted, "talk {talk}");
        }
    }
    assert_eq!(town.asked(), (6, 6));
}

#[tokio::test]
async fn conditions_and_canaries_choose_by_the_request() {
    let town = town(
        ("anthropic", "default.text = \"one\""),
        ("anthropic", "default.text = \"two\""),
        |route| {
            route.sticky = false;
            let target = |text: &str| TargetSettings::parse(text).unwrap();
            route.targets = vec![target("one/one-m tokens<50"), target("two/two-m")];
            route.canary = Some(target("two/canary header:x-canary=yes"));
        },
    )
    .await;
    let provider = |answer: &Answer| answer.header("x-rapport-provider").to_owned();
    let short = town.ask("/v1/messages", "short", false).await;
    assert_eq!(provider(&short), "one");
    let long = town.ask("/v1/messages", &"many words ".repeat(100), false).await;
    assert_eq!(provider(&long), "two");
    let told = town.explain(&long).await;
    let reason = told["plan"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("below 50 tokens"), "{told}");
    let headers = [("x-canary", "yes")];
    let body = question("short", false);
    let canary = town.house.with_headers("POST", "/v1/messages", &headers, &body).await;
    assert_eq!(canary.header("x-rapport-model"), "canary", "{canary:?}");
}

#[tokio::test]
async fn a_slow_call_is_sent_twice_and_the_loser_is_cut_off() {
    let town = town(
        ("anthropic", "default.fault = \"hang\""),
        ("anthropic", "default.text = \"fast\""),
        |route| {
            route.hedge = Some(Hedge { after: Duration::from_millis(20), percent: 100 });
        },
    )
    .await;
    let answer = town.ask("/v1/messages", "hello", false).await;
    assert!(answer.text.contains("fast"), "{answer:?}");
    let cut = tokio::time::timeout(Duration::from_secs(10), town.one.left(1)).await;
    cut.expect("the slow call was ended");
}

#[tokio::test]
async fn a_hedged_call_whose_first_target_fails_at_once_goes_on() {
    let town = town(
        ("anthropic", "default.status = 500"),
        ("anthropic", "default.text = \"fast\""),
        |route| route.hedge = Some(Hedge { after: Duration::from_mins(5), percent: 100 }),
    )
    .await;
    let answer = town.ask("/v1/messages", "hello", false).await;
    assert!(answer.text.contains("fast"), "{answer:?}");
    assert_eq!(town.asked(), (1, 1));
}

#[tokio::test]
async fn a_shadow_gets_a_copy_and_changes_nothing() {
    let town = town(
        ("anthropic", "default.text = \"one\""),
        ("openai_chat", "default.status = 500"),
        |route| {
            route.targets.truncate(1);
            route.shadow = vec![TargetSettings::parse("two/two-m").unwrap()];
        },
    )
    .await;
    let answer = town.ask("/v1/messages", "hello", false).await;
    assert!(answer.text.contains("one"), "{answer:?}");
    let seen = tokio::time::timeout(Duration::from_secs(10), town.two.seen(1)).await;
    seen.expect("the copy came");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_ended_by_another_model() {
    let cut = "default.fragments = [\"once upon \", \"a time \", \"never sent\"]\n\
               default.stream_error = { after = 2, kind = \"overloaded_error\" }";
    for (path, one, two) in [
        ("/v1/messages", "anthropic", "anthropic"),
        ("/v1/messages", "anthropic", "openai_chat"),
        ("/v1/chat/completions", "anthropic", "openai_chat"),
    ] {
        let town = town((one, cut), (two, "default.text = \"there was\""), |route| {
            route.continues = true;
        })
        .await;
        let answer = town.ask(path, "tell", true).await;
        for part in ["once upon ", "a time ", "there"] {
            assert!(answer.text.contains(part), "{path} {part}: {answer:?}");
        }
        assert!(!answer.text.contains("overloaded"), "{answer:?}");
        assert_eq!(answer.text.matches("message_start").count() % 2, 0, "one beginning only");
        let calls = town.house.call("GET", "/api/v1/requests").await.json();
        assert_eq!(calls["requests"][0]["provider"], "two", "who finished: {calls}");
        let sent = town.two.requests().pop().unwrap().json();
        let last = sent["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["role"], "assistant", "{sent}");
        assert!(last.to_string().contains("once upon a time"), "{sent}");
    }
}

#[tokio::test]
async fn a_refused_key_is_followed_by_the_next_within_the_same_call() {
    for (status, state) in [(401, "invalid"), (429, "limited"), (402, "exceeded")] {
        let script = format!(
            "[[rules]]\ntimes = 1\nreply = {{ status = {status} }}\n[default]\ntext = \"good\""
        );
        let mock = mock(&script).await;
        let mut settings = provider("one", "anthropic", &mock);
        let key = |name: &str, priority| KeySettings {
            name: name.to_owned(),
            priority,
            ..KeySettings::new(Secret::new(format!("sk-{name}-secret")), "a test")
        };
        settings.keys = vec![key("first", 1), key("second", 2)];
        let house =
            House::with(Settings { providers: vec![settings], ..Settings::default() }).await;
        let body = json!({"model": "one-m", "max_tokens": 9,
                          "messages": [{"role": "user", "content": "hi"}]});
        for path in ["/v1/messages", "/v1/chat/completions"] {
            let answer = house.post(path, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{status} {path}: {answer:?}");
        }
        let keys: Vec<String> = mock
            .requests()
            .iter()
            .map(|request| request.header("x-api-key").unwrap().to_owned())
            .collect();
        assert_eq!(keys, ["sk-first-secret", "sk-second-secret", "sk-second-secret"], "{status}");
        let providers = house.call("GET", "/api/v1/providers").await;
        let keys = &providers.json()["providers"][0]["keys"];
        assert_eq!((&keys[0]["name"], &keys[0]["state"]), (&json!("first"), &json!(state)));
        assert_eq!(keys[1]["state"], "normal");
        assert!(!providers.text.contains("secret"), "{providers:?}");
    }
}

#[tokio::test]
async fn a_route_is_listed_and_a_wrong_one_is_refused() {
    let town = town(("anthropic", ""), ("anthropic", ""), |_| {}).await;
    let list = town.house.call("GET", "/v1/models").await;
    assert!(list.text.contains("\"both\""), "{list:?}");
    let mut settings = Settings {
        providers: vec![provider("one", "anthropic", &town.one)],
        ..Settings::default()
    };
    let route = |name: &str, targets: &[&str]| RouteSettings {
        name: name.into(),
        targets: targets.iter().map(|text| TargetSettings::parse(text).unwrap()).collect(),
        ..RouteSettings::default()
    };
    for (routes, wanted) in [
        (vec![route("echo", &["one"])], "has the name of a model"),
        (vec![route("one", &["one/one-m"])], "has the name of a model or provider"),
        (vec![route("r", &[])], "has no targets"),
        (vec![route("r", &["nowhere-at-all"])], "`nowhere-at-all`"),
        (vec![route("r", &["r"])], "is a route"),
        (vec![route("r", &["one"]), route("r", &["one"])], "two routes named `r`"),
    ] {
        settings.routes = routes;
        let problems = gateway::model::Models::problems(&settings);
        assert!(problems.iter().any(|p| p.text().contains(wanted)), "{wanted}: {problems:?}");
    }
}

#[tokio::test]
async fn a_turn_of_a_context_is_answered_by_whoever_can() {
    let town = town(
        ("anthropic", "default.status = 529"),
        ("openai_chat", "default.text = \"from-two\""),
        |_| {},
    )
    .await;
    let body = json!({"message": "hello", "model": "both"});
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for (turn, stream) in [(1, false), (2, true)] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        let answer = town.house.post("/api/v1/contexts/c/turns", &body).await;
        assert!(answer.text.contains("from-two"), "{answer:?}");
        assert_eq!(answer.text.matches("event: start").count(), usize::from(stream));
        let told =
            town.house.call("GET", &format!("/api/v1/requests/c.{turn}/explain")).await.json();
        assert_eq!((&told["outcome"], &told["provider"]), (&json!("ok"), &json!("two")), "{told}");
    }
    assert_eq!(town.asked(), (1, 2), "the second turn stays with who answered the first");
    let kept = town.house.call("GET", "/api/v1/contexts/c/messages").await.json();
    assert_eq!(kept["messages"][1]["meta"]["provider"], "two", "{kept}");
}

#[tokio::test]
async fn thoughts_of_one_provider_are_never_sent_to_another() {
    let thinks = "default.text = \"I think so\"\n\
                  default.thinking = { text = \"secret thought\", signature = \"sig-of-one\" }";
    let town = town(("anthropic", thinks), ("anthropic", "default.text = \"two\""), |_| {}).await;
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let turn = async |model: &str| {
        let body = json!({"message": "well?", "model": model});
        town.house.post("/api/v1/contexts/c/turns", &body).await
    };
    turn("one/one-m").await;
    turn("one/one-m").await;
    let own = town.one.requests().pop().unwrap().json().to_string();
    assert!(own.contains("sig-of-one"), "its own provider gets it back: {own}");
    turn("two/two-m").await;
    let sent = town.two.requests().pop().unwrap().json().to_string();
    assert!(sent.contains("I think so"), "{sent}");
    assert!(!sent.contains("sig-of-one") && !sent.contains("secret thought"), "{sent}");
}
