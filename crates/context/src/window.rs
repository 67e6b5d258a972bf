//! What a model would be shown of a context.

use crate::{Context, Entry, Footing, Knowledge, Plan, Recalled, Summary};

/// How much a window may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Tokens of the messages, without instructions, tools and the reply.
    pub tokens: u32,
}

/// The part of a context that a model call carries.
#[derive(Clone, Debug)]
pub struct Window {
    /// The context, read together with the entries.
    pub context: Context,
    /// What is known beside the conversation.
    pub knowledge: Knowledge,
    /// Oldest first; failed messages and cut replies are left out.
    pub entries: Vec<Entry>,
    /// What this call left out that the one before still carried.
    pub cut: Option<Cut>,
    /// Tokens of the entries: the estimate, corrected by what the provider reported earlier.
    pub tokens: u64,
    /// What decides whether the next request continues the last one.
    pub footing: Footing,
    /// How it was chosen.
    pub plan: Plan,
    /// Results of tools up to this entry are cleared; 0 for none.
    pub cleared: u32,
    /// What stands for older messages.
    pub summary: Option<Summary>,
    /// Older messages that are always carried, oldest first.
    pub pinned: Vec<Entry>,
    /// Older messages that have to do with the newest one, the best first.
    pub recalled: Vec<Recalled>,
}

/// A step of the window's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Entries that are no longer carried.
    pub dropped_messages: u64,
    /// Their tokens.
    pub dropped_tokens: u64,
    /// Tokens of the entries that are still carried.
    pub kept_tokens: u64,
    /// The first entry that is still carried.
    pub first_seq: u32,
    /// Results of tools up to this entry are cleared; 0 for none.
    pub cleared_upto: u32,
}
