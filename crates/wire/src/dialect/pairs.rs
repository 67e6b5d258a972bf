//! Which tool calls are still without a result while a conversation is written.

use std::collections::HashSet;

use crate::prompt::{Block, Message, Role};

/// What a model is told in place of a result that never came.
pub(super) const NO_RESULT: &str = "no result: the call was interrupted";

/// Follows the calls and results of a conversation.
///
/// Providers refuse a call without a result and a result without its call. A result that never
/// came is made up as soon as the conversation goes on without it, and never before: so what was
/// written once is a prefix of what is written when messages are added.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    calls: Vec<&'a str>,
    open: HashSet<&'a str>,
}

impl<'a> Pairs<'a> {
    /// The calls that have no result when `message` is to be written, oldest first. They count as
    /// answered from now on.
    pub(super) fn missing(&mut self, message: &Message) -> Vec<&'a str> {
        let goes_on = message.blocks.iter().all(|b| matches!(b, Block::ToolResult { .. }))
            && results(message).any(|id| self.open.contains(id));
        if self.open.is_empty() || goes_on {
            return Vec::new();
        }
        let brought: HashSet<&str> = results(message).collect();
        let open = &mut self.open;
        let gone = |id: &&'a str| !brought.contains(id) && open.remove(id);
        self.calls.iter().copied().filter(gone).collect()
    }

    /// Takes a result; whether it answers a call that is open.
    pub(super) fn answers(&mut self, id: &str) -> bool {
        self.open.remove(id)
    }

    /// Takes note of a message that is written as it is.
    pub(super) fn pass(&mut self, message: &'a Message) {
        for id in results(message) {
            self.open.remove(id);
        }
        self.opens(message);
    }

    /// Takes note of the calls in a message of the model.
    pub(super) fn opens(&mut self, message: &'a Message) {
        if message.role != Role::Assistant {
            return;
        }
        let ids = message.blocks.iter().filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.as_str()),
            _ => None,
        });
        self.calls = ids.collect();
        self.open = self.calls.iter().copied().collect();
    }
}

/// The results a message brings; only users and tools bring any.
fn results(message: &Message) -> impl Iterator<Item = &str> {
    let brings = matches!(message.role, Role::User | Role::Tool);
    message.blocks.iter().filter(move |_| brings).filter_map(|block| match block {
        Block::ToolResult { id, .. } => Some(id.as_str()),
        _ => None,
    })
}

/// The text that stands in for a result whose call is not in the conversation.
pub(super) fn orphan(id: &str, content: &str) -> String {
    format!("[Result of the tool call {id}]\n{content}")
}
