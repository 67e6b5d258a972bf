//! The sources of settings on top of each other: the uppermost that says something counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::keys;
use super::layer::{Given, Layer};
use super::problem::Place;

/// Layers, the lowest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    layers: Vec<Layer>,
    /// The file of the providers that the API added, and their names in the order of adding.
    added: (PathBuf, Vec<String>),
}

impl Stack {
    /// Puts `layer` on top.
    pub(super) fn push(&mut self, layer: Layer) {
        if !layer.is_empty() {
            self.layers.push(layer);
        }
    }

    /// Puts `layer` below all others.
    pub(super) fn push_below(&mut self, layer: Layer) {
        if !layer.is_empty() {
            self.layers.insert(0, layer);
        }
    }

    /// Notes which providers the API added, and in which order.
    pub(super) fn note_added(&mut self, file: &Path, names: Vec<String>) {
        self.added = (file.to_owned(), names);
    }

    /// The place of a provider among those that only the API added; nothing for others.
    pub(super) fn added_place(&self, name: &str) -> Option<usize> {
        let (file, names) = &self.added;
        let place = names.iter().position(|added| added == name)?;
        self.elsewhere(&format!("providers.{name}"), file).is_none().then_some(place)
    }

    /// Where something is said of the group `group` that does not stand in the file `but`.
    pub(crate) fn elsewhere(&self, group: &str, but: &Path) -> Option<Place> {
        let start = format!("{group}.");
        let said = self.layers.iter().flat_map(Layer::iter);
        let mut said =
            said.filter(|(path, _)| path.starts_with(&start)).map(|(_, given)| &given.place);
        said.find(|place| place.file() != Some(but)).cloned()
    }

    /// Puts all of `layers` on top, in their order.
    pub(super) fn extend(&mut self, layers: Vec<Layer>) {
        for layer in layers {
            self.push(layer);
        }
    }

    /// What counts for `path`.
    pub(super) fn given(&self, path: &str) -> Option<&Given> {
        self.layers.iter().rev().find_map(|layer| layer.get(path))
    }

    /// What was said about `path` but does not count, the nearest to counting first.
    pub(super) fn overridden(&self, path: &str) -> Vec<&Given> {
        self.layers.iter().rev().filter_map(|layer| layer.get(path)).skip(1).collect()
    }

    /// The names in use at `NAME` of `pattern`, such as the providers of `providers.NAME.`.
    pub(super) fn names(&self, group: &str) -> BTreeSet<String> {
        let start = format!("{group}.");
        let paths = self.layers.iter().flat_map(|layer| layer.keys());
        let rest = paths.filter_map(|path| path.strip_prefix(&start));
        rest.map(|rest| rest.split('.').next().unwrap_or(rest).to_owned()).collect()
    }

    /// Everything below `group`, as it was written after the group's name.
    pub(super) fn below(&self, group: &str) -> BTreeSet<String> {
        let start = format!("{group}.");
        let paths = self.layers.iter().flat_map(|layer| layer.keys());
        paths.filter_map(|path| path.strip_prefix(&start)).map(ToOwned::to_owned).collect()
    }

    /// Every path that has a value: all keys with fixed names, and those that were given.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let given: BTreeSet<&String> = self.layers.iter().flat_map(|layer| layer.keys()).collect();
        for key in keys::all() {
            if key.path.contains("NAME") {
                let fitting = given
                    .iter()
                    .filter(|path| keys::named(path).is_some_and(|known| known.path == key.path));
                paths.extend(fitting.map(|path| (*path).clone()));
            } else {
                paths.push(key.path.to_owned());
            }
        }
        paths
    }
}
