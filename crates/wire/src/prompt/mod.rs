//! The canonical prompt: what every dialect reads into and writes from.

mod block;
mod knobs;
mod text;

use std::sync::Arc;

use serde_json::value::RawValue;

pub use block::{Block, Media, Source};
pub use knobs::{Effort, Format, Knobs, ToolChoice, Wishes};
pub use text::Text;

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

impl Role {
    /// The role as it is stored and printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads a role, with the aliases of the field: `human`, `ai`, `bot`, `model`, `developer`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "system" | "developer" => Some(Self::System),
            "user" | "human" => Some(Self::User),
            "assistant" | "ai" | "bot" | "model" => Some(Self::Assistant),
            "tool" | "function" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// The content of a message as it came over the wire, with the dialect that can read it.
///
/// `anthropic`: the `content` array. `openai_chat`: the whole message object.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The name of the dialect, as in [`crate::dialect::Dialect::name`].
    pub dialect: Arc<str>,
    /// The exact bytes, valid JSON.
    pub json: Box<RawValue>,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, part by part.
    pub blocks: Vec<Block>,
    /// The exact form it had on the wire; the dialect that wrote it emits these bytes again.
    pub raw: Option<Raw>,
}

impl Message {
    /// A message of plain text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<Text>) -> Self {
        Self { role, blocks: vec![Block::Text(text.into())], raw: None }
    }

    /// All text blocks, joined.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            if let Block::Text(text) = block {
                out.push_str(text);
            }
        }
        out
    }

    /// The message without what only the provider that wrote it may see: thoughts, signatures and
    /// the raw form that holds them. For a conversation that goes on with another provider.
    #[must_use]
    pub fn without_private(mut self) -> Self {
        if self.role == Role::Assistant {
            self.raw = None;
            self.blocks
                .retain(|block| !matches!(block, Block::Thinking { .. } | Block::Other { .. }));
        }
        self
    }
}

/// A tool that the model may ask for.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Unique in the prompt.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub schema: Box<RawValue>,
    /// Whether the arguments must hold to the schema in every detail.
    pub strict: Option<bool>,
    /// The type of a tool that the provider runs or defines, such as `web_search`: only the
    /// dialect it was read from can write it, from its raw form.
    pub hosted: Option<String>,
    /// The exact form it had on the wire; the dialect that wrote it emits these bytes again.
    pub raw: Option<Raw>,
}

impl Tool {
    /// A tool that the caller runs.
    #[must_use]
    pub fn new(name: impl Into<String>, schema: Box<RawValue>) -> Self {
        Self { name: name.into(), description: None, schema, strict: None, hosted: None, raw: None }
    }
}

/// Top-level fields of a request in the words of its own dialect.
#[derive(Clone, Debug)]
pub struct Private {
    /// The dialect they are of.
    pub dialect: Arc<str>,
    /// The fields in their order.
    pub fields: Vec<PrivateField>,
}

/// One field of a [`Private`].
#[derive(Clone, Debug)]
pub struct PrivateField {
    /// Its name; one with a point stands in the object before the point.
    pub name: String,
    /// Its exact value.
    pub json: Box<RawValue>,
    /// The prompt says the same in its own words, so that other dialects lose nothing. Who changes
    /// the prompt's words has to remove the field.
    pub is_carried: bool,
}

/// Everything a model is asked, independent of any provider.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// The upstream's name of the model.
    pub model: String,
    /// Instructions; each dialect puts them where its provider wants them.
    pub system: Option<String>,
    /// The exact form the instructions had on the wire; it counts only while it says the same as
    /// `system`.
    pub system_raw: Option<Raw>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools the model may ask for.
    pub tools: Vec<Tool>,
    /// Parameters.
    pub knobs: Knobs,
    /// Fields that only the caller's dialect knows: written by it, reported by every other.
    pub private: Option<Private>,
}
