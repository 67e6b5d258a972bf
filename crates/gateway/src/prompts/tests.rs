//! Places are filled with what is given, once, and everything else stays.

use super::*;

fn prompt(text: &str, arguments: &[&str]) -> PromptSettings {
    let arguments = arguments.iter().map(|line| Argument::parse(line).unwrap()).collect();
    PromptSettings { name: "p".into(), text: text.into(), arguments, ..PromptSettings::default() }
}

fn given(json: Value) -> Map<String, Value> {
    let Value::Object(fields) = json else { panic!("{json} is no object") };
    fields
}

#[test]
fn arguments_come_into_their_places_and_defaults_where_nothing_is_given() {
    let prompt = prompt("{{n}} days in {{ city }}, {{city}}!", &["city Where to", "n=3 How long"])
        .checked()
        .unwrap();
    let said = |json: Value| prompt.render(&given(json)).unwrap().text;
    assert_eq!(said(json!({"city": "Rome"})), "3 days in Rome, Rome!");
    assert_eq!(said(json!({"city": "Rome", "n": 5})), "5 days in Rome, Rome!");
    assert_eq!(said(json!({"city": "Rome", "n": null})), "3 days in Rome, Rome!");
    let part = json!({"city": {"type": "input_text", "text": "Oslo"}});
    assert_eq!(said(part), "3 days in Oslo, Oslo!");
}

#[test]
fn what_is_given_is_never_a_template_itself() {
    let prompt = prompt("{{a}} {{b}}", &[]).checked().unwrap();
    let said = prompt.render(&given(json!({"a": "{{b}}", "b": "x {{a}}"}))).unwrap();
    assert_eq!(said.text, "{{b}} x {{a}}");
}

#[test]
fn what_is_no_place_stays() {
    for text in ["{{", "}}", "{{}}", "{{ }}", "{{a b}}", "{ {a} }", "{{a", "x{{{", "{{é}}"] {
        let prompt = prompt(text, &[]).checked().unwrap();
        assert!(prompt.arguments.is_empty(), "{text}");
        assert_eq!(prompt.render(&Map::new()).unwrap().text, text);
    }
    let prompt = prompt("{{{a}}} {{{{a}}}}", &[]).checked().unwrap();
    assert_eq!(prompt.render(&given(json!({"a": "1"}))).unwrap().text, "{1} {{1}}");
}

#[test]
fn what_is_missing_unknown_or_no_text_is_named() {
    let prompt = prompt("{{city}}", &["city Where to"]).checked().unwrap();
    for (asked, code, text, hint) in [
        (json!({}), Code::MissingField, "needs the argument `city`", "Where to"),
        (json!({"city": null}), Code::MissingField, "needs the argument `city`", "Where to"),
        (json!({"town": "x"}), Code::InvalidInput, "has no argument `town`", "`city`"),
    ] {
        let fault = prompt.render(&given(asked)).unwrap_err();
        assert_eq!(fault.code(), code, "{fault:?}");
        assert!(fault.text().contains(text), "{fault:?}");
        assert!(fault.hint_text().unwrap().contains(hint), "{fault:?}");
    }
    let fault = prompt.render(&given(json!({"city": ["x"]}))).unwrap_err();
    assert!(fault.text().contains("`city` must be a text"), "{fault:?}");
}

#[test]
fn a_prompt_that_cannot_work_is_refused_when_it_is_configured() {
    for (prompt, says) in [
        (prompt("", &[]), "needs a `text`"),
        (prompt("{{city}}", &["town"]), "no argument of that name"),
        (prompt("{{a}}", &["a", "a=1"]), "`a` twice"),
        (PromptSettings { name: "a b".into(), ..prompt("x", &[]) }, "`a b` is no name"),
        (PromptSettings { name: TAKEN[0].into(), ..prompt("x", &[]) }, "the server itself"),
    ] {
        let why = prompt.checked().unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    assert!(Argument::parse("=3").is_err() && Argument::parse("").is_err());
    let long = prompt("{{a}}{{a}}{{a}}", &[]).checked().unwrap();
    let fault = long.render(&given(json!({"a": "x".repeat(RENDERED_BYTES_MAX / 2)}))).unwrap_err();
    assert_eq!(fault.code(), Code::PayloadTooLarge);
}
