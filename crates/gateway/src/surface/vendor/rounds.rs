//! Replies as their callers were told them: of a turn that used joined tools they know the words of
//! all rounds and the calls that are theirs, and neither our calls nor their results.

use context::Entry;
use wire::prompt::{Block, Message, Role};

use crate::flow::JOINED;

/// Reads a log entry by entry and hands out what a caller knows of it.
#[derive(Default)]
pub(super) struct Rounds {
    reply: Option<Said>,
    /// The newest entry brought results of ours: the reply may go on.
    goes_on: bool,
}

/// A message of a log as its caller knows it.
pub(super) struct Said {
    pub(super) message: Message,
    /// What the model had said in the rounds before; a stream has told it, a whole answer has not.
    pub(super) before: String,
    /// The number of its last entry.
    pub(super) seq: u32,
}

impl Rounds {
    /// Takes the next entry; hands out what is whole by now.
    pub(super) fn take(&mut self, entry: &Entry, mut out: impl FnMut(Said)) {
        let message = entry.to_message();
        let (seq, goes_on) = (entry.seq, std::mem::take(&mut self.goes_on));
        if message.role == Role::Assistant {
            let before = match self.reply.take() {
                Some(reply) if goes_on => reply.before + &reply.message.plain(),
                reply => {
                    reply.into_iter().for_each(&mut out);
                    String::new()
                }
            };
            self.reply = Some(Said { message, before, seq });
            return;
        }
        if entry.meta.contains_key(JOINED)
            && let Some(reply) = &mut self.reply
        {
            let is_answered = |call: &str| {
                message
                    .blocks
                    .iter()
                    .any(|b| matches!(b, Block::ToolResult { id, .. } if id == call))
            };
            let stays =
                |block: &Block| !matches!(block, Block::ToolUse { id, .. } if is_answered(id));
            reply.message.blocks.retain(stays);
            (reply.seq, self.goes_on) = (seq, true);
            return;
        }
        self.reply.take().into_iter().for_each(&mut out);
        out(Said { message, before: String::new(), seq });
    }

    /// The log is over.
    pub(super) fn end(self) -> Option<Said> {
        self.reply
    }
}
