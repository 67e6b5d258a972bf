//! What is known beside the conversation: profiles of users, facts, the environment.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::Map;

/// Limit: steps, and fetched data, that a model is told.
const NEWEST: usize = 20;

/// What kind of note it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// Something that holds for a while: told to the model until it expires.
    Fact,
    /// The state of something outside, by name: a new value replaces the old one.
    Environment,
    /// Who the assistant is, in every turn; there is one.
    Persona,
    /// What is to be done, by name: a new value replaces the old one.
    Plan,
    /// A step of thinking or acting that users do not see; the newest are told.
    Step,
    /// Something that was fetched on the way and users do not see; the newest are told.
    Data,
    /// A person, a thing or a wish that the conversation speaks of, by name.
    Entity,
}

impl NoteKind {
    /// Every kind with its name; the place in the list is its number in the store.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Fact, "fact"),
        (Self::Environment, "environment"),
        (Self::Persona, "persona"),
        (Self::Plan, "plan"),
        (Self::Step, "step"),
        (Self::Data, "data"),
        (Self::Entity, "entity"),
    ];

    /// The kind as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("fact", |(_, name)| name)
    }

    /// Reads a kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind)
    }

    pub(crate) fn number(self) -> i64 {
        let place = Self::ALL.iter().position(|(kind, _)| *kind == self);
        place.and_then(|place| i64::try_from(place).ok()).unwrap_or(0)
    }

    pub(crate) fn of_number(number: i64) -> Self {
        let place = usize::try_from(number).unwrap_or(0);
        Self::ALL.get(place).map_or(Self::Fact, |(kind, _)| *kind)
    }

    /// The name that notes without one get, so that there is one of the kind.
    pub(crate) fn only_name(self) -> Option<&'static str> {
        match self {
            Self::Persona => Some("persona"),
            Self::Plan => Some("plan"),
            Self::Fact | Self::Environment | Self::Step | Self::Data | Self::Entity => None,
        }
    }

    /// A note of the kind means nothing without a name.
    pub(crate) fn needs_name(self) -> bool {
        matches!(self, Self::Environment | Self::Entity)
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

    /// What a model is told, by kind: named notes as an object, the others as a list, of steps and
    /// fetched data the newest ones.
    #[must_use]
    pub fn told(&self) -> Map {
        let mut out = Map::new();
        if !self.profile.is_empty() {
            out.insert("profile".to_owned(), Value::Object(self.profile.clone()));
        }
        let of = |kind: NoteKind| self.notes.iter().filter(move |note| note.kind == kind);
        if let Some(persona) = of(NoteKind::Persona).next_back() {
            out.insert("persona".to_owned(), persona.value.clone());
        }
        for (kind, name) in [
            (NoteKind::Fact, "facts"),
            (NoteKind::Environment, "environment"),
            (NoteKind::Entity, "entities"),
            (NoteKind::Plan, "plans"),
            (NoteKind::Step, "steps"),
            (NoteKind::Data, "data"),
        ] {
            let named = kind.needs_name() || kind.only_name().is_some();
            let value = if named {
                let pair = |note: &Note| Some((note.name.clone()?, note.value.clone()));
                Value::Object(of(kind).filter_map(pair).collect())
            } else {
                let all: Vec<Value> = of(kind).map(|note| note.value.clone()).collect();
                let most = if kind == NoteKind::Fact { all.len() } else { NEWEST };
                Value::Array(all.into_iter().rev().take(most).rev().collect())
            };
            let empty = value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                out.insert(name.to_owned(), value);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn note(number: u32, kind: NoteKind, name: Option<&str>, value: Value) -> Note {
        let name = name.map(str::to_owned);
        Note { number, kind, name, value, at: Timestamp::UNIX_EPOCH, expires_at: None }
    }

    #[test]
    fn every_kind_is_told_in_its_place_and_of_steps_the_newest() {
        let mut notes = vec![
            note(1, NoteKind::Fact, None, json!("the shop is closed")),
            note(2, NoteKind::Persona, Some("persona"), json!("a patient teacher")),
            note(3, NoteKind::Entity, Some("Ann"), json!("the user's sister")),
            note(4, NoteKind::Plan, Some("plan"), json!(["ask", "answer"])),
        ];
        notes.extend((5..40).map(|n| note(n, NoteKind::Step, None, json!(n))));
        let told = Knowledge { profile: Map::new(), notes }.told();
        assert_eq!(told["persona"], "a patient teacher");
        assert_eq!(told["entities"], json!({"Ann": "the user's sister"}));
        assert_eq!(told["plans"]["plan"], json!(["ask", "answer"]));
        let steps = told["steps"].as_array().unwrap();
        assert_eq!((steps.len(), &steps[0], &steps[19]), (20, &json!(20), &json!(39)));
        assert!(!told.contains_key("environment") && !told.contains_key("profile"));
        for (kind, name) in NoteKind::ALL {
            assert_eq!(NoteKind::parse(name), Some(kind));
            assert_eq!(NoteKind::of_number(kind.number()), kind);
        }
    }
}
