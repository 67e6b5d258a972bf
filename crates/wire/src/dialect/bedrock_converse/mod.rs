//! The Converse dialect of Amazon Bedrock.

mod ask;
mod config;
mod content;
mod media;
mod read;
mod show;
mod stream;
mod write;

use bytes::Bytes;

use super::intake::Intake;
use super::losses::Losses;
use super::segment::segment;
use super::{Asked, Dialect, Shown, StreamReader, StreamWriter, Written, report};
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Prompt, Raw, Role};
use crate::reply::{Reply, Usage};

const NAME: &str = "bedrock_converse";

/// `POST /model/MODEL/converse` and `/converse-stream`.
///
/// The model and whether to stream stand in the path, see [`Dialect::path_for`]; streams are
/// binary frames; answers name neither an id nor a model. A stored message's raw form is the
/// `content` array.
#[derive(Clone, Copy, Debug)]
pub struct BedrockConverse;

impl Dialect for BedrockConverse {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/model"
    }

    fn path_for(&self, model: &str, stream: bool) -> String {
        let method = if stream { "converse-stream" } else { "converse" };
        format!("{}/{}/{method}", self.path(), segment(model))
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn render(&self, prompt: &Prompt, _stream: bool) -> Written {
        let losses = Losses::default();
        let body = write::request(prompt, &losses).into_bytes();
        Written { body, dropped: losses.into_list() }
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        read::reply(body)
    }

    fn usage(&self, body: &[u8]) -> Option<Usage> {
        read::spent(body).or_else(|| read::reply(body).ok().map(|reply| reply.usage))
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Box::new(Intake::frames(stream::Machine::default()))
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

    fn reply(&self, reply: &Reply, _shown: &Shown) -> Vec<u8> {
        show::reply(reply).into_bytes()
    }

    fn writer(&self, _shown: &Shown) -> Box<dyn StreamWriter> {
        Box::new(show::Writer::default())
    }

    fn refuse(&self, status: u16, fault: &Fault) -> Vec<u8> {
        show::refuse(status, fault).into_bytes()
    }
}
