//! The scan against the parser, on any JSON, and on what is none.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::frame::json::{json_depth_ok, string_end};

/// What the parser says of the same fields.
fn parsed(body: &[u8]) -> Option<Head> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let fields = value.as_object()?;
    let text = |value: Option<&Value>| Some(value?.as_str()?.to_owned());
    let context = text(fields.get("metadata").and_then(|metadata| metadata.get("context_id")));
    let conversation = fields.get("conversation");
    let conversation = text(conversation).or_else(|| text(conversation.and_then(|c| c.get("id"))));
    let links = [
        context.map(Link::Context),
        conversation.map(Link::Conversation),
        text(fields.get("previous_response_id")).map(Link::Response),
    ];
    Some(Head {
        model: text(fields.get("model")),
        models: Vec::new(),
        stream: fields.get("stream").and_then(Value::as_bool),
        link: links.into_iter().flatten().find(|link| !link.id().is_empty()),
        // Of fields that stand twice the parser holds one; all of them count.
        depth: (0..).find(|depth| json_depth_ok(body, *depth))?,
    })
}

#[track_caller]
fn check(body: &str) {
    let mut head = scan(body.as_bytes());
    if let Some(head) = &mut head {
        for range in head.models.drain(..) {
            assert!(serde_json::from_str::<Value>(body.get(range).unwrap()).is_ok(), "{body}");
        }
    }
    assert_eq!(head, parsed(body.as_bytes()), "{body}");
}

#[test]
fn the_fields_are_found_wherever_and_however_they_stand() {
    check("{}");
    check(" {\n\"stream\" :true ,\r\t\"model\" : \"a\\\"b\\u00e9\" } \n");
    check(r#"{"messages":[{"model":"x","stream":true,"s":"}]\\"}],"model":"y"}"#);
    check(r#"{"mod\u0065l":"escaped","\u0073tream":false}"#);
    check(r#"{"model":"first","model":"last","stream":true,"stream":null}"#);
    check(r#"{"model":"first","model":5}"#);
    check(r#"{"n":123456789012345678901234567890,"x":1.0e-7,"model":"big"}"#);
    check(r#"{"metadata":{"context_id":"c","context_id":"d"},"conversation":"e"}"#);
    check(r#"{"metadata":{"context_id":"c"},"metadata":{},"conversation":{"id":"v"}}"#);
    check(r#"{"conversation":null,"previous_response_id":"resp_1"}"#);
    check(r#"{"metadata":{"context_id":""},"previous_response_id":"resp_1"}"#);
    check(r#"{"":"","model":""}"#);
}

#[test]
fn what_is_no_object_has_no_head() {
    for body in ["", "[]", "\"model\"", "{", "{\"model\"", "{\"model\":", "{\"model\":\"a", "{} {}"]
    {
        assert_eq!(scan(body.as_bytes()), None, "{body}");
    }
    for body in ["{,}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{a:1}", "{\"a\":\"\\\"}"] {
        assert_eq!(scan(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn a_body_without_a_model_gets_one() {
    for (body, named) in [
        (" {\"a\": 1}", " {\"model\":\"m \\\"1\\\"\",\"a\": 1}"),
        ("{ }", "{\"model\":\"m \\\"1\\\"\" }"),
        ("[]", "[]"),
        ("", ""),
    ] {
        let out = name_model(body.as_bytes(), "m \"1\"");
        assert_eq!(String::from_utf8(out).unwrap(), named);
    }
}

#[test]
fn a_new_name_stands_in_every_place_of_the_old_one_and_nothing_else_moves() {
    let body = "{ \"b\":[1.0e0,\"\\u00e9\"],\"model\":\"a\" , \"model\" : null,\"z\":1e400 }";
    let head = scan(body.as_bytes()).unwrap();
    let sent = String::from_utf8(rename(body.as_bytes(), &head, "x\"y")).unwrap();
    let name = r#""x\"y""#;
    let expected = format!(
        "{{ \"b\":[1.0e0,\"\\u00e9\"],\"model\":{name} , \"model\" : {name},\"z\":1e400 }}"
    );
    assert_eq!(sent, expected);
}

#[test]
fn a_deep_body_needs_no_stack() {
    let deep = format!("{{\"a\":{}{},\"model\":\"m\"}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(scan(deep.as_bytes()).unwrap().model.as_deref(), Some("m"));
}

fn json() -> impl Strategy<Value = String> {
    let text = "[a-c\\\\\"{}\\[\\],:\u{e9}\u{1f600}\n]{0,20}";
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "-0", "1.5E+3"]).prop_map(str::to_owned),
        "[1-9][0-9]{0,30}",
        text.prop_map(|text| Value::from(text).to_string()),
        "(\\\\u00[0-7][0-9a-f]|\\\\n|\\\\\\\\|a){0,6}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let field = (key(), blank(), inner.clone());
        prop_oneof![
            (vec(inner, 0..4), blank())
                .prop_map(|(items, blank)| format!("[{}]", items.join(&format!("{blank},")))),
            vec(field, 0..4).prop_map(|fields| written(&fields)),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let names = ["model", "stream", "metadata", "context_id", "conversation", "id", "x\\\"y", ""];
    let escaped =
        ["mod\\u0065l", "previous_response_id", "\\u0073tream", "\\u006ddel", "s\\u20actream"];
    prop::sample::select([&names[..], &escaped[..]].concat()).prop_map(str::to_owned)
}

fn blank() -> impl Strategy<Value = String> {
    "[ \n\r\t]{0,2}"
}

fn written(fields: &[(String, String, String)]) -> String {
    let fields = fields
        .iter()
        .map(|(key, blank, value)| format!("{blank}\"{key}\"{blank}:{blank}{value}{blank}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

proptest! {
    #[test]
    fn the_scan_agrees_with_the_parser(
        fields in vec((key(), blank(), json()), 0..8),
        blank in blank(),
    ) {
        check(&format!("{blank}{}{blank}", written(&fields)));
    }

    #[test]
    fn a_renamed_body_is_the_body_with_another_name(
        fields in vec((key(), blank(), json()), 0..8),
        name in "\\PC{0,8}",
    ) {
        let body = written(&fields);
        let head = scan(body.as_bytes()).unwrap();
        let sent = rename(body.as_bytes(), &head, &name);
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        if let Some(model) = expected.get_mut("model") {
            *model = Value::from(name);
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), expected);
        let lengths: usize = head.models.iter().map(ExactSizeIterator::len).sum();
        let again = scan(&sent).unwrap();
        let others: usize = again.models.iter().map(ExactSizeIterator::len).sum();
        prop_assert_eq!(body.len() - lengths, sent.len() - others);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Some(head) = scan(&bytes) {
            let _renamed = rename(&bytes, &head, "m");
        }
    }

    #[test]
    fn no_damage_makes_it_panic(
        fields in vec((key(), blank(), json()), 0..6),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = written(&fields).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let (head, expected) = (scan(&body), parsed(&body));
        if expected.is_some() {
            prop_assert!(head.is_some());
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_at_any_distance(text in ".{0,60}", after in "[a-z\"]{0,9}") {
        let string = serde_json::to_string(&text).unwrap();
        let body = format!("{string}{after}");
        prop_assert_eq!(string_end(&body.as_bytes()[1..]), Some(string.len() - 1));
        prop_assert_eq!(string_end(&string.as_bytes()[1..string.len() - 1]), None);
    }
}
