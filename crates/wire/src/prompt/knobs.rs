//! Parameters of a model call, as far as more than one dialect has them.

use serde_json::value::RawValue;

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
    /// What only some dialects can say.
    pub wishes: Wishes,
}

/// Parameters that some dialects have and others have not; who writes a request reports those that
/// it had to leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Sampling among the most likely so many tokens.
    pub top_k: Option<u32>,
    /// For repeatable sampling.
    pub seed: Option<i64>,
    /// Against tokens by how often they came, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Against tokens that came at all, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Which tool the model may or must ask for.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may ask for several tools at once.
    pub parallel_tools: Option<bool>,
    /// The form of the reply's text.
    pub format: Option<Format>,
    /// How long the model thinks.
    pub effort: Option<Effort>,
    /// The longest thought, in tokens.
    pub thinking_tokens: Option<u32>,
    /// Who the end user is, as an opaque id.
    pub user: Option<String>,
    /// Groups requests that share a prefix for the provider's cache.
    pub cache_key: Option<String>,
}

impl Wishes {
    /// How long the model thinks: the level that was asked for, or the one that comes nearest to
    /// the longest thought.
    #[must_use]
    pub fn depth(&self) -> Option<Effort> {
        let nearest = self.thinking_tokens.map(|tokens| match tokens {
            0..2048 => Effort::Low,
            2048..8192 => Effort::Medium,
            8192.. => Effort::High,
        });
        self.effort.or(nearest)
    }
}

/// Which tool the model may or must ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    Never,
    /// At least one, whichever.
    Any,
    /// This one.
    Tool(String),
}

/// The form of the reply's text.
#[derive(Clone, Debug)]
pub enum Format {
    /// Some JSON.
    Json,
    /// JSON after a schema.
    Schema {
        /// What the schema is called, for dialects that want a name.
        name: Option<String>,
        /// The JSON Schema.
        schema: Box<RawValue>,
        /// Whether the reply must hold to it in every detail.
        strict: Option<bool>,
    },
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json, Self::Json) => true,
            (
                Self::Schema { name, schema, strict },
                Self::Schema { name: name_b, schema: schema_b, strict: strict_b },
            ) => name == name_b && schema.get() == schema_b.get() && strict == strict_b,
            (Self::Json, Self::Schema { .. }) | (Self::Schema { .. }, Self::Json) => false,
        }
    }
}

/// How long the model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    Off,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    Higher,
    /// As much as it can.
    Max,
}

impl Effort {
    /// Every level, from the least.
    pub const ALL: [Self; 7] =
        [Self::Off, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Higher, Self::Max];

    /// The level as OpenAI and Anthropic call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Higher => "xhigh",
            Self::Max => "max",
        }
    }

    /// Reads a level.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}
