//! How long a request is, where its provider cannot say.

use wire::prompt::{Block, Prompt};

/// The tokens of everything that is text in a prompt, by our own estimate.
pub(super) fn estimate(prompt: &Prompt) -> u64 {
    let texts = prompt.messages.iter().flat_map(|m| &m.blocks).filter_map(|block| match block {
        Block::Text(text) | Block::Thinking { text, .. } => Some(text.as_str()),
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
