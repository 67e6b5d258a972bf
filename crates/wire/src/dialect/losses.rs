//! What a request had to leave out because the dialect cannot say it.

use std::cell::RefCell;

use crate::prompt::{Block, Message, Prompt, Raw, Wishes};

/// The names of what was left out, each once, in the order they were met.
#[derive(Debug, Default)]
pub(super) struct Losses(RefCell<Vec<String>>);

impl Losses {
    pub(super) fn add(&self, what: &str) {
        let mut list = self.0.borrow_mut();
        if !list.iter().any(|held| held == what) {
            list.push(what.to_owned());
        }
    }

    /// A part that has no words here.
    pub(super) fn block(&self, block: &Block) {
        self.add(block.kind());
    }

    /// What is lost by writing a message from its blocks.
    pub(super) fn message(&self, message: &Message) {
        self.marks(message.raw.as_ref());
    }

    /// Marks for the provider's cache that are in another dialect's bytes.
    pub(super) fn marks(&self, raw: Option<&Raw>) {
        let has_mark = |raw: &Raw| {
            memchr::memmem::find(raw.json.get().as_bytes(), b"\"cache_control\"").is_some()
        };
        if raw.is_some_and(has_mark) {
            self.add("cache_control");
        }
    }

    /// Wishes that are set and not among those the dialect knows.
    pub(super) fn wishes(&self, wishes: &Wishes, known: &[&str]) {
        let set = [
            ("top_k", wishes.top_k.is_some()),
            ("seed", wishes.seed.is_some()),
            ("frequency_penalty", wishes.frequency_penalty.is_some()),
            ("presence_penalty", wishes.presence_penalty.is_some()),
            ("tool_choice", wishes.tool_choice.is_some()),
            ("parallel_tools", wishes.parallel_tools == Some(false)),
            ("format", wishes.format.is_some()),
            ("effort", wishes.effort.is_some()),
            // Who knows levels only takes the nearest.
            ("thinking_tokens", wishes.thinking_tokens.is_some() && !known.contains(&"effort")),
            ("user", wishes.user.is_some()),
            ("cache_key", wishes.cache_key.is_some()),
        ];
        for (name, _) in set.into_iter().filter(|(name, is_set)| *is_set && !known.contains(name)) {
            self.add(name);
        }
    }

    /// Tools of the provider itself that only another dialect knows.
    pub(super) fn tools(&self, prompt: &Prompt, dialect: &str) {
        for tool in &prompt.tools {
            let is_foreign = tool.raw.as_ref().is_none_or(|raw| &*raw.dialect != dialect);
            match &tool.hosted {
                Some(kind) if is_foreign => self.add(&format!("tool:{kind}")),
                _ if is_foreign => self.marks(tool.raw.as_ref()),
                _ => {}
            }
        }
    }

    /// Fields that only another dialect knows.
    pub(super) fn private(&self, prompt: &Prompt, dialect: &str) {
        let private = prompt.private.iter().filter(|private| &*private.dialect != dialect);
        for field in private.flat_map(|private| &private.fields) {
            // Metadata is the caller's own note; no model answers differently for it.
            if !field.is_carried && field.name != "metadata" {
                self.add(&format!("field:{}", field.name));
            }
        }
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.0.into_inner()
    }
}
