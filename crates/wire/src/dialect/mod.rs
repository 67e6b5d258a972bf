//! The wire formats of model APIs: one folder each, one line in the list each.

mod anthropic;
mod ask;
mod bedrock_converse;
mod body;
mod cohere_chat;
mod counts;
mod cursor;
mod excerpt;
mod fields;
mod frames;
mod gemini;
mod halves;
mod head;
mod intake;
mod judged;
mod likely;
mod losses;
mod ollama;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod pairs;
mod report;
mod rows;
mod segment;
mod show;
mod slices;
mod text;
mod transcript;
mod turns;

pub use anthropic::{Anthropic, AnthropicSecond, AnthropicVersion};
pub use ask::{Asked, Link};
pub use bedrock_converse::BedrockConverse;
pub use cohere_chat::CohereChat;
pub use gemini::Gemini;
pub use head::{Head, name_model, rename, scan};
pub use ollama::{OllamaChat, OllamaGenerate};
pub use openai_chat::OpenAiChat;
pub use openai_completions::OpenAiCompletions;
pub use openai_responses::OpenAiResponses;
pub use show::{Shown, StreamWriter};

use bytes::Bytes;

use crate::event::Event;
use crate::fault::Fault;
use crate::prompt::{Message, Prompt, Raw};
use crate::reply::{Reply, Usage};

/// Every dialect.
pub const DIALECTS: &[&dyn Dialect] = &[
    &Anthropic,
    &OpenAiChat,
    &OpenAiResponses,
    &Gemini,
    &OllamaChat,
    &OllamaGenerate,
    &OpenAiCompletions,
    &CohereChat,
    &BedrockConverse,
];

/// Finds a dialect by its name.
///
/// ```
/// assert_eq!(wire::dialect::named("anthropic").unwrap().path(), "/v1/messages");
/// ```
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

/// Finds a dialect as it is spoken in a version of its API, where versions differ.
#[must_use]
pub fn versioned(name: &str, version: Option<&str>) -> Option<&'static dyn Dialect> {
    let dialect = named(name)?;
    let later = AnthropicVersion::Second.as_str();
    let is_later = dialect.name() == Anthropic.name() && version == Some(later);
    Some(if is_later { &AnthropicSecond } else { dialect })
}

/// One wire format of model APIs, without knowledge of any provider that speaks it.
pub trait Dialect: Sync + Send + std::fmt::Debug {
    /// The name used in configuration, logs and stored messages, such as `openai_chat`.
    fn name(&self) -> &'static str;

    /// The path of the request below the provider's base URL, such as `/v1/messages`.
    fn path(&self) -> &'static str;

    /// The path of a request for this model, where it depends on it. With its query, if it has
    /// one.
    fn path_for(&self, model: &str, stream: bool) -> String {
        let (_, _) = (model, stream);
        self.path().to_owned()
    }

    /// The media type of a streamed reply.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// Writes the request body and says what had to be left out.
    ///
    /// Messages that carry raw bytes of this dialect are emitted with those bytes; parts that this
    /// dialect cannot express (another provider's thinking, unknown blocks) are left out.
    fn render(&self, prompt: &Prompt, stream: bool) -> Written;

    /// Writes the request body.
    fn write(&self, prompt: &Prompt, stream: bool) -> Vec<u8> {
        self.render(prompt, stream).body
    }

    /// Reads a whole reply.
    ///
    /// # Errors
    /// `upstream_invalid` when the body is not a reply of this dialect.
    fn read(&self, body: &[u8]) -> Result<Reply, Fault>;

    /// The token counts of a whole reply, as [`Dialect::read`] gives them; `None` for what is no
    /// reply. What the model said need not be read for it, and may be what cannot be read.
    fn usage(&self, body: &[u8]) -> Option<Usage> {
        self.read(body).ok().map(|reply| reply.usage)
    }

    /// Starts reading a streamed reply.
    fn stream(&self) -> Box<dyn StreamReader>;

    /// Reads an error answer. `header` looks up a response header by its lower-case name.
    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault;

    /// Reads a stored message back from its raw form.
    ///
    /// # Errors
    /// `invalid_input` when the bytes are not a message of this dialect.
    fn message(&self, role: crate::prompt::Role, raw: Raw) -> Result<Message, Fault>;

    /// Reads a caller's request. Long texts stay where they are in the body, which lives as long as
    /// what was read of it.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_input` with the field in its details, or `missing_field`.
    fn request(&self, body: &Bytes) -> Result<Asked, Fault>;

    /// Writes a whole reply for a caller.
    ///
    /// A message with raw bytes of this dialect is shown with those bytes; another provider's
    /// signatures are never shown.
    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8>;

    /// Starts writing a streamed reply for a caller.
    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter>;

    /// Writes an error answer for a caller.
    fn refuse(&self, status: u16, fault: &Fault) -> Vec<u8>;
}

/// A request body, and what is not in it.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The body.
    pub body: Vec<u8>,
    /// What the dialect could not say, each once: kinds of parts (`thinking`, `image`), knobs
    /// (`top_k`), `tool:KIND`, `field:NAME` and `cache_control`.
    pub dropped: Vec<String>,
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
