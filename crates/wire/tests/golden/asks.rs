//! Callers' requests as they are read, and as every dialect sends them on.

use crate::sent;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::dialect::{Asked, DIALECTS, Dialect, rename, scan};
use wire::prompt::{Block, Prompt};

use crate::show::{TEXT_ONLY, blocks, cases, golden};

/// The requests of all dialects, parsed.
static ASKS: LazyLock<Vec<(&'static dyn Dialect, Value)>> = LazyLock::new(|| {
    let all = DIALECTS.iter().flat_map(|dialect| {
        let asks = cases(dialect.name(), "ask").into_iter();
        asks.map(|(_, body)| (*dialect, serde_json::from_slice(&body).unwrap()))
    });
    all.collect()
});

/// Every value inside of this one, and itself.
fn places<'a>(value: &'a mut Value, at: &mut usize, place: usize) -> Option<&'a mut Value> {
    if *at == place {
        return Some(value);
    }
    *at += 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| places(item, at, place)),
        Value::Object(fields) => fields.values_mut().find_map(|field| places(field, at, place)),
        _ => None,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Values that few readers expect.
fn odd() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{1f600}\""),
        json!([]),
        json!([[]]),
        json!([null, 1, "x", {}]),
        json!({}),
        json!({"type": "text"}),
        json!({"type": "tool_use", "id": 1, "name": []}),
        json!([{"role": "assistant", "content": [{"type": "thinking"}]}]),
        json!([{"functionCall": {"name": "x", "args": []}}]),
    ])
}

fn read(dialect: &dyn Dialect, name: &str, body: &[u8]) -> Asked {
    let place = format!("{name} in {}", dialect.name());
    let mut asked = dialect.request(&sent(body)).expect(&place);
    if asked.prompt.model.is_empty() {
        // There the model and the stream are in the path.
        let is_gemini = dialect.name() == "gemini";
        asked.prompt.model = if is_gemini { "gemini-3-x" } else { "a.claude-x-v1:0" }.into();
        asked.stream = true;
    }
    asked
}

fn prompt(prompt: &Prompt) -> String {
    let mut out = format!("model {}\nsystem {:?}\n", prompt.model, prompt.system);
    for message in &prompt.messages {
        let has_raw = if message.raw.is_some() { ", raw" } else { "" };
        out.push_str(&format!("{}{has_raw}:\n{}", message.role.as_str(), blocks(message)));
    }
    for tool in &prompt.tools {
        let (name, hosted, schema) = (&tool.name, &tool.hosted, &tool.schema);
        out.push_str(&format!("tool {name} {:?} {:?}", tool.description, tool.strict));
        out.push_str(&format!(" hosted {hosted:?} {schema}\n"));
    }
    let private = prompt.private.iter().flat_map(|private| &private.fields);
    for field in private {
        let mark = if field.is_carried { "carried" } else { "private" };
        out.push_str(&format!("{mark} {} {}\n", field.name, field.json));
    }
    out + &format!("{:?}\n", prompt.knobs)
}

fn asked(asked: &Asked) -> String {
    let mut out = prompt(&asked.prompt);
    out.push_str(&format!("stream {} usage {}", asked.stream, asked.wants_usage));
    out.push_str(&format!(" store {:?} link {:?}\n", asked.store, asked.link));
    out.push_str(&format!("unknown {:?} dropped {:?}\n", asked.unknown, asked.dropped));
    let echo: Vec<&str> = asked.echo.iter().map(|(name, _)| name.as_str()).collect();
    out + &format!("echo {echo:?}\n")
}

#[test]
fn requests_are_read_and_sent_on_in_every_dialect() {
    for dialect in DIALECTS {
        for (name, body) in cases(dialect.name(), "ask") {
            let read = read(*dialect, &name, &body);
            let mut text = asked(&read);
            for to in DIALECTS {
                let written = to.render(&read.prompt, read.stream);
                let body = String::from_utf8(written.body).unwrap();
                let parsed: Value = serde_json::from_str(&body).unwrap();
                assert!(parsed.is_object(), "{body}");
                text.push_str(&format!("\nto {}, without {:?}:\n", to.name(), written.dropped));
                text.push_str(&format!("{body}\n"));
            }
            golden(dialect.name(), &format!("{name}.ask"), &text);
        }
    }
}

#[test]
fn a_request_sent_on_in_its_own_dialect_says_the_same() {
    for dialect in DIALECTS.iter().filter(|dialect| !TEXT_ONLY.contains(&dialect.name())) {
        let all = cases(dialect.name(), "ask");
        let (name, body) = all.into_iter().find(|(name, _)| name == "rich").unwrap();
        let read = read(*dialect, &name, &body);
        let written = dialect.render(&read.prompt, read.stream);
        assert_eq!(written.dropped, [""; 0], "{}", dialect.name());
        let sent: Value = serde_json::from_slice(&written.body).unwrap();
        let mut given: Value = serde_json::from_slice(&body).unwrap();
        // What the request goes on with is for us to look up.
        given.as_object_mut().unwrap().shift_remove("previous_response_id");
        for (field, value) in given.as_object().unwrap() {
            assert_eq!(&sent[field], value, "{field} in {}", dialect.name());
        }
        assert_eq!(sent.as_object().unwrap().len(), given.as_object().unwrap().len());
    }
}

#[test]
fn the_same_dialect_in_and_out_changes_no_byte_but_the_models_name() {
    let mut count = 0;
    for dialect in DIALECTS {
        for (name, body) in cases(dialect.name(), "ask") {
            let place = format!("{name} in {}", dialect.name());
            let head = scan(&body).expect(&place);
            let asked = dialect.request(&sent(&body)).unwrap();
            assert_eq!(head.model.clone().unwrap_or_default(), asked.prompt.model, "{place}");
            assert_eq!(head.link, asked.link, "{place}");
            let streams = dialect.stream_type() == "application/x-ndjson";
            assert_eq!(head.stream.unwrap_or(streams), asked.stream, "{place}");
            let sent = String::from_utf8(rename(&body, &head, "other")).unwrap();
            let given = String::from_utf8(body).unwrap();
            let own = format!("\"model\": \"{}\"", asked.prompt.model);
            assert_eq!(sent, given.replace(&own, "\"model\": \"other\""), "{place}");
            count += usize::from(sent != given);
        }
    }
    assert!(count >= 7, "{count} bodies have a model's name");
}

#[test]
fn of_a_field_that_stands_twice_the_last_counts_for_the_scan_and_the_reader() {
    let messages = r#""messages":[{"role":"user","content":"hi"}],"max_tokens":1"#;
    for fields in [
        r#""model":"a","model":"b","stream":true,"stream":false"#,
        r#""model":1,"model":"b","stream":1,"stream":null"#,
        r#""metadata":{"context_id":"c"},"model":"b","metadata":{"a":"b"}"#,
        r#""metadata":{},"model":"b","metadata":{"context_id":"c"}"#,
    ] {
        for dialect in
            DIALECTS.iter().filter(|dialect| dialect.path_for("m", false).ends_with(dialect.path()))
        {
            let input = if dialect.name() == "openai_responses" { "input" } else { "prompt" };
            let body = format!(r#"{{{messages},"{input}":"hi",{fields}}}"#);
            let (head, asked) = (scan(body.as_bytes()), dialect.request(&sent(body.as_bytes())));
            let (head, asked) = (head.unwrap(), asked.unwrap());
            assert_eq!(head.model.as_deref(), Some("b"), "{body}");
            assert_eq!(asked.prompt.model, "b", "{} {body}", dialect.name());
            assert_eq!(head.link, asked.link, "{} {body}", dialect.name());
        }
    }
    let body = br#"{"model":"a","messages":[],"model":null,"input":"x","prompt":"x"}"#;
    for name in ["anthropic", "openai_chat", "openai_responses", "ollama_chat"] {
        let fault = wire::dialect::named(name).unwrap().request(&sent(body)).unwrap_err();
        assert_eq!(fault.code(), wire::Code::MissingField, "{name}");
    }
}

#[test]
fn what_is_private_to_a_provider_reaches_no_other() {
    let secrets = ["EqQB+/=", "gAAA+/=", "c2ln", "file-1", "files/f1"];
    for dialect in DIALECTS {
        for (name, body) in cases(dialect.name(), "ask") {
            let read = read(*dialect, &name, &body);
            for to in DIALECTS.iter().filter(|to| to.name() != dialect.name()) {
                let sent = String::from_utf8(to.write(&read.prompt, false)).unwrap();
                for secret in secrets {
                    let place = format!("{name}: {} to {}", dialect.name(), to.name());
                    assert!(!sent.contains(secret), "{secret} in {place}: {sent}");
                }
            }
            for message in read.prompt.messages {
                let public = message.without_private();
                let is_private = |b: &Block| matches!(b, Block::Thinking { .. });
                assert!(!public.blocks.iter().any(is_private), "{name}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_request_with_an_odd_value_is_refused_or_sent_on(
        case in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        odd in odd(),
    ) {
        let (dialect, mut body) = case.get(&ASKS).clone();
        let place = place.index(count(&body));
        *places(&mut body, &mut 0, place).unwrap() = odd;
        match dialect.request(&sent(body.to_string().as_bytes())) {
            Ok(asked) => {
                for to in DIALECTS {
                    let sent = to.write(&asked.prompt, true);
                    prop_assert!(serde_json::from_slice::<Value>(&sent).unwrap().is_object());
                }
            }
            Err(fault) => prop_assert_eq!(fault.blame(), wire::Blame::Caller, "{}", fault),
        }
    }

    #[test]
    fn a_damaged_request_makes_no_reader_panic(
        case in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (dialect, body) = case.get(&ASKS);
        let mut body = body.to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(asked) = dialect.request(&sent(&body)) {
            prop_assert!(scan(&body).is_some(), "{:?}", asked.prompt.model);
        }
    }
}
