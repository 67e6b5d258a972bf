//! One model of the table: what it takes, what it can do, what it costs.

use serde::Deserialize;

use crate::money::Rate;

/// What a model can do beside text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// It calls tools.
    Tools,
    /// It takes images.
    Vision,
    /// It takes documents (PDF).
    Documents,
    /// It takes or speaks sound.
    Audio,
    /// It thinks before it answers.
    Thinking,
    /// Its answers can be held to a JSON schema.
    Structured,
    /// It makes vectors instead of text.
    Embedding,
    /// It orders documents by a question.
    Rerank,
    /// It makes images.
    Image,
}

impl Capability {
    /// The word as it stands in files and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::Documents => "documents",
            Self::Audio => "audio",
            Self::Thinking => "thinking",
            Self::Structured => "structured",
            Self::Embedding => "embedding",
            Self::Rerank => "rerank",
            Self::Image => "image",
        }
    }
}

/// What a token costs, by its kind. What is absent is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// A token of the prompt that the cache did not know.
    pub input: Option<Rate>,
    /// A token of the reply, thinking included.
    pub output: Option<Rate>,
    /// A token of the prompt that was read from the provider's cache.
    pub cache_read: Option<Rate>,
    /// A token written to the cache for five minutes, or for as long as there is no choice.
    pub cache_write: Option<Rate>,
    /// A token written to the cache for an hour.
    pub cache_write_1h: Option<Rate>,
}

/// Rates that count for a whole request as soon as its prompt is larger than a number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The tokens of the prompt, cached or not, up to which the rates before still count.
    pub above: u64,
    /// The rates from there on; all of them, not only those that differ.
    pub usd: Rates,
}

/// One model, or one family of models, at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name at the provider. A final `*` stands for any rest.
    pub id: String,
    /// The provider's name, or `*` for whoever serves it.
    pub provider: String,
    /// Other names of the same model.
    #[serde(default)]
    pub also: Vec<String>,
    /// Tokens that prompt and reply may have together.
    pub window: Option<u32>,
    /// Tokens that a reply may have.
    pub output: Option<u32>,
    /// What it can do.
    #[serde(default)]
    pub can: Vec<Capability>,
    /// What its tokens cost in USD per million.
    #[serde(default)]
    pub usd: Rates,
    /// What a call in a batch costs of that, in percent.
    pub batch: Option<u32>,
    /// Dearer rates for large prompts, by rising `above`.
    #[serde(default)]
    pub tiers: Vec<Tier>,
}

impl Model {
    /// Whether it can do this.
    #[must_use]
    pub fn can(&self, what: Capability) -> bool {
        self.can.contains(&what)
    }

    /// The rates of a request with a prompt of so many tokens.
    #[must_use]
    pub fn rates(&self, prompt: u64) -> &Rates {
        let tier = self.tiers.iter().rfind(|tier| prompt > tier.above);
        tier.map_or(&self.usd, |tier| &tier.usd)
    }

    /// The prompt up to which a token costs least; `None` when size does not matter.
    #[must_use]
    pub fn cliff(&self) -> Option<u64> {
        self.tiers.first().map(|tier| tier.above)
    }
}
