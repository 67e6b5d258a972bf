//! What is known beside the conversation: profiles of users, facts, the environment.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::Map;

/// What kind of note it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// Something that holds for a while: told to the model until it expires.
    Fact,
    /// The state of something outside, by name: a new value replaces the old one.
    Environment,
}

impl NoteKind {
    /// The kind as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fact => "fact",
            Self::Environment => "environment",
        }
    }

    /// Reads a kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "fact" => Some(Self::Fact),
            "environment" => Some(Self::Environment),
            _ => None,
        }
    }
}

/// A note to be kept.
#[derive(Clone, Debug)]
pub struct NewNote {
    /// What kind it is.
    pub kind: NoteKind,
    /// Its name; a note of the same kind and name is replaced. The environment needs one.
    pub name: Option<String>,
    /// What it says.
    pub value: Value,
    /// How long it holds; for ever when absent.
    pub expires_in: Option<Duration>,
}

/// A note of a context.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Its number in the context, from 1.
    pub number: u32,
    /// What kind it is.
    pub kind: NoteKind,
    /// Its name.
    pub name: Option<String>,
    /// What it says.
    pub value: Value,
    /// When it was noted.
    pub at: Timestamp,
    /// When it no longer holds.
    pub expires_at: Option<Timestamp>,
}

/// What is known of a user in all their contexts.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The user.
    pub user: String,
    /// Preferences, identity, whatever the application keeps.
    pub body: Map,
    /// Counts the changes.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub last_updated: Timestamp,
}

/// What a model is told beside the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// The profile of the context's user; empty when there is none.
    pub profile: Map,
    /// The notes that hold now, oldest first.
    pub notes: Vec<Note>,
}

impl Knowledge {
    /// There is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profile.is_empty() && self.notes.is_empty()
    }
}
