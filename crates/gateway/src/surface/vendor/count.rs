//! How long a request is, where its provider was not asked.

use wire::prompt::{Block, Prompt};

use crate::model::{Target, exact};

/// The tokens of a prompt: exactly where the model's tokens are published, else by our own estimate.
pub(super) async fn tokens(target: &Target, prompt: Prompt) -> u64 {
    let guess = estimate(&prompt);
    match target {
        Target::Upstream(upstream) => exact::count(upstream.model(), prompt).await.unwrap_or(guess),
        Target::Offline(_) => guess,
    }
}

/// The tokens of everything that is text in a prompt, by our own estimate.
pub(super) fn estimate(prompt: &Prompt) -> u64 {
    let texts = prompt.messages.iter().flat_map(|m| &m.blocks).filter_map(|block| match block {
        Block::Text(text) => Some(text.as_str()),
        Block::Thinking { text, .. } => Some(text.as_str()),
        Block::ToolUse { input, .. } => Some(input.get()),
        _ => None,
    });
    let tools = prompt.tools.iter().flat_map(|tool| {
        [Some(tool.name.as_str()), tool.description.as_deref(), Some(tool.schema.get())]
    });
    texts
        .chain(prompt.system.as_deref())
        .chain(tools.flatten())
        .map(|text| u64::from(context::tokens(text)))
        .sum()
}
