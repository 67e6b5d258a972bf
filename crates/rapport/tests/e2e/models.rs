//! `rapport model` and `rapport provider`: what is known, and one real call in one sentence.

use std::process::Output;

use serde_json::Value;

use crate::cli::{err, fine, out};
use crate::house::{House, free_port};

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
