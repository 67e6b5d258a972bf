//! Patterns find what they are for, and nothing that only looks like it.

use super::*;

fn redactor(names: &[&str], own: &Value) -> Redactor {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Redactor::new(&names, own.as_object().unwrap()).unwrap()
}

fn all() -> Redactor {
    let names: Vec<String> =
        toml::from_str::<Table>(TABLE).unwrap().pattern.into_iter().map(|row| row.name).collect();
    Redactor::new(&names, &JsonMap::new()).unwrap()
}

fn clean(redactor: &Redactor, text: &str) -> String {
    redactor.text(text, &mut Marks::new()).unwrap_or_else(|| text.to_owned())
}

#[test]
fn what_is_secret_or_personal_is_replaced_by_its_name() {
    let redactor = all();
    for (text, cleaned) in [
        ("mail Ann.Lee+x@mail.example.org now", "mail [redacted: email] now"),
        ("card 4111 1111 1111 1111, thanks", "card [redacted: card], thanks"),
        ("5500-0000-0000-0004", "[redacted: card]"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [redacted: iban]."),
        ("use sk-test-aaaabbbbccccdddd", "use [redacted: key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted: key]"),
        ("ssn 123-45-6789", "ssn [redacted: ssn]"),
        ("call +49 30 1234567 today", "call [redacted: phone] today"),
        ("from 192.168.0.17", "from [redacted: ip]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
            "[redacted: private_key]",
        ),
        ("a@b.de und c@d.de", "[redacted: email] und [redacted: email]"),
    ] {
        assert_eq!(clean(&redactor, text), cleaned);
    }
}

#[test]
fn what_only_looks_like_it_stays() {
    let redactor = all();
    for text in [
        "4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 02",
        "version 1.2.3",
        "me@home",
        "12-34-56",
        "sk-short",
        "Schöne Grüße @alle",
        "",
    ] {
        assert_eq!(clean(&redactor, text), text);
    }
}

#[test]
fn patterns_of_ones_own_count_and_bad_ones_are_named() {
    let own = redactor(&["email"], &json!({"case": "CASE-[0-9]{4}"}));
    let mut marks = Marks::new();
    let cleaned = own.text("CASE-1234 and CASE-9 by a@b.io", &mut marks).unwrap();
    assert_eq!(cleaned, "[redacted: case] and CASE-9 by [redacted: email]");
    assert_eq!(marks, Marks::from([("case".to_owned(), 1), ("email".to_owned(), 1)]));
    for (value, part) in [
        (json!({"mode": "write", "own": {"x": "("}}), "`redact.own.x` is no regular expression"),
        (json!({"mode": "write", "own": {"a b": "x"}}), "names of 1 to 40"),
        (json!({"mode": "write", "own": {"x": "\\w{1000}{1000}"}}), "`redact.own.x`"),
        (json!({"mode": "write", "patterns": ["emial"]}), "known are `private_key`"),
        (json!({"mode": "sometimes"}), "got `sometimes`"),
        (json!({"mode": "write", "when": 1}), "`redact.when` is unknown"),
        (json!(7), "`off`, `write` or `render`"),
    ] {
        let fault = RedactPlan::parse(&value).unwrap_err();
        assert!(fault.text().contains(part), "{value}: {}", fault.text());
    }
    let plan = RedactPlan::parse(&json!("render")).unwrap();
    assert_eq!(RedactPlan::parse(&plan.to_value()).unwrap(), plan);
}

#[test]
fn in_json_only_the_texts_change() {
    let redactor = all();
    let json = r#"[{"type": "text",  "text":"by a@b.io \u00e4"},
        {"type":"thinking","thinking":"a@b.io","signature":"a@b.io"},
        {"type":"tool_use","id":"a@b.io","input":{"to":["a@b.io"],"n":1.50}}]"#;
    let raw =
        Raw { dialect: "anthropic".into(), json: RawValue::from_string(json.to_owned()).unwrap() };
    let (cleaned, marks) = redactor.content(&Content::Raw(raw)).unwrap();
    let wanted = json
        .replace(r#""text":"by a@b.io \u00e4""#, r#""text":"by [redacted: email] ä""#)
        .replace(r#"["a@b.io"]"#, r#"["[redacted: email]"]"#);
    assert_eq!(cleaned.stored(), wanted);
    assert_eq!(marks["email"], 2);
    assert!(json::clean("{\"a\": \"cut", json::KEPT, &mut |_| Some(String::new())).is_none());
}

#[test]
fn a_hostile_text_takes_no_longer_than_its_length() {
    let redactor = all();
    let began = tokio::time::Instant::now();
    for text in ["a@".repeat(200_000), "1 ".repeat(200_000), "DE89 ".repeat(100_000)] {
        clean(&redactor, &text);
    }
    assert!(began.elapsed().as_secs() < 30);
}

#[test]
fn what_was_redacted_is_redacted_no_further() {
    let redactor = redactor(&["email"], &json!({"word": "redacted|email|x"}));
    let once = clean(&redactor, "ann@example.org, an email of x");
    assert_eq!(once, "[redacted: email], an [redacted: word] of [redacted: word]");
    assert_eq!(clean(&redactor, &once), once);
    // What only looks like the beginning of a mark protects nothing.
    assert_eq!(
        clean(&redactor, "[redacted: ann@example.org"),
        "[[redacted: word]: [redacted: email]"
    );
}
