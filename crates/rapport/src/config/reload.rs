//! What a reload changes, and what has to wait for a restart.

use super::keys::{self, Change, Kind};
use super::load::Loaded;

/// A key with a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The key.
    pub(crate) key: String,
    /// What it was, and what it is: secrets are hidden.
    pub(crate) was: String,
    /// What it is now.
    pub(crate) is: String,
    /// The new value counts only after a restart.
    pub(crate) restart: bool,
}

/// Every key whose value differs between two configurations.
pub(crate) fn differences(old: &Loaded, new: &Loaded) -> Vec<Difference> {
    let mut paths = old.stack.paths();
    for path in new.stack.paths() {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let raw = |loaded: &Loaded, path: &str| match loaded.stack.given(path) {
        Some(given) => given.value.line(),
        None => keys::named(path).map_or_else(String::new, |key| key.default.to_owned()),
    };
    let mut found = Vec::new();
    for path in paths {
        let (was, is) = (raw(old, &path), raw(new, &path));
        if was == is {
            continue;
        }
        let key = keys::named(&path);
        let secret = key.is_some_and(|key| matches!(key.kind, Kind::Secret | Kind::Url));
        let shown = |text: String| if secret { "[hidden]".to_owned() } else { text };
        let restart = key.is_some_and(|key| key.change == Change::Restart);
        found.push(Difference { key: path, was: shown(was), is: shown(is), restart });
    }
    found
}
