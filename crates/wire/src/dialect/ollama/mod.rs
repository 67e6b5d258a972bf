//! The two Ollama dialects: messages, and one prompt.

mod ask;
mod content;
mod options;
mod read;
mod show;
mod stream;
mod write;

use bytes::Bytes;

use super::intake::Intake;
use super::losses::Losses;
use super::{Asked, Dialect, Shown, StreamReader, StreamWriter, Written, report};
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Prompt, Raw, Role};
use crate::reply::Reply;

const CHAT: &str = "ollama_chat";
const GENERATE: &str = "ollama_generate";

/// The media type of a stream: one JSON value on each line.
const ROWS: &str = "application/x-ndjson";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Chat,
    Generate,
}

/// `POST /api/chat`, as Ollama speaks it.
///
/// A stored message's raw form is the whole message object.
#[derive(Clone, Copy, Debug)]
pub struct OllamaChat;

/// `POST /api/generate`, as Ollama speaks it: one prompt, no messages and no tools.
///
/// No message has a raw form.
#[derive(Clone, Copy, Debug)]
pub struct OllamaGenerate;

impl Dialect for OllamaChat {
    fn name(&self) -> &'static str {
        CHAT
    }

    fn path(&self) -> &'static str {
        "/api/chat"
    }

    fn stream_type(&self) -> &'static str {
        ROWS
    }

    fn render(&self, prompt: &Prompt, stream: bool) -> Written {
        let losses = Losses::default();
        let body = write::chat(prompt, stream, &losses).into_bytes();
        Written { body, dropped: losses.into_list() }
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        read::reply(Door::Chat, body)
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Box::new(Intake::rows(stream::Machine::new(Door::Chat)))
    }

    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
        report::answer(status, header, body)
    }

    fn message(&self, role: Role, raw: Raw) -> Result<Message, Fault> {
        let blocks =
            content::blocks(&raw.json).map_err(|text| Fault::new(Code::InvalidInput, text))?;
        Ok(Message { role, blocks, raw: Some(raw) })
    }

    fn request(&self, body: &Bytes) -> Result<Asked, Fault> {
        ask::request(Door::Chat, body)
    }

    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8> {
        show::reply(Door::Chat, reply, shown).into_bytes()
    }

    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter> {
        Box::new(show::Writer::new(Door::Chat, shown))
    }

    fn refuse(&self, _status: u16, fault: &Fault) -> Vec<u8> {
        show::refuse(fault).into_bytes()
    }
}

impl Dialect for OllamaGenerate {
    fn name(&self) -> &'static str {
        GENERATE
    }

    fn path(&self) -> &'static str {
        "/api/generate"
    }

    fn stream_type(&self) -> &'static str {
        ROWS
    }

    fn render(&self, prompt: &Prompt, stream: bool) -> Written {
        let losses = Losses::default();
        let body = write::generate(prompt, stream, &losses).into_bytes();
        Written { body, dropped: losses.into_list() }
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        read::reply(Door::Generate, body)
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Box::new(Intake::rows(stream::Machine::new(Door::Generate)))
    }

    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
        report::answer(status, header, body)
    }

    fn message(&self, role: Role, raw: Raw) -> Result<Message, Fault> {
        let (_, _) = (role, raw);
        Err(Fault::new(Code::InvalidInput, "no message of `ollama_generate` has a raw form"))
    }

    fn request(&self, body: &Bytes) -> Result<Asked, Fault> {
        ask::request(Door::Generate, body)
    }

    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8> {
        show::reply(Door::Generate, reply, shown).into_bytes()
    }

    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter> {
        Box::new(show::Writer::new(Door::Generate, shown))
    }

    fn refuse(&self, _status: u16, fault: &Fault) -> Vec<u8> {
        show::refuse(fault).into_bytes()
    }
}
