//! Laws of the callers' direction: requests are read, answers and streams written, in any pair.

use crate::sent;
use proptest::prelude::*;
use wire::dialect::{DIALECTS, Dialect, Shown, named};
use wire::event::Event;
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop};
use wire::{Code, Fault};

use crate::show::{NAMELESS, TEXT_ONLY, cases, prompt, stream, streams};

fn shown() -> Shown {
    Shown {
        id: "r1".into(),
        model: "alias".into(),
        created: 1,
        wants_usage: true,
        ..Shown::default()
    }
}

/// Writes the events as a stream of the dialect.
fn written(dialect: &dyn Dialect, events: &[Event]) -> Vec<u8> {
    let mut writer = dialect.writer(&shown());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

fn done(events: &[Event]) -> Option<&Reply> {
    match events.last() {
        Some(Event::Done(reply)) => Some(reply),
        _ => None,
    }
}

#[test]
fn a_plain_request_is_the_same_prompt_in_every_dialect() {
    for dialect in DIALECTS.iter().filter(|dialect| !TEXT_ONLY.contains(&dialect.name())) {
        let mut asked = prompt(vec![
            Message::text(Role::User, "Hello"),
            Message::text(Role::Assistant, "Hi \"there\""),
            Message::text(Role::User, "Ünïcode?\n"),
        ]);
        asked.system = Some("be kind".into());
        asked.knobs.max_tokens = Some(9);
        asked.knobs.temperature = Some(0.5);
        asked.knobs.stop = vec!["END".into()];
        let written = dialect.render(&asked, true);
        if written.dropped == ["stop"] {
            asked.knobs.stop.clear();
        } else {
            assert_eq!(written.dropped, [""; 0], "{}", dialect.name());
        }
        let mut read = dialect.request(&sent(&written.body)).unwrap();
        if dialect.path_for("m", true) != dialect.path() {
            // There the model and the stream are in the path.
            read.prompt.model = "m".into();
            read.stream = dialect.path_for("m", true).contains("stream");
        }
        assert!(read.stream, "{}", dialect.name());
        assert_eq!(read.prompt.model, "m");
        assert_eq!(read.prompt.knobs.max_tokens, Some(9));
        assert_eq!(read.prompt.knobs.stop, asked.knobs.stop, "{}", dialect.name());
        // Some dialects have the instructions as a field, others as the first message.
        let said = read.prompt.messages.iter().map(Message::plain);
        let texts: Vec<String> = read.prompt.system.clone().into_iter().chain(said).collect();
        let expected = ["be kind", "Hello", "Hi \"there\"", "Ünïcode?\n"];
        assert_eq!(texts, expected, "{}", dialect.name());
        for other in DIALECTS {
            let json =
                |bytes: Vec<u8>| -> serde_json::Value { serde_json::from_slice(&bytes).unwrap() };
            assert_eq!(
                json(other.write(&read.prompt, true)),
                json(other.write(&asked, true)),
                "{} to {}",
                dialect.name(),
                other.name()
            );
        }
    }
}

#[test]
fn a_whole_answer_says_the_same_in_every_dialect() {
    let mut pairs = 0;
    for from in DIALECTS {
        for (name, body) in cases(from.name(), "json") {
            let Ok(reply) = from.read(&body) else { continue };
            for to in DIALECTS {
                let place = format!("{name}: {} to {}", from.name(), to.name());
                let again = to.read(&to.reply(&reply, &shown())).expect(&place);
                assert_eq!(again.message.plain(), reply.message.plain(), "{place}");
                assert_eq!(again.usage.prompt(), reply.usage.prompt(), "{place}");
                assert_eq!(again.usage.output, reply.usage.output, "{place}");
                let model = if NAMELESS.contains(&to.name()) { "" } else { "alias" };
                assert_eq!(again.model, model, "{place}");
                let has_tools = !TEXT_ONLY.contains(&to.name());
                if matches!(reply.stop, Stop::End | Stop::MaxTokens)
                    || (reply.stop == Stop::ToolUse && has_tools)
                {
                    assert_eq!(again.stop, reply.stop, "{place}");
                }
                pairs += 1;
            }
        }
    }
    assert!(pairs >= 8, "{pairs}");
}

#[test]
fn a_stream_says_the_same_in_every_dialect_at_every_cut() {
    for from in DIALECTS {
        for (name, body) in streams(*from) {
            let (events, _) = stream(*from, [&body[..]]);
            let Some(reply) = done(&events) else { continue };
            for to in DIALECTS {
                let place = format!("{name}: {} to {}", from.name(), to.name());
                if name == "bad_call" {
                    // Arguments that are no JSON are passed on as they come, and refused there.
                    continue;
                }
                let bytes = written(*to, &events);
                for cut in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len()] {
                    let (a, b) = bytes.split_at(cut);
                    let (again, _) = stream(*to, [a, b]);
                    let again = done(&again).unwrap_or_else(|| panic!("{place} at {cut}"));
                    assert_eq!(again.message.plain(), reply.message.plain(), "{place} at {cut}");
                    assert_eq!(again.usage.output, reply.usage.output, "{place} at {cut}");
                }
            }
        }
    }
}

#[test]
fn an_error_keeps_its_text_in_every_dialect() {
    let fault = Fault::new(Code::InvalidInput, "`max_tokens` must be 1 or more");
    for dialect in DIALECTS {
        let body = dialect.refuse(400, &fault);
        let read = dialect.fault(400, &|_| None, &body);
        assert!(read.text().contains("`max_tokens` must be 1 or more"), "{}", dialect.name());
        let mut out = Vec::new();
        dialect
            .writer(&shown())
            .write(&Event::Fault(Fault::new(Code::UpstreamUnavailable, "busy")), &mut out);
        let (events, _) = stream(*dialect, [&out[..]]);
        assert!(
            matches!(events.last(), Some(Event::Fault(f)) if f.chain().contains("busy")),
            "{events:?}"
        );
    }
}

#[test]
fn thoughts_and_signatures_are_for_their_owner_alone() {
    let anthropic = named("anthropic").unwrap();
    let body =
        br#"{"id":"m","type":"message","role":"assistant","model":"c","stop_reason":"end_turn",
        "content":[{"type":"thinking","thinking":"hm","signature":"c2VjcmV0"},
        {"type":"text","text":"yes"}],"usage":{"input_tokens":1,"output_tokens":2}}"#;
    let reply = anthropic.read(body).unwrap();
    let own = String::from_utf8(anthropic.reply(&reply, &shown())).unwrap();
    assert!(own.contains("c2VjcmV0"), "{own}");
    let other = named("openai_chat").unwrap();
    let theirs = String::from_utf8(other.reply(&reply, &shown())).unwrap();
    assert!(!theirs.contains("c2VjcmV0") && theirs.contains("yes"), "{theirs}");
    let next = prompt(vec![Message::text(Role::User, "a"), reply.message]);
    let sent = String::from_utf8(other.write(&next, false)).unwrap();
    assert!(!sent.contains("c2VjcmV0") && sent.contains("yes"), "{sent}");
}

proptest! {
    #[test]
    fn no_request_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for dialect in DIALECTS {
            drop(dialect.request(&sent(&bytes)));
        }
    }

    #[test]
    fn no_odd_value_makes_a_reader_panic(
        field in "(model|messages|system|tools|max_tokens|stop|stream|metadata|content|role)",
        value in prop::sample::select(vec![
            "null", "1", "-1", "1e99", "true", "\"x\"", "[]", "{}", "[1]", "[null]",
            "[{\"role\":1}]", "[{\"role\":\"user\",\"content\":[[]]}]",
            "[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\"}]}]",
        ]),
    ) {
        let body = format!("{{\"model\":\"m\",\"messages\":[],\"{field}\":{value}}}");
        for dialect in DIALECTS {
            drop(dialect.request(&sent(body.as_bytes())));
        }
    }
}
