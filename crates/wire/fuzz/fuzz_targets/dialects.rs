//! Dialects on any bytes: no panic, one last event, and what was read can be written.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::dialect::{DIALECTS, Shown, rename, scan};
use wire::event::Event;
use wire::prompt::{Message, Prompt};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (size, status, bytes) = (usize::from(input.0).max(1), input.1, input.2);
    if let Some(head) = scan(bytes) {
        let renamed = rename(bytes, &head, "m");
        assert!(scan(&renamed).is_some());
    }
    for dialect in DIALECTS {
        let mut messages: Vec<Message> = Vec::new();
        messages.extend(dialect.read(bytes).ok().map(|reply| reply.message));

        let (mut reader, mut out) = (dialect.stream(), Vec::new());
        for piece in bytes.chunks(size) {
            reader.push(piece, &mut out);
            messages.extend(reader.partial().filter(|_| messages.is_empty()));
        }
        reader.finish(&mut out);
        let is_last = |event: &Event| matches!(event, Event::Done(_) | Event::Fault(_));
        assert_eq!(out.iter().filter(|event| is_last(event)).count(), 1);
        assert!(out.last().is_some_and(is_last));
        if let Some(Event::Done(reply)) = out.last() {
            messages.push(reply.message.clone());
            for dialect in DIALECTS {
                let body = dialect.reply(reply, &Shown::default());
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
            }
        }

        let text = String::from_utf8_lossy(bytes).into_owned();
        let fault = dialect.fault(status, &|_| Some(text.clone()), bytes);
        assert!(!fault.text().is_empty());

        let prompt = Prompt {
            model: "m".to_owned(),
            messages,
            ..Prompt::default()
        };
        let asked = dialect.request(&Bytes::copy_from_slice(bytes)).ok();
        assert!(asked.is_none() || scan(bytes).is_some());
        for prompt in asked.iter().map(|asked| &asked.prompt).chain([&prompt]) {
            for dialect in DIALECTS {
                let body = dialect.write(prompt, true);
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
            }
        }
        for dialect in DIALECTS {
            let mut writer = dialect.writer(&Shown::default());
            let mut shown = Vec::new();
            for event in &out {
                writer.write(event, &mut shown);
            }
        }
    }
});
