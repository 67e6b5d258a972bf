//! The canonical prompt: what every dialect reads into and writes from.

use std::sync::Arc;

use serde_json::value::RawValue;

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

/// One part of a message.
#[derive(Clone, Debug)]
pub enum Block {
    /// Plain text.
    Text(String),
    /// The model's reasoning. It goes back only to the model that wrote it, byte for byte.
    Thinking {
        /// The readable part; may be empty.
        text: String,
        /// The provider's signature over it.
        signature: Option<String>,
    },
    /// The model asks for a tool.
    ToolUse {
        /// The id that the result must name.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments, a JSON object.
        input: Box<RawValue>,
    },
    /// The answer of a tool.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The result as text.
        content: String,
        /// The tool failed.
        is_error: bool,
    },
    /// Anything else: kept in the message's raw form, shown by its type only.
    Other {
        /// The block's `type`.
        kind: String,
    },
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
    pub fn text(role: Role, text: impl Into<String>) -> Self {
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
}

/// Parameters of the model call; `None` leaves the upstream's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knobs {
    /// The longest reply, in tokens.
    pub max_tokens: Option<u32>,
    /// Randomness, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Texts that end the reply.
    pub stop: Vec<String>,
    /// Further fields of the upstream's own API, merged into the request as they are.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// Everything a model is asked, independent of any provider.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The upstream's name of the model.
    pub model: String,
    /// Instructions; each dialect puts them where its provider wants them.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools the model may ask for.
    pub tools: Vec<Tool>,
    /// Parameters.
    pub knobs: Knobs,
}
