//! Laws that hold for any input: nothing panics, nothing is lost, nothing written moves.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use wire::dialect::{DIALECTS, named};
use wire::event::Event;
use wire::frame::lines::{Item, Splitter};
use wire::frame::sse::{Decoder, SseEvent, encode};
use wire::prompt::{Block, Message, Role};

use crate::show::{TEXT_ONLY, events, prompt, stream, streams};

const LIMIT: usize = 256;

/// The streams of all dialects; each dialect is fed the others' too.
static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let all = DIALECTS.iter().flat_map(|dialect| streams(*dialect));
    all.map(|(_, body)| body).collect()
});

fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Item> {
    let (mut splitter, mut out) = (Splitter::new(LIMIT), Vec::new());
    for piece in pieces {
        splitter.push(piece, &mut out);
    }
    out.extend(splitter.finish());
    out
}

/// Bytes that say something to a splitter.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"{}[]\",:\\\n\r\0 \ta1-u\xc3\xa9".to_vec());
    vec(byte, 0..200)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z{}\\[\\]\"\\\\\n\u{e9}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-c\"]{1,3}", inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

/// The parts of an event: name, id, data.
fn event() -> impl Strategy<Value = (Option<String>, Option<u64>, String)> {
    (prop::option::of("[a-z ]{1,8}"), any::<Option<u64>>(), "\\PC*|(a|\n|\r)*")
}

/// What a connection may say, as its bytes and the item that must come of it.
fn said() -> impl Strategy<Value = (String, Item)> {
    let value = json().prop_filter("a container", |v| v.is_array() || v.is_object());
    let ends = prop::sample::select(vec!["", "\n", "\r\n", " \n\n", "\r\0\n"]);
    prop_oneof![
        (value, any::<bool>(), ends).prop_map(|(value, pretty, end)| {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            (format!("{text}{end}"), Item::Json(text.into()))
        }),
        ("[A-Za-z5\"][ -~]{0,20}[!-~]", prop::sample::select(vec!["\n", "\r\n", "\r\0\n"]))
            .prop_filter("no greeting", |(text, _)| !text.starts_with("MCP/"))
            .prop_map(|(text, end)| (format!("{text}{end}"), Item::Line(text.into()))),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::System, Role::User, Role::Assistant, Role::Tool])
}

fn block() -> impl Strategy<Value = Block> {
    let id = || prop::sample::select(vec!["a", "b", "c.d"]).prop_map(str::to_owned);
    let raw = |value: Value| RawValue::from_string(value.to_string()).unwrap();
    prop_oneof![
        "[ a-c\n\u{e9}\"]{0,6}".prop_map(|text| Block::Text(text.into())),
        Just(Block::Thinking { text: "hm".to_owned(), signature: None }),
        (id(), json()).prop_map(move |(id, value)| Block::ToolUse {
            id,
            name: "tool".to_owned(),
            input: raw(value)
        }),
        (id(), "[a-c]{0,3}", any::<bool>()).prop_map(|(id, content, is_error)| Block::ToolResult {
            id,
            content,
            is_error
        }),
        Just(Block::Other { kind: "image".to_owned() }),
    ]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let message = (role(), vec(block(), 0..4));
    vec(message.prop_map(|(role, blocks)| Message { role, blocks, raw: None }), 1..8)
}

/// The calls that are still open at the end, after checking that every other one has its result in
/// the next message and that every result has its call.
fn unanswered(calls_and_results: Vec<(Vec<String>, Vec<String>)>) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for (calls, results) in calls_and_results {
        for id in &results {
            let at = open.iter().position(|call| call == id);
            open.remove(at.unwrap_or_else(|| panic!("no call for the result of {id}")));
        }
        if results.is_empty() {
            assert_eq!(open, Vec::<String>::new(), "the conversation goes on without results");
        }
        open.extend(calls);
    }
    open
}

fn ids(list: &Value, kind: &str, field: &str) -> Vec<String> {
    let of = |item: &Value| {
        let fits = item["type"] == kind;
        fits.then(|| item[field].as_str().unwrap().to_owned())
    };
    let mut ids: Vec<String> = list.as_array().into_iter().flatten().filter_map(of).collect();
    // An id twice in one message is the caller's own mistake.
    ids.sort();
    ids.dedup();
    ids
}

proptest! {
    #[test]
    fn a_splitter_does_not_depend_on_cuts(bytes in lines(), cut in 0..200_usize) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let whole = split([&bytes[..]]);
        prop_assert_eq!(&split([a, b]), &whole);
        prop_assert_eq!(&split(bytes.chunks(1)), &whole);
    }

    #[test]
    fn a_splitter_keeps_every_byte_that_is_no_blank(bytes in lines()) {
        let text: String = String::from_utf8_lossy(&bytes).replace(['\0', '\u{fffd}'], "");
        let mut kept = String::new();
        for item in split([text.as_bytes()]) {
            match item {
                Item::Json(item) | Item::Line(item) => {
                    kept.push_str(std::str::from_utf8(&item).unwrap());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let dense = |text: &str| text.split_ascii_whitespace().collect::<String>();
        prop_assert_eq!(dense(&kept), dense(&text));
    }

    #[test]
    fn a_splitter_gives_what_was_said(said in vec(said(), 0..8), size in 1..64_usize) {
        let bytes: String = said.iter().map(|(text, _)| text.as_str()).collect();
        let expected: Vec<Item> = said.into_iter().map(|(_, item)| item).collect();
        prop_assume!(expected.iter().all(|item| match item {
            Item::Json(text) | Item::Line(text) => text.len() <= LIMIT,
            _ => false,
        }));
        prop_assert_eq!(split(bytes.as_bytes().chunks(size)), expected);
    }

    #[test]
    fn an_item_is_never_longer_than_the_limit(bytes in vec(any::<u8>(), 0..2000)) {
        for item in split([&bytes[..]]) {
            if let Item::Json(text) | Item::Line(text) = item {
                prop_assert!(text.len() <= LIMIT);
            }
        }
    }

    #[test]
    fn written_events_are_read_back(
        given in vec(event(), 0..6),
        size in 1..40_usize,
    ) {
        let bytes: Vec<u8> = given
            .iter()
            .flat_map(|(event, id, data)| encode(event.as_deref(), *id, data).to_vec())
            .collect();
        let (mut decoder, mut out) = (Decoder::new(1 << 16), Vec::new());
        for piece in bytes.chunks(size) {
            decoder.push(piece, &mut out).unwrap();
        }
        let expected: Vec<SseEvent> = given
            .into_iter()
            .map(|(event, id, data)| SseEvent {
                event,
                data: data.replace("\r\n", "\n").replace('\r', "\n"),
                id: id.map(|id| id.to_string()),
            })
            .collect();
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn no_reader_panics_on_bytes(bytes in vec(any::<u8>(), 0..400), status in any::<u16>()) {
        for dialect in DIALECTS {
            let read = dialect.read(&bytes).is_err();
            prop_assert!(read || serde_json::from_slice::<Value>(&bytes).is_ok());
            let (read, _) = stream(*dialect, [&bytes[..]]);
            prop_assert!(matches!(read.last(), Some(Event::Done(_) | Event::Fault(_))));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let fault = dialect.fault(status, &|_| Some(text.clone()), &bytes);
            prop_assert!(!fault.text().is_empty());
        }
    }

    #[test]
    fn no_reader_panics_on_a_damaged_stream(
        case in any::<prop::sample::Index>(),
        reader in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let dialect = *reader.get(DIALECTS);
        let mut body = case.get(&STREAMS).clone();
        for (at, byte) in &damage {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = *byte;
            }
        }
        let whole = stream(dialect, [&body[..]]).0;
        let bytes = stream(dialect, body.chunks(1)).0;
        let text = events(&whole);
        // A page is told from its beginning, which is shorter in one piece than in many.
        if !text.contains("did not send an event stream") {
            prop_assert_eq!(text, events(&bytes));
        }
    }

    #[test]
    fn a_message_more_moves_nothing_that_was_written(messages in messages()) {
        for dialect in DIALECTS.iter().filter(|dialect| !TEXT_ONLY.contains(&dialect.name())) {
            let write = |count: usize| {
                let prompt = prompt(messages[..count].to_vec());
                String::from_utf8(dialect.write(&prompt, false)).unwrap()
            };
            // Messages of the system that stand first are the system prompt.
            let first = messages.iter().take_while(|m| m.role == Role::System).count();
            for count in first + 1..messages.len() {
                let (shorter, longer) = (write(count), write(count + 1));
                // Who wants tools declared that were called declares them after the messages.
                let begun = shorter.split(r#","toolConfig":"#).next().unwrap_or_default();
                let begun = begun.trim_end_matches([']', '}']);
                prop_assert!(longer.starts_with(begun), "{shorter}\n{longer}");
            }
        }
    }

    #[test]
    fn the_same_prompt_gives_the_same_bytes(messages in messages()) {
        for dialect in DIALECTS {
            let (a, b) = (prompt(messages.clone()), prompt(messages.clone()));
            prop_assert_eq!(dialect.write(&a, true), dialect.write(&b, true));
        }
    }

    #[test]
    fn what_is_written_has_no_orphans(messages in messages()) {
        let written = |at: usize| -> Vec<Value> {
            let body = DIALECTS[at].write(&prompt(messages.clone()), false);
            let body: Value = serde_json::from_slice(&body).unwrap();
            body["messages"].as_array().unwrap().clone()
        };
        // More results may follow those of the last message.
        let last_calls = messages.last().is_some_and(|last| match last.role {
            Role::Assistant | Role::Tool => true,
            Role::User => last.blocks.iter().all(|b| matches!(b, Block::ToolResult { .. })),
            Role::System => false,
        });
        let claude = written(0).into_iter().map(|turn| {
            let content = &turn["content"];
            (ids(content, "tool_use", "id"), ids(content, "tool_result", "tool_use_id"))
        });
        let open = unanswered(claude.collect());
        prop_assert!(open.is_empty() || last_calls, "{:?}", open);
        let openai = written(1).into_iter().map(|turn| {
            let result = turn["tool_call_id"].as_str().map(str::to_owned);
            (ids(&turn["tool_calls"], "function", "id"), result.into_iter().collect())
        });
        let open = unanswered(openai.collect());
        prop_assert!(open.is_empty() || last_calls, "{:?}", open);
        let body = named("openai_responses").unwrap().write(&prompt(messages.clone()), false);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let items = body["input"].as_array().unwrap();
        // Calls stand in items of their own, so those of one message have to be gathered.
        let kind = |item: &Value, kind: &str| item["type"] == kind;
        let turns = items.chunk_by(|a, b| kind(a, "function_call") && kind(b, "function_call"));
        let responses = turns.map(|turn| {
            let list = Value::from(turn.to_vec());
            let results = ids(&list, "function_call_output", "call_id");
            (ids(&list, "function_call", "call_id"), results)
        });
        let open = unanswered(responses.collect());
        prop_assert!(open.is_empty() || last_calls, "{:?}", open);
    }
}
