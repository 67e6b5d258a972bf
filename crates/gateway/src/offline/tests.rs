//! The offline models say exactly what the documents show; the writer keeps its promises.

use serde_json::json;

use super::{Length, OFFLINE, Said, generate_prompt, named, summarize};

#[track_caller]
fn check(model: &str, said: (&str, &str), state: &serde_json::Value, expected: &str) {
    check_after(model, said, state, &[], expected);
}

#[track_caller]
fn check_after(
    model: &str,
    (context, text): (&str, &str),
    state: &serde_json::Value,
    before: &[&str],
    expected: &str,
) {
    let earlier = |needle: &str| before.iter().any(|m| m.to_lowercase().contains(needle));
    let state = state.as_object().unwrap();
    let said = Said { context, text, state, earlier: &earlier };
    assert_eq!(named(model).unwrap().answer(&said), expected);
}

#[test]
fn echo_repeats_the_message_and_the_two_keys_it_knows() {
    check(
        "echo",
        ("123", "hello"),
        &json!({"user": "Alice", "userId": "x"}),
        "Echo from MCP server (session 123): You said 'hello'. Context updated.",
    );
    check(
        "echo",
        ("456", "What is the capital of France?"),
        &json!({"topic": "geography", "user_id": "user_alpha"}),
        "Echo from MCP server (session 456): You said 'What is the capital of France?'. \
         User user_alpha is active. Current topic: geography. Context updated.",
    );
    check(
        "echo",
        ("b", "What's the weather like?"),
        &json!({"user_id": "jane_doe", "location": "NYC"}),
        "Echo from MCP server (session b): You said 'What's the weather like?'. \
         User jane_doe is active. Context updated.",
    );
}

#[test]
fn echo_prints_values_as_python_does() {
    for (value, printed) in [
        (json!(7), "7"),
        (json!(1.0), "1.0"),
        (json!(1e16), "1e+16"),
        (json!(0.00001), "1e-05"),
        (json!(true), "True"),
        (json!(null), "None"),
        (json!(["a", 1]), "['a', 1]"),
        (json!({"it's": "a\nb"}), "{\"it's\": 'a\\nb'}"),
    ] {
        let expected = format!(
            "Echo from MCP server (session s): You said 'm'. User {printed} is active. \
             Context updated."
        );
        check("echo", ("s", "m"), &json!({"user_id": value}), &expected);
    }
}

#[test]
fn demo_tries_its_four_rules_in_order() {
    let none = json!({});
    let flight = ["Can you book me a FLIGHT to New York?"];
    let both = "Make it for next Tuesday and I prefer a window seat.";
    let tuesday = "Got it, a flight for next Tuesday. Any specific time or airline?";
    check("demo", ("c", "Oh HELLO!"), &none, "Hello there! How can I help you today?");
    check_after("demo", ("c", both), &none, &flight, tuesday);
    check_after(
        "demo",
        ("c", "A Window Seat please"),
        &none,
        &flight,
        "Noted, window seat preference for your flight.",
    );
    check(
        "demo",
        ("c", "A window seat please"),
        &none,
        "Acknowledged: 'A window seat please'. How can I further assist you with the context ID \
         'c'?",
    );
    check(
        "demo",
        ("c", "next Tuesday"),
        &none,
        "Acknowledged: 'next Tuesday'. How can I further assist you with the context ID 'c'?",
    );
    check(
        "demo",
        ("c", ""),
        &none,
        "Acknowledged: ''. How can I further assist you with the \
         context ID 'c'?",
    );
}

#[test]
fn mock_greets_whatever_is_said() {
    check("mock", ("c", "x"), &json!({}), "Hello, how can I help?");
    let names: Vec<_> = OFFLINE.iter().map(|m| m.name()).collect();
    assert_eq!(names, ["echo", "demo", "mock"]);
}

const FOX: &str = "The quick brown fox jumps over the lazy dog. This sentence is used for testing \
    fonts. A fox is an animal. The dog did not notice the fox. Typists like the fox sentence.";

#[test]
fn a_summary_is_shorter_than_its_text_and_grows_with_the_length() {
    let short = summarize(FOX, Length::Short);
    let medium = summarize(FOX, Length::Medium);
    assert!(!short.is_empty() && short.len() < medium.len() && medium.len() < FOX.len());
    assert!(FOX.contains(&short), "{short}");
    for text in
        ["one two three four", "A single sentence without an end that goes on", "a。b。c。d。"]
    {
        let summary = summarize(text, Length::Long);
        assert!(!summary.is_empty(), "{text}");
    }
    let long = "word ".repeat(50);
    assert!(summarize(&long, Length::Long).chars().count() < long.trim().chars().count());
}

#[test]
fn a_summary_survives_text_without_words_or_spaces() {
    assert_eq!(summarize(" \n ", Length::Short), "The text is empty.");
    assert_eq!(summarize("Hi", Length::Short), "Hi");
    let cjk = "狐狸跳过了懒狗".repeat(40);
    let summary = summarize(&cjk, Length::Short);
    assert!(summary.chars().count() < cjk.chars().count() && !summary.is_empty());
    assert!(!summarize(&"👩‍👩‍👧".repeat(30), Length::Medium).is_empty());
    assert!(!summarize("... ... ... ... ...", Length::Short).is_empty());
}

#[test]
fn a_megabyte_is_summarised_within_the_budget() {
    let text = "Some words about nothing at all. Other words! Why? ".repeat(20_000);
    let summary = summarize(&text, Length::Long);
    assert!(summary.chars().count() <= 2_001, "{}", summary.len());
    assert_eq!(summary, summarize(&text, Length::Long));
    assert!(summarize(&"x".repeat(1 << 20), Length::Short).chars().count() <= 281);
}

#[test]
fn the_stop_words_are_sorted_so_that_they_are_found() {
    assert!(
        !summarize("The the the the the. Foxes eat foxes daily.", Length::Short).contains("The")
    );
}

#[test]
fn a_prompt_names_both_arguments_and_stays_the_same() {
    let prompt = generate_prompt("sci-fi", "medium");
    assert!(prompt.contains("sci-fi") && prompt.contains("medium"), "{prompt}");
    assert_eq!(prompt, generate_prompt(" sci-fi ", "medium"));
    assert!(generate_prompt("", "nightmare").contains("nightmare"));
    let distinct: std::collections::HashSet<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .iter()
        .map(|theme| generate_prompt(theme, "easy").replace(&format!(" {theme} "), " "))
        .collect();
    assert!(distinct.len() > 2);
}
