//! The content of one reply: the script's words filled in and counted, before any dialect.

use crate::ask::{self, Ask};
use crate::script::{Block, GREETING, Reply};
use serde_json::Value;

/// One piece of a reply.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Text, in the pieces in which a stream sends it.
    Text(Vec<String>),
    Thinking {
        text: String,
        signature: String,
    },
    Tool {
        id: String,
        name: String,
        input: Block,
    },
    /// A block that is sent as it is where the dialect allows.
    Raw(Block),
}

/// A reply without a dialect.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The number of the request, from which ids are made.
    pub(crate) number: u64,
    pub(crate) model: String,
    pub(crate) parts: Vec<Part>,
    /// Anthropic's word for it.
    pub(crate) stop_reason: String,
    pub(crate) usage: Counted,
}

/// Token counts of a reply, all decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_creation: u64,
    /// Those of them that are kept for an hour; `None` without a simulated cache.
    pub(crate) one_hour: Option<u64>,
}

impl Content {
    /// Fills in a scripted reply for one request.
    pub(crate) fn new(reply: &Reply, ask: &Ask, number: u64) -> Self {
        let mut parts = Vec::new();
        if let Some(thinking) = &reply.thinking {
            let (text, signature) = (thinking.text.clone(), thinking.signature.clone());
            parts.push(Part::Thinking { text, signature });
        }
        let fragments = fragments(reply, ask, number);
        if !fragments.is_empty() {
            parts.push(Part::Text(fragments));
        }
        parts.extend(reply.blocks.iter().cloned().map(Part::Raw));
        for (index, tool) in reply.tools.iter().enumerate() {
            let id = tool.id.clone();
            parts.push(Part::Tool {
                id: id.unwrap_or_else(|| format!("toolu_mock_{number:06}_{}", index + 1)),
                name: tool.name.clone(),
                input: tool.input.clone(),
            });
        }
        let default_reason = if reply.tools.is_empty() { "end_turn" } else { "tool_use" };
        let bytes = parts.iter().map(Part::bytes).sum();
        Self {
            number,
            model: ask.model.clone(),
            stop_reason: reply.stop_reason.as_deref().unwrap_or(default_reason).to_owned(),
            usage: Counted {
                input: reply.usage.input_tokens.unwrap_or(ask.tokens),
                output: reply.usage.output_tokens.unwrap_or_else(|| ask::tokens(bytes)),
                cache_read: reply.usage.cache_read_input_tokens.unwrap_or(0),
                cache_creation: reply.usage.cache_creation_input_tokens.unwrap_or(0),
                one_hour: None,
            },
            parts,
        }
    }
}

impl Content {
    /// Signs the thoughts.
    pub(crate) fn sign(&mut self, sign: impl Fn(&str) -> String) {
        for part in &mut self.parts {
            if let Part::Thinking { text, signature } = part {
                *signature = sign(text);
            }
        }
    }
}

impl Part {
    /// Bytes that count as output.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(fragments) => fragments.iter().map(String::len).sum(),
            Self::Thinking { text, .. } => text.len(),
            Self::Tool { name, input, .. } => name.len() + input.as_str().len(),
            Self::Raw(block) => block.as_str().len(),
        }
    }

    /// The same part without verbatim blocks, for dialects with another shape; `None` for a block
    /// they have no word for.
    pub(crate) fn translated(&self) -> Option<Self> {
        let Self::Raw(block) = self else { return Some(self.clone()) };
        let value = block.value();
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("type").as_str() {
            "text" => Some(Self::Text(vec![text("text")])),
            "thinking" => {
                Some(Self::Thinking { text: text("thinking"), signature: text("signature") })
            }
            "tool_use" => {
                let input = value.get("input").map(Value::to_string).unwrap_or_default();
                let input = Block::parse(&input).unwrap_or_default();
                Some(Self::Tool { id: text("id"), name: text("name"), input })
            }
            _ => None,
        }
    }
}

/// The pieces of the text: as scripted, or word by word.
fn fragments(reply: &Reply, ask: &Ask, number: u64) -> Vec<String> {
    if !reply.fragments.is_empty() {
        return reply.fragments.iter().map(|text| filled(text, ask, number)).collect();
    }
    let has_other_content = !reply.blocks.is_empty() || !reply.tools.is_empty();
    let text = match &reply.text {
        Some(text) => filled(text, ask, number),
        None if has_other_content => return Vec::new(),
        None => GREETING.to_owned(),
    };
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Fills in the template in one pass, so that braces in the user's message stay as they are.
fn filled(template: &str, ask: &Ask, number: u64) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (word, tail) = after.split_once('}').unwrap_or((after, ""));
        match word {
            "message" => text.push_str(&ask.message),
            "model" => text.push_str(&ask.model),
            "session" => text.push_str(&ask.session),
            "n" => text.push_str(&number.to_string()),
            _ => {
                text.push('{');
                rest = after;
                continue;
            }
        }
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// Cuts a text into pieces of so many characters.
pub(crate) fn pieces(text: &str, chars: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for (index, c) in text.chars().enumerate() {
        match pieces.last_mut() {
            Some(last) if index % chars.max(1) != 0 => last.push(c),
            _ => pieces.push(c.to_string()),
        }
    }
    pieces
}
