//! One source of settings: values by key, each with its place.

pub(super) mod address;
mod file;
mod variables;

use std::collections::BTreeMap;

pub(super) use file::{Read, read_tree};
pub(super) use variables::{of_assignments, of_environment};

use super::problem::{Findings, Place};

/// What a source says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One value, as it was written.
    Text(String),
    /// Several values.
    List(Vec<String>),
}

impl Value {
    /// The value in one line.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => items.join(", "),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The value.
    pub(super) value: Value,
    /// Where it was written.
    pub(super) place: Place,
    /// The other name it was written under.
    pub(super) alias: Option<String>,
}

/// The values of one source, by key.
pub(super) type Layer = BTreeMap<String, Given>;

/// Puts a value into `layer`; two values for one key in one source are a problem.
pub(super) fn put(layer: &mut Layer, path: &str, given: Given, findings: &mut Findings) {
    if let Some(other) = layer.get(path)
        && other.value != given.value
    {
        let name = given.alias.as_deref().unwrap_or(path);
        let twin = other.alias.as_deref().unwrap_or(path);
        findings.problem(
            &given.place,
            format!("`{name}` and `{twin}` ({}) set the same thing: keep one", other.place),
        );
        return;
    }
    layer.insert(path.to_owned(), given);
}
