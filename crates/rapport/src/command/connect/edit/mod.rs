//! Edits of configuration files that belong to others: one entry changes, every other byte stays.

mod json;
mod read;
#[cfg(test)]
mod tests;
mod toml;

use serde_json::{Map, Value};

pub(super) use json::{is_loose, set as set_value};
pub(super) use read::Wrong;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON; comments and commas behind the last member are read, and kept.
    Json,
    /// TOML.
    Toml,
}

/// Why an edit was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The file cannot be read as what it is.
    Wrong(Wrong),
    /// The edit would have changed something else: the entry is written in an unusual way.
    Unusual,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(wrong) => wrong.fmt(f),
            Self::Unusual => f.write_str(
                "the entry is written in a way that cannot be changed alone; change it by hand",
            ),
        }
    }
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl Format {
    /// The entry `group.name` of a text.
    ///
    /// # Errors
    /// Where the text is not of this format.
    pub(super) fn find(self, text: &str, path: &[&str]) -> Result<Option<Value>, Wrong> {
        match self {
            Self::Json => json::find(text, path),
            Self::Toml => toml::find(text, path),
        }
    }

    /// The text with this entry; of one that is there only what differs is written.
    ///
    /// # Errors
    /// Where the text is not of this format, or the edit would change more than the entry.
    pub(super) fn set(
        self,
        text: &str,
        path: &[&str],
        entry: &Map<String, Value>,
    ) -> Result<String, Refused> {
        let whole = Value::Object(entry.clone());
        let edited = match self.find(text, path)? {
            Some(Value::Object(old)) => {
                let mut edited = text.to_owned();
                let gone = old.keys().filter(|name| !entry.contains_key(*name));
                for name in gone {
                    edited = self.change(&edited, path, (name, None))?;
                }
                for (name, value) in entry.iter().filter(|(name, v)| old.get(*name) != Some(*v)) {
                    edited = self.change(&edited, path, (name, Some(value)))?;
                }
                edited
            }
            _ => match self {
                Self::Json => json::set(text, path, &whole)?,
                Self::Toml => toml::add(text, path, entry),
            },
        };
        let is_there = self.find(&edited, path).ok().flatten() == Some(whole);
        if is_there && self.rest(text, path) == self.rest(&edited, path) {
            Ok(edited)
        } else {
            Err(Refused::Unusual)
        }
    }

    /// The text without this entry.
    ///
    /// # Errors
    /// As [`Format::set`].
    pub(super) fn remove(self, text: &str, path: &[&str]) -> Result<String, Refused> {
        let edited = match self {
            Self::Json => json::remove(text, path)?,
            Self::Toml => toml::remove(text, path),
        };
        let is_gone = matches!(self.find(&edited, path), Ok(None));
        if is_gone && self.rest(text, path) == self.rest(&edited, path) {
            Ok(edited)
        } else {
            Err(Refused::Unusual)
        }
    }

    fn change(
        self,
        text: &str,
        path: &[&str],
        (name, value): (&str, Option<&Value>),
    ) -> Result<String, Wrong> {
        let longer: Vec<&str> = path.iter().copied().chain([name]).collect();
        match (self, value) {
            (Self::Json, Some(value)) => json::set(text, &longer, value),
            (Self::Json, None) => json::remove(text, &longer),
            (Self::Toml, value) => toml::change(text, path, (name, value)),
        }
    }

    /// What a text says beside the entry; groups that are empty count as absent.
    fn rest(self, text: &str, path: &[&str]) -> Option<Value> {
        let mut all = self.find(text, &[]).ok()?.unwrap_or_else(|| Value::Object(Map::new()));
        if let Some((group, [name])) = path.split_first() {
            let table = all.get_mut(group).and_then(Value::as_object_mut);
            let empty = table.is_none_or(|table| {
                table.shift_remove(*name);
                table.is_empty()
            });
            if let (true, Some(all)) = (empty, all.as_object_mut()) {
                all.shift_remove(*group);
            }
        }
        Some(all)
    }
}
