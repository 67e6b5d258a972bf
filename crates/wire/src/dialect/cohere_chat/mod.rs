//! The Cohere chat dialect.

mod ask;
mod content;
mod documents;
mod knobs;
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
use crate::reply::{Reply, Usage};

const NAME: &str = "cohere_chat";

/// `POST /v2/chat`, the second version of the Chat API.
///
/// Its answers name no model. A stored message's raw form is the whole message object.
#[derive(Clone, Copy, Debug)]
pub struct CohereChat;

impl Dialect for CohereChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v2/chat"
    }

    fn render(&self, prompt: &Prompt, stream: bool) -> Written {
        let losses = Losses::default();
        let body = write::request(prompt, stream, &losses).into_bytes();
        Written { body, dropped: losses.into_list() }
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        read::reply(body)
    }

    fn usage(&self, body: &[u8]) -> Option<Usage> {
        read::spent(body).or_else(|| read::reply(body).ok().map(|reply| reply.usage))
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Box::new(Intake::new(stream::Machine::default()))
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
        ask::request(body)
    }

    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8> {
        show::reply(reply, shown).into_bytes()
    }

    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter> {
        Box::new(show::Writer::new(shown))
    }

    fn refuse(&self, _status: u16, fault: &Fault) -> Vec<u8> {
        show::refuse(fault).into_bytes()
    }
}
