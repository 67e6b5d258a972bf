//! Gemini's dialect where the path asks for a stream: of events, or as one list that grows.

use bytes::Bytes;
use wire::Fault;
use wire::dialect::{Asked, Dialect, Gemini, Shown, StreamReader, StreamWriter, Written};
use wire::event::Event;
use wire::prompt::{Message, Prompt, Raw, Role};
use wire::reply::Reply;

/// `streamGenerateContent?alt=sse`.
pub(super) static EVENTS: Piped = Piped { is_list: false };
/// `streamGenerateContent` alone.
pub(super) static LIST: Piped = Piped { is_list: true };

/// Gemini's dialect with the stream that the path asks for.
#[derive(Debug)]
pub(super) struct Piped {
    is_list: bool,
}

impl Dialect for Piped {
    fn name(&self) -> &'static str {
        Gemini.name()
    }

    fn path(&self) -> &'static str {
        Gemini.path()
    }

    fn path_for(&self, model: &str, _stream: bool) -> String {
        let path = Gemini.path_for(model, true);
        match path.split_once('?') {
            Some((path, _)) if self.is_list => path.to_owned(),
            _ => path,
        }
    }

    fn stream_type(&self) -> &'static str {
        if self.is_list { "application/json" } else { Gemini.stream_type() }
    }

    fn render(&self, prompt: &Prompt, stream: bool) -> Written {
        Gemini.render(prompt, stream)
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        Gemini.read(body)
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Gemini.stream()
    }

    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
        Gemini.fault(status, header, body)
    }

    fn message(&self, role: Role, raw: Raw) -> Result<Message, Fault> {
        Gemini.message(role, raw)
    }

    fn request(&self, body: &Bytes) -> Result<Asked, Fault> {
        Ok(Asked { stream: true, ..Gemini.request(body)? })
    }

    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8> {
        Gemini.reply(reply, shown)
    }

    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter> {
        let inner = Gemini.writer(shown);
        if self.is_list {
            Box::new(List { inner, has_begun: false })
        } else {
            Box::new(Quiet { inner })
        }
    }

    fn refuse(&self, status: u16, fault: &Fault) -> Vec<u8> {
        Gemini.refuse(status, fault)
    }
}

/// Writes events without comments between them: Google's own clients cannot read those.
struct Quiet {
    inner: Box<dyn StreamWriter>,
}

impl StreamWriter for Quiet {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if !matches!(event, Event::Ping) {
            self.inner.write(event, out);
        }
    }
}

/// Writes the data of the events as the items of one list.
struct List {
    inner: Box<dyn StreamWriter>,
    has_begun: bool,
}

impl StreamWriter for List {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        self.inner.write(event, &mut events);
        for line in events.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            out.extend_from_slice(if self.has_begun { b",\r\n" } else { b"[" });
            out.extend_from_slice(data);
            self.has_begun = true;
        }
        if matches!(event, Event::Done(_) | Event::Fault(_)) {
            out.extend_from_slice(if self.has_begun { b"]" } else { b"[]" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_comment_stands_between_the_events() {
        let mut writer = EVENTS.writer(&Shown::default());
        let mut out = Vec::new();
        writer.write(&Event::Ping, &mut out);
        assert!(out.is_empty(), "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn the_list_is_valid_json_however_the_stream_ends() {
        let text = |text: &str| Event::Text { index: 0, text: text.to_owned() };
        let reply = Reply {
            id: "r".into(),
            model: "m".into(),
            message: Message::text(Role::Assistant, "a\nb"),
            stop: wire::reply::Stop::End,
            usage: wire::reply::Usage::default(),
            confidence: None,
        };
        let fault = || Event::Fault(Fault::new(wire::Code::UpstreamError, "it broke"));
        for (events, length) in [
            (vec![text("a\n"), text("b"), Event::Done(Box::new(reply.clone()))], 3),
            (vec![text("a"), fault()], 2),
            (vec![fault()], 1),
        ] {
            let mut writer = LIST.writer(&Shown::default());
            let mut out = Vec::new();
            for event in &events {
                writer.write(event, &mut out);
            }
            let list: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
            assert_eq!(list.len(), length, "{}", String::from_utf8_lossy(&out));
        }
    }
}
