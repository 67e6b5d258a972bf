//! The OpenAI Chat Completions dialect.

mod content;
mod read;
mod stream;
mod write;

use super::intake::Intake;
use super::{Dialect, StreamReader, report};
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Prompt, Raw, Role};
use crate::reply::Reply;

const NAME: &str = "openai_chat";

/// `POST /v1/chat/completions`, as OpenAI and the many who follow it speak it.
///
/// A stored message's raw form is the whole message object.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn write(&self, prompt: &Prompt, stream: bool) -> Vec<u8> {
        write::request(prompt, stream).into_bytes()
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        read::reply(body)
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
}
