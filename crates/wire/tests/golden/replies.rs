//! Replies as they are read, whole and streamed, and every stream at every cut.

use wire::dialect::{DIALECTS, Dialect, named};
use wire::event::Event;
use wire::prompt::{Message, Role};

use crate::show::{blocks, cases, events, fault, golden, message, prompt, reply, stream, streams};

#[test]
fn whole_replies_are_read() {
    for dialect in DIALECTS {
        for (name, body) in cases(dialect.name(), "json") {
            let text = match dialect.read(&body) {
                Ok(read) => reply(&read),
                Err(error) => fault(&error),
            };
            golden(dialect.name(), &format!("{name}.whole"), &text);
        }
    }
}

#[test]
fn token_counts_are_the_same_whether_a_reply_is_read_whole_or_not() {
    for dialect in DIALECTS {
        for (name, body) in cases(dialect.name(), "json") {
            let read = dialect.read(&body).ok().map(|reply| reply.usage);
            assert_eq!(dialect.usage(&body), read, "{} {name}", dialect.name());
        }
    }
}

#[test]
fn token_counts_are_those_of_the_reply_and_not_of_what_is_said_in_it() {
    let said = r#""usage\":{\"input_tokens\":9,\"prompt_tokens\":9},\"usage\":{}}""#;
    let counts = r#"{"input_tokens":3,"prompt_tokens":3,"usage":{"input_tokens":9}}"#;
    for (name, answer) in [
        ("anthropic", format!(r#""content":[{{"type":"text","text":{said},"usage":{counts}}}]"#)),
        (
            "openai_chat",
            format!(r#""choices":[{{"message":{{"content":{said}}},"usage":{{"n":1}}}}]"#),
        ),
        ("openai_completions", format!(r#""choices":[{{"text":{said},"usage":{{"n":1}}}}]"#)),
    ] {
        let dialect = named(name).unwrap();
        for body in [
            format!(r#"{{{answer},"usage":{counts}}}"#),
            format!(r#"{{"usage":{counts},{answer}}}"#),
            format!(r#"{{"us\u0061ge":{counts},{answer}}}"#),
            format!(r#"{{"usage":null,{answer}}}"#),
            format!(r#"{{"usage":{counts},"usage":{counts},{answer}}}"#),
            format!(r#"{{{answer}}}"#),
        ] {
            let body = body.as_bytes();
            let read = dialect.read(body).ok().map(|reply| reply.usage);
            assert_eq!(dialect.usage(body), read, "{name}");
        }
        let body = format!(r#"{{{answer},"usage":{counts}}}"#);
        assert_eq!(dialect.usage(body.as_bytes()).unwrap().input, 3, "{name}");
    }
}

#[test]
fn streamed_replies_are_read() {
    for dialect in DIALECTS {
        for (name, body) in streams(*dialect) {
            let (read, partial) = stream(*dialect, [&body[..]]);
            let partial = partial.map_or_else(|| "nothing\n".to_owned(), |m| message(&m));
            let text = format!("{}\nworth keeping before the end:\n{partial}", events(&read));
            golden(dialect.name(), &format!("{name}.stream"), &text);
        }
    }
}

#[test]
fn a_stream_gives_the_same_events_at_every_cut() {
    for dialect in DIALECTS {
        for (name, body) in streams(*dialect) {
            let expected = events(&stream(*dialect, [&body[..]]).0);
            for cut in 0..=body.len() {
                let (a, b) = body.split_at(cut);
                assert_eq!(events(&stream(*dialect, [a, b]).0), expected, "{name} cut at {cut}");
            }
            let bytes = stream(*dialect, body.chunks(1)).0;
            assert_eq!(events(&bytes), expected, "{name} byte by byte");
            if dialect.stream_type() == "application/vnd.amazon.eventstream" {
                // Frames have no lines.
                continue;
            }
            let crlf = String::from_utf8(body).unwrap().replace('\n', "\r\n");
            let read = stream(*dialect, [crlf.as_bytes()]).0;
            assert_eq!(events(&read), expected, "{name} with CRLF");
        }
    }
}

#[test]
fn a_stream_ends_with_exactly_one_last_event_wherever_it_is_cut_off() {
    for dialect in DIALECTS {
        for (name, body) in streams(*dialect) {
            for end in 0..=body.len() {
                let (read, partial) = stream(*dialect, [&body[..end]]);
                let is_last = |e: &Event| matches!(e, Event::Done(_) | Event::Fault(_));
                let count = read.iter().filter(|event| is_last(event)).count();
                assert_eq!(count, 1, "{name} cut off at {end}");
                assert!(is_last(read.last().unwrap()), "{name} cut off at {end}");
                assert!(partial.is_none_or(|m| !m.blocks.is_empty()), "{name} cut off at {end}");
            }
        }
    }
}

#[test]
fn nothing_comes_after_the_last_event() {
    for dialect in DIALECTS {
        for (name, body) in streams(*dialect) {
            let (mut reader, mut out) = (dialect.stream(), Vec::new());
            reader.push(&body, &mut out);
            reader.finish(&mut out);
            let count = out.len();
            reader.push(&body, &mut out);
            reader.finish(&mut out);
            assert_eq!(out.len(), count, "{name}");
        }
    }
}

#[test]
fn a_streamed_reply_is_the_reply_it_would_have_been_whole() {
    for (dialect, name) in [
        ("anthropic", "text"),
        ("anthropic", "blocks"),
        ("openai_chat", "text"),
        ("openai_chat", "tools"),
        ("openai_chat", "length_in_call"),
        ("openai_responses", "text"),
        ("openai_responses", "blocks"),
        ("openai_responses", "length_in_call"),
        ("gemini", "text"),
        ("gemini", "max_tokens"),
        ("ollama_chat", "text"),
        ("ollama_chat", "tools"),
        ("ollama_generate", "thinking"),
        ("cohere_chat", "text"),
        ("cohere_chat", "tools"),
        ("cohere_chat", "thinking"),
        ("cohere_chat", "citations"),
        ("cohere_chat", "length_in_call"),
        ("bedrock_converse", "text"),
        ("bedrock_converse", "blocks"),
        ("bedrock_converse", "citations"),
        ("bedrock_converse", "max_tokens"),
    ] {
        let dialect = named(dialect).unwrap();
        let (streamed, whole) = (done(dialect, name), dialect.read(&body(dialect, name, "json")));
        let mut whole = whole.unwrap();
        if dialect.name() == "openai_chat" && name == "length_in_call" {
            whole.usage = streamed.usage;
        }
        assert_eq!(reply(&streamed), reply(&whole), "{name}");
    }
}

#[test]
fn a_claude_reply_goes_back_with_exactly_its_bytes() {
    let dialect = named("anthropic").unwrap();
    let body = body(dialect, "blocks", "json");
    let text = std::str::from_utf8(&body).unwrap();
    let (_, content) = text.split_once(r#""content":"#).unwrap();
    let (content, _) = content.split_once(r#","stop_reason""#).unwrap();
    let read = dialect.read(&body).unwrap().message;
    let raw = read.raw.clone().unwrap();
    assert_eq!(raw.json.get(), content);
    // Stored and read back, it is the same message.
    let stored = dialect.message(Role::Assistant, raw).unwrap();
    assert_eq!(blocks(&stored), blocks(&read));
    let written = dialect.write(&prompt(vec![Message::text(Role::User, "?"), stored]), true);
    let written = String::from_utf8(written).unwrap();
    assert!(written.contains(&format!(r#"{{"role":"assistant","content":{content}}}"#)));
}

fn body(dialect: &dyn Dialect, name: &str, extension: &str) -> Vec<u8> {
    let found = cases(dialect.name(), extension).into_iter().find(|(case, _)| case == name);
    found.unwrap().1
}

fn done(dialect: &dyn Dialect, name: &str) -> wire::reply::Reply {
    let (_, streamed) = streams(dialect).into_iter().find(|(case, _)| case == name).unwrap();
    let (read, _) = stream(dialect, [&streamed[..]]);
    match read.into_iter().last().unwrap() {
        Event::Done(reply) => *reply,
        other => panic!("{name} ends with {other:?}"),
    }
}
