//! Replies of every dialect as callers of every dialect are shown them, whole and streamed.

use wire::dialect::{DIALECTS, Dialect, Shown};
use wire::event::Event;

use crate::show::{cases, golden, legible, stream, streams};

fn shown() -> Shown {
    let echo = serde_json::value::RawValue::from_string("\"Be kind.\"".to_owned()).unwrap();
    Shown {
        id: "id_9".to_owned(),
        model: "alias".to_owned(),
        created: 1_795_219_200,
        wants_usage: true,
        echo: vec![("instructions".to_owned(), echo)],
    }
}

/// The cases that say something new about how replies are shown.
const CASES: [(&str, &[&str]); 5] = [
    ("anthropic", &["blocks", "max_tokens_in_call", "overloaded"]),
    ("openai_chat", &["refusal", "reasoning"]),
    ("gemini", &["blocks"]),
    ("cohere_chat", &["tools", "thinking", "error"]),
    ("bedrock_converse", &["blocks", "throttled"]),
];

fn is_case(dialect: &dyn Dialect, name: &str) -> bool {
    CASES.iter().any(|(held, names)| *held == dialect.name() && names.contains(&name))
}

#[test]
fn whole_replies_are_shown_in_every_dialect() {
    for from in DIALECTS {
        for (name, body) in cases(from.name(), "json") {
            let Some(reply) = from.read(&body).ok().filter(|_| is_case(*from, &name)) else {
                continue;
            };
            let mut text = String::new();
            for to in DIALECTS {
                let body = String::from_utf8(to.reply(&reply, &shown())).unwrap();
                text.push_str(&format!("to {}:\n{body}\n\n", to.name()));
            }
            golden(from.name(), &format!("{name}.shown"), &text);
        }
    }
}

#[test]
fn streamed_replies_are_shown_in_every_dialect() {
    for from in DIALECTS {
        for (name, body) in streams(*from).into_iter().filter(|(name, _)| is_case(*from, name)) {
            let (events, _) = stream(*from, [&body[..]]);
            let mut text = String::new();
            for to in DIALECTS {
                let (mut writer, mut out) = (to.writer(&shown()), Vec::new());
                for event in &events {
                    writer.write(event, &mut out);
                }
                text.push_str(&format!("to {} as {}:\n", to.name(), to.stream_type()));
                text.push_str(&format!("{}\n", legible(*to, &out)));
            }
            golden(from.name(), &format!("{name}.shown_stream"), &text);
        }
    }
}

#[test]
fn a_stream_that_begins_in_its_middle_is_still_one() {
    let events = [
        Event::Text { index: 0, text: "no block was opened".to_owned() },
        Event::Input { index: 7, json: "{".to_owned() },
        Event::Close { index: 9 },
        Event::Ping,
        Event::Fault(wire::Fault::new(wire::Code::UpstreamInvalid, "cut")),
    ];
    for dialect in DIALECTS {
        let (mut writer, mut out) = (dialect.writer(&shown()), Vec::new());
        for event in &events {
            writer.write(event, &mut out);
        }
        let (read, _) = stream(*dialect, [&out[..]]);
        let last = read.last().unwrap();
        assert!(matches!(last, Event::Fault(f) if f.chain().contains("cut")), "{last:?}");
    }
}
