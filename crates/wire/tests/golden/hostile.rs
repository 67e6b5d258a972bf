//! Input that nobody should send: huge, deep, twofold, half. Nothing panics, nothing is lost.

use crate::sent;
use serde_json::Value;
use wire::dialect::{DIALECTS, Dialect, Shown, named, rename, scan};
use wire::event::{Event, Part};
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop, Usage};

use crate::show::{events, prompt, stream, streams};

/// The text as a stream of the dialect, in one single event.
fn in_one_event(dialect: &dyn Dialect, text: &str) -> Vec<u8> {
    let (mut writer, mut out) = (dialect.writer(&Shown::default()), Vec::new());
    let (id, model) = ("r".to_owned(), "m".to_owned());
    let reply = Reply {
        id: id.clone(),
        model: model.clone(),
        message: Message::text(Role::Assistant, text),
        stop: Stop::End,
        usage: Usage::default(),
        confidence: None,
    };
    for event in [
        Event::Start { id, model, usage: Usage::default() },
        Event::Open { index: 0, part: Part::Text },
        Event::Text { index: 0, text: text.to_owned() },
        Event::Close { index: 0 },
        Event::Done(Box::new(reply)),
    ] {
        writer.write(&event, &mut out);
    }
    out
}

fn read(dialect: &dyn Dialect, bytes: &[u8], size: usize) -> Vec<Event> {
    stream(dialect, bytes.chunks(size)).0
}

#[test]
fn five_megabytes_in_one_event_come_through_whole() {
    let text = "größe ".repeat(5 * 1024 * 1024 / 8);
    for dialect in DIALECTS {
        let bytes = in_one_event(*dialect, &text);
        match read(*dialect, &bytes, 16_381).pop() {
            Some(Event::Done(reply)) => {
                assert!(reply.message.plain() == text, "{}", dialect.name());
            }
            other => panic!("{}: {:?}", dialect.name(), other.map(|_| "no reply")),
        }
    }
}

#[test]
fn an_event_beyond_every_measure_is_refused() {
    let text = "x".repeat(17 << 20);
    for name in ["openai_chat", "ollama_chat", "bedrock_converse"] {
        let dialect = named(name).unwrap();
        let bytes = in_one_event(dialect, &text);
        match read(dialect, &bytes, 1 << 16).pop() {
            Some(Event::Fault(fault)) => assert!(fault.chain().contains("larger than"), "{fault}"),
            other => panic!("{name}: {:?}", other.map(|_| "no fault")),
        }
    }
}

/// Bodies that open more than any parser should follow.
fn deep(count: usize) -> Vec<String> {
    let around = |open: &str, close: &str, inner: &str| {
        format!("{}{inner}{}", open.repeat(count), close.repeat(count))
    };
    let result = around(r#"{"type":"tool_result","tool_use_id":"t","content":["#, "]}", "");
    let called = around(r#"{"toolResult":{"toolUseId":"t","content":["#, "]}}", "");
    let list = around("[", "]", "");
    let object = around(r#"{"a":"#, "}", "1");
    let detail = around(r#"{"detail":"#, "}", "\"x\"");
    let error = around(r#"{"error":"#, "}", "\"x\"");
    let turn = |role: &str, content: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"{role}","content":{content}}}],"input":{content},
            "contents":[{{"role":"user","parts":{content}}}],"prompt":{content}}}"#
        )
    };
    let schema = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],
        "tools":[{{"type":"function","function":{{"name":"f","parameters":{object}}},
        "name":"f","input_schema":{object}}}]}}"#
    );
    vec![
        turn("user", &format!("[{result}]")),
        turn("user", &format!("[{called}]")),
        turn("assistant", &list),
        turn("user", &object),
        schema,
        list,
        object,
        detail,
        error,
        "[".repeat(count),
        r#"{"a":"#.repeat(count),
    ]
}

#[test]
fn what_nests_without_end_breaks_no_reader() {
    for body in deep(30_000).iter().chain(&deep(200)) {
        for dialect in DIALECTS {
            let bytes = body.as_bytes();
            assert!(
                dialect.request(&sent(bytes)).is_err(),
                "{} takes {} bytes",
                dialect.name(),
                body.len()
            );
            drop(scan(bytes));
            drop(dialect.read(bytes));
            let fault = dialect.fault(400, &|_| None, bytes);
            assert!(fault.text().len() < 1000);
            let framed = format!("data: {body}\n\n");
            read(*dialect, framed.as_bytes(), 4096);
            read(*dialect, format!("{body}\n").as_bytes(), 4096);
        }
    }
    // What nests as deep as people write is read.
    let schema = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    let body = format!(
        r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"x"}}],
        "tools":[{{"name":"f","input_schema":{schema}}}]}}"#
    );
    assert!(named("anthropic").unwrap().request(&sent(body.as_bytes())).is_ok());
}

/// Numbers that no `f64` holds, a key twice, an escape that could be shorter, blanks.
const ODD: &str = r#"{"n":9007199254740993,"x":1e400, "z":-0.0,"n":1.00,"\u0061":"\/"}"#;

#[test]
fn odd_arguments_reach_every_dialect_to_the_byte() {
    let call =
        |field: &str| format!(r#"{{"type":"tool_use","id":"t1","name":"f","{field}":{ODD}}}"#);
    let ask = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"?"}},
        {{"role":"assistant","content":[{}]}},{{"role":"user","content":[{{"type":"tool_result",
        "tool_use_id":"t1","content":"ok"}}]}}],"house":{ODD}}}"#,
        call("input")
    );
    let asked = named("anthropic").unwrap().request(&sent(ask.as_bytes())).unwrap();
    let quoted = serde_json::to_string(ODD).unwrap();
    for to in DIALECTS {
        let sent = String::from_utf8(to.write(&asked.prompt, false)).unwrap();
        let text_only = quoted.trim_matches('"');
        let is_there = sent.contains(ODD) || sent.contains(text_only);
        assert!(is_there, "{}: {sent}", to.name());
    }
    let own = String::from_utf8(named("anthropic").unwrap().write(&asked.prompt, false)).unwrap();
    assert!(own.contains(&format!(r#""house":{ODD}"#)), "{own}");
}

#[test]
fn renaming_a_model_touches_nothing_else_of_the_oddest_body() {
    let body = format!(
        "\u{feff}{}",
        r#"{"model":"a","big":9007199254740993,"inf":1e400,"x":"\ud800","x":{"model":"a"},
        "deep":[[[[[{}]]]]], "model" : "b" , "t":"\u0000\u2028"}"#
    );
    assert!(scan(body.as_bytes()).is_none(), "a mark of byte order is no JSON");
    let body = body.trim_start_matches('\u{feff}');
    let head = scan(body.as_bytes()).unwrap();
    assert_eq!(head.model.as_deref(), Some("b"));
    let sent = String::from_utf8(rename(body.as_bytes(), &head, "c\"d")).unwrap();
    let own = body.replacen(r#""model":"a""#, r#""model":"c\"d""#, 1);
    assert_eq!(sent, own.replacen(r#""model" : "b""#, r#""model" : "c\"d""#, 1));
}

#[test]
fn half_a_character_is_shown_as_such_and_the_rest_is_kept() {
    let whole = |content: &str| {
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":0,"finish_reason":"stop",
            "message":{{"role":"assistant","content":"{content}"}}}}]}}"#
        )
    };
    let openai = named("openai_chat").unwrap();
    for (escaped, expected) in [
        (r"a\ud83dz", "a\u{fffd}z"),
        (r"a\ude00", "a\u{fffd}"),
        (r"\ud83d\ud83d\ude00\n\u00e9", "\u{fffd}\u{1f600}\né"),
        (r"\ud83d\n", "\u{fffd}\n"),
    ] {
        let reply = openai.read(whole(escaped).as_bytes()).unwrap();
        assert_eq!(reply.message.plain(), expected);
        let chunk = format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{escaped}\"}},\"finish_reason\":\"stop\"}}]}}\n\n\
             data: [DONE]\n\n"
        );
        match read(openai, chunk.as_bytes(), 7).pop() {
            Some(Event::Done(reply)) => assert_eq!(reply.message.plain(), expected),
            other => panic!("{other:?}"),
        }
        let ask =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{escaped}"}}]}}"#);
        let asked = openai.request(&sent(ask.as_bytes())).unwrap();
        assert_eq!(asked.prompt.messages[0].plain(), expected);
    }
}

#[test]
fn every_mix_of_line_ends_gives_the_same_events() {
    for dialect in DIALECTS.iter().filter(|d| d.stream_type() == "text/event-stream") {
        for (name, body) in streams(*dialect) {
            let text = String::from_utf8(body).unwrap();
            let expected = events(&read(*dialect, text.as_bytes(), text.len().max(1)));
            let mut mixed = String::new();
            for (turn, line) in text.split_inclusive('\n').enumerate() {
                let Some(line) = line.strip_suffix('\n') else {
                    mixed.push_str(line);
                    continue;
                };
                let end = ["\n", "\r\n", "\r"][turn % 3];
                // After CR a bare LF would end the same line.
                let is_one = line.is_empty() && mixed.ends_with('\r') && end == "\n";
                mixed.push_str(line);
                mixed.push_str(if is_one { "\r\n" } else { end });
            }
            for other in [text.replace('\n', "\r"), mixed] {
                for size in [1, 3, other.len().max(1)] {
                    let read = events(&read(*dialect, other.as_bytes(), size));
                    assert_eq!(read, expected, "{name} in {} by {size}", dialect.name());
                }
            }
        }
    }
}

#[test]
fn unknown_roles_are_refused_and_unknown_fields_are_kept() {
    for dialect in DIALECTS {
        let name = dialect.name();
        let messages = match name {
            "gemini" => r#""contents":[{"role":"wizard","parts":[{"text":"x"}]}]"#,
            "openai_responses" => r#""input":[{"role":"wizard","content":"x"}]"#,
            "bedrock_converse" => r#""messages":[{"role":"wizard","content":[{"text":"x"}]}]"#,
            "ollama_generate" | "openai_completions" => continue,
            _ => r#""messages":[{"role":"wizard","content":"x"}]"#,
        };
        let fault = dialect.request(&sent(format!(r#"{{"model":"m",{messages}}}"#).as_bytes()));
        let fault = fault.expect_err(name);
        assert!(fault.text().contains("role"), "{name}: {fault}");
    }
    for dialect in DIALECTS {
        let body = dialect.write(&prompt(vec![Message::text(Role::User, "x")]), false);
        let body = String::from_utf8(body).unwrap();
        let body = body.replacen('{', &format!(r#"{{"some_new_field": {ODD},"#), 1);
        let asked = dialect.request(&sent(body.as_bytes())).unwrap();
        let sent = String::from_utf8(dialect.write(&asked.prompt, false)).unwrap();
        assert!(sent.contains(&format!(r#""some_new_field":{ODD}"#)), "{}", dialect.name());
        assert_eq!(asked.unknown, ["some_new_field"], "{}", dialect.name());
    }
}

#[test]
fn what_is_no_text_reaches_no_reader_as_one() {
    for dialect in DIALECTS {
        let mut body = dialect.write(&prompt(vec![Message::text(Role::User, "grün")]), false);
        let at = body.iter().position(|byte| *byte == 0xc3).unwrap();
        body[at] = 0xff;
        assert!(dialect.request(&sent(&body)).is_err(), "{}", dialect.name());
        body.truncate(at);
        assert!(dialect.request(&sent(&body)).is_err(), "{}", dialect.name());
        let answer = String::from_utf8(dialect.write(&prompt(Vec::new()), false)).unwrap();
        assert!(serde_json::from_str::<Value>(&answer).is_ok());
    }
}
