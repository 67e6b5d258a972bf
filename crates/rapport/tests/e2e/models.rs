//! `rapport model` and `rapport provider`: what is known, and one real call in one sentence.

use std::process::Output;

use serde_json::{Value, json};

use crate::cli::{err, fine, out};
use crate::house::{House, free_port};
use crate::program::Home;

/// Runs a command with OpenAI's own names set to this address.
fn asked(house: &House, port: u16, arguments: &[&str]) -> Output {
    let mut command = house.command(arguments);
    command.env("OPENAI_API_KEY", "sk-secret-12");
    command.env("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1"));
    command.output().unwrap()
}

#[test]
fn a_test_of_a_model_says_in_one_sentence_that_it_works() {
    let house = House::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let script = mock::Script::always(mock::Reply::text("ok"));
    let mock = runtime.block_on(mock::Mock::start("127.0.0.1:0".parse().unwrap(), script)).unwrap();
    let port = mock.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let output = asked(&house, port, &["model", "test", "gpt-5.5"]);
    let text = out(&output);
    assert!(output.status.success(), "{}", err(&output));
    assert!(text.starts_with("`openai/gpt-5.5` works"), "{text}");
    assert!(text.contains(" ms with ") && text.contains(" USD"), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");

    let output = asked(&house, port, &["model", "test", "openai", "--json"]);
    let value: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((&value["ok"], &value["provider"]), (&true.into(), &"openai".into()));
    assert!(fine(&house, &["model", "test", "echo"]).contains("works"));
}

#[test]
fn a_test_of_a_model_that_does_not_answer_says_why_and_what_to_do() {
    let house = House::new();
    let output = asked(&house, free_port(), &["model", "test", "gpt-5.5"]);
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    assert!(text.contains("cannot be reached") && text.contains("base_url"), "{text}");

    let output = house.run(&["model", "test", "claude-opus-5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("ANTHROPIC_API_KEY"), "{}", err(&output));

    let output = asked(&house, 9, &["model", "test", "gtp-5.5"]);
    assert!(err(&output).contains("did you mean `gpt-5.5`?"), "{}", err(&output));
    assert!(!err(&output).contains("sk-secret-12"));
}

#[test]
fn a_model_that_its_provider_does_not_have_is_answered_with_the_nearest() {
    let house = House::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let script = mock::Script::always(mock::Reply::status(404));
    let mock = runtime.block_on(mock::Mock::start("127.0.0.1:0".parse().unwrap(), script)).unwrap();
    let port = mock.url().rsplit(':').next().unwrap().parse().unwrap();
    let output = asked(&house, port, &["model", "test", "openai/gtp-5.5"]);
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    assert!(text.contains("does not work") && text.contains("did you mean `gpt-5.5`?"), "{text}");
}

#[test]
fn models_and_providers_are_listed_and_shown() {
    let house = House::new();
    let listed = out(&asked(&house, 9, &["model", "list"]));
    assert!(listed.contains("gpt-5.5") && listed.contains("1.05M"), "{listed}");
    let shown = fine(&house, &["model", "show", "claude-haiku-5-5"]);
    assert!(shown.contains("above 100k prompt tokens"), "{shown}");
    let all: Value =
        serde_json::from_str(&fine(&house, &["model", "list", "--all", "--json"])).unwrap();
    assert!(all["models"].as_array().unwrap().len() >= 100);
    let known: Value =
        serde_json::from_str(&fine(&house, &["provider", "list", "--all", "--json"])).unwrap();
    assert!(known["providers"].as_array().unwrap().len() >= 50);
    let listed = out(&asked(&house, 9, &["provider", "list"]));
    assert!(
        listed.contains("environment variable OPENAI_API_KEY") || listed.contains("OPENAI_API_KEY")
    );
    assert!(!listed.contains("sk-secret-12"), "{listed}");
}

#[tokio::test]
async fn a_provider_that_is_added_by_the_api_answers_at_once_and_after_a_restart() {
    let home = Home::new();
    let reply = mock::Reply::text("Paris.");
    let script = mock::Script::always(reply);
    let mock = mock::Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let env = [("MINE_API_KEY", "sk-secret-98")];
    let server = home.serve(&env).await;
    let mine = json!({"name": "mine", "base_url": format!("{}/v1", mock.url()),
                      "api_key": "env:MINE_API_KEY", "models": ["m-1"]});
    let made = server.post("/api/v1/providers", &mine).await;
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("mine")), "{made:?}");
    assert!(!made.body.contains("sk-secret-98"));
    let kept = std::fs::read_to_string(home.data().join("providers.json")).unwrap();
    assert!(kept.contains("${MINE_API_KEY:-}") && !kept.contains("sk-secret-98"), "{kept}");
    let ask = json!({"model": "mine/m-1", "messages": [{"role": "user", "content": "?"}]});
    let answer = server.post("/v1/chat/completions", &ask).await;
    assert!(answer.body.contains("Paris."), "{answer:?}");
    server.stop().await;

    // A variable that is gone is no reason not to start.
    home.serve(&[]).await.stop().await;
    let server = home.serve(&env).await;
    let answer = server.post("/v1/chat/completions", &ask).await;
    assert!(answer.body.contains("Paris."), "{answer:?}");
}

#[tokio::test]
async fn a_provider_that_cannot_work_is_refused_and_changes_nothing() {
    let home = Home::new();
    home.configure("providers:\n  groq:\n    api_key: sk-secret-97\n");
    let server = home.serve(&[]).await;
    for (added, status, said) in [
        (json!({"name": "mine", "api_key": "sk-secret-96\nmore"}), 400, "this is no key"),
        (json!({"name": "mine", "api_key": "file:/etc/passwd"}), 400, "this is no key"),
        (json!({"name": "mine", "api_key": "env:HOME"}), 400, "no variable of a key"),
        (json!({"name": "Mine!"}), 400, "`Mine!`"),
        (json!({"name": "mine", "dialect": "latin"}), 400, "`latin`"),
        (json!({"name": "mine", "model": "m"}), 400, "model"),
        (json!({"name": "mine", "models": ["m"]}), 400, "has no address"),
        (
            json!({"name": "mine", "base_url": "http://h/v1", "api_key": "env:NO_API_KEY"}),
            400,
            "NO_API_KEY",
        ),
        (json!({"name": "groq", "models": ["m"]}), 409, "configured already: "),
    ] {
        let answer = server.post("/api/v1/providers", &added).await;
        assert_eq!(answer.status, status, "{added}: {answer:?}");
        assert!(answer.body.contains(said), "{added}: {answer:?}");
        assert!(!answer.body.contains("sk-secret"), "{answer:?}");
    }
    assert!(!home.data().join("providers.json").exists());
    let listed = server.get("/api/v1/providers").await.json();
    assert_eq!(listed["providers"].as_array().unwrap().len(), 1);
    assert_eq!(listed["providers"][0]["docs"], "https://console.groq.com/docs");
    let models = server.get("/api/v1/models").await.json();
    let groq = models["models"].as_array().unwrap().iter().find(|m| m["provider"] == "groq");
    let groq = groq.unwrap();
    assert_eq!((&groq["price"]["input"], &groq["window_tokens"]), (&json!(0.59), &json!(131072)));
}
