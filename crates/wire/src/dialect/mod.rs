//! The wire formats of model APIs: one folder each, one line in the list each.

mod anthropic;
mod body;
mod excerpt;
mod fields;
mod intake;
mod openai_chat;
mod pairs;
mod report;
mod text;

pub use anthropic::Anthropic;
pub use openai_chat::OpenAiChat;

use crate::event::Event;
use crate::fault::Fault;
use crate::prompt::{Message, Prompt, Raw};
use crate::reply::Reply;

/// Every dialect.
pub const DIALECTS: &[&dyn Dialect] = &[&Anthropic, &OpenAiChat];

/// Finds a dialect by its name.
///
/// ```
/// assert_eq!(wire::dialect::named("anthropic").unwrap().path(), "/v1/messages");
/// ```
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

/// One wire format of model APIs, without knowledge of any provider that speaks it.
pub trait Dialect: Sync + Send + std::fmt::Debug {
    /// The name used in configuration, logs and stored messages, such as `openai_chat`.
    fn name(&self) -> &'static str;

    /// The path of the request below the provider's base URL, such as `/v1/messages`.
    fn path(&self) -> &'static str;

    /// Writes the request body.
    ///
    /// Messages that carry raw bytes of this dialect are emitted with those bytes; parts that this
    /// dialect cannot express (another provider's thinking, unknown blocks) are left out.
    fn write(&self, prompt: &Prompt, stream: bool) -> Vec<u8>;

    /// Reads a whole reply.
    ///
    /// # Errors
    /// `upstream_invalid` when the body is not a reply of this dialect.
    fn read(&self, body: &[u8]) -> Result<Reply, Fault>;

    /// Starts reading a streamed reply.
    fn stream(&self) -> Box<dyn StreamReader>;

    /// Reads an error answer. `header` looks up a response header by its lower-case name.
    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault;

    /// Reads a stored message back from its raw form.
    ///
    /// # Errors
    /// `invalid_input` when the bytes are not a message of this dialect.
    fn message(&self, role: crate::prompt::Role, raw: Raw) -> Result<Message, Fault>;
}

/// Reads one streamed reply, however its bytes are cut.
pub trait StreamReader: Send {
    /// Takes the next bytes and appends the events they complete to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>);

    /// The bytes have ended: appends [`Event::Done`] if the reply is complete (and not yet
    /// reported), else [`Event::Fault`] with `upstream_invalid` for a stream that was cut.
    fn finish(&mut self, out: &mut Vec<Event>);

    /// What is worth keeping of an unfinished reply: finished blocks and a begun text block, never
    /// half a tool call or half a thought. `None` when nothing came.
    fn partial(&self) -> Option<Message>;
}
