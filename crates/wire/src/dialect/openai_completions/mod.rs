//! The legacy OpenAI Completions dialect.

mod ask;
mod read;
mod show;
mod write;

use bytes::Bytes;

use super::intake::Intake;
use super::losses::Losses;
use super::show::openai_error;
use super::{Asked, Dialect, Shown, StreamReader, StreamWriter, Written, report};
use crate::fault::{Code, Fault};
use crate::prompt::{Message, Prompt, Raw, Role};
use crate::reply::{Reply, Usage};

const NAME: &str = "openai_completions";

/// `POST /v1/completions`, as OpenAI once spoke it and local engines still do: one prompt, no
/// messages and no tools.
///
/// No message has a raw form.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiCompletions;

impl Dialect for OpenAiCompletions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
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
        Box::new(Intake::new(read::Machine::default()))
    }

    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
        report::answer(status, header, body)
    }

    fn message(&self, role: Role, raw: Raw) -> Result<Message, Fault> {
        let (_, _) = (role, raw);
        Err(Fault::new(Code::InvalidInput, "no message of `openai_completions` has a raw form"))
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

    fn refuse(&self, status: u16, fault: &Fault) -> Vec<u8> {
        openai_error(status, fault).into_bytes()
    }
}
