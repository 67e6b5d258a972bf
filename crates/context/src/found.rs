//! What a search finds.

use std::sync::Arc;

use jiff::Timestamp;
use wire::prompt::Role;

use crate::Entry;

/// A message that holds the words of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The context it belongs to.
    pub context: Arc<str>,
    /// The title of that context.
    pub title: Option<String>,
    /// Its number there.
    pub seq: u32,
    /// Who said it.
    pub role: Role,
    /// When it was said.
    pub at: Timestamp,
    /// The part of it around the first word.
    pub excerpt: String,
    /// How well it fits; larger is better, and only comparable inside one answer.
    pub score: f64,
}

/// An older message that has to do with a question.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// Its number.
    pub seq: u32,
    /// How well it fits; larger is better, and only comparable inside one answer.
    pub score: f64,
    /// Its place among the messages found by their words, from 1.
    pub words: Option<u32>,
    /// Its place among the messages found by their vectors, from 1.
    pub vectors: Option<u32>,
    /// The message with its neighbours, oldest first.
    pub entries: Vec<Entry>,
}

impl Recalled {
    /// Estimated tokens of what is told again.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.tokens)).sum()
    }
}
