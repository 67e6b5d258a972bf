//! Hands out typed values by key; what is wrong with one is noted with its place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::port::LogicalMap;
use gateway::settings::Secret;

use super::keys::{self, Kind};
use super::layer::Value;
use super::problem::{Findings, Place};
use super::read;
use super::stack::Stack;

/// A text with its place, variables put in.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The text.
    pub(super) text: String,
    /// Where it was written.
    pub(super) place: Place,
    /// Variables that were put in.
    pub(super) variables: Vec<String>,
}

/// Where variables of `${NAME}` are looked up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The stack with everything needed to read it.
pub(super) struct Values<'a> {
    /// The sources.
    pub(super) stack: &'a Stack,
    /// Where variables are looked up.
    pub(super) lookup: Lookup<'a>,
    /// What is wrong so far.
    pub(super) findings: &'a mut Findings,
    /// The folder that relative paths of flags and variables start from.
    pub(super) folder: &'a Path,
    /// The home folder for `~/`.
    pub(super) home: Option<PathBuf>,
}

impl Values<'_> {
    /// What stands for `path`, or its default; `None` when there is neither.
    pub(super) fn found(&mut self, path: &str) -> Option<Found> {
        let Some(given) = self.stack.given(path) else {
            let default = keys::named(path).map_or("", |key| key.default);
            let found =
                Found { text: default.to_owned(), place: Place::Default, variables: Vec::new() };
            return (!default.is_empty()).then_some(found);
        };
        let (line, place) = (given.value.line(), given.place.clone());
        // The environment is taken as it is; only files refer to it.
        if !matches!(place, Place::File(..)) {
            return Some(Found { text: line, place, variables: Vec::new() });
        }
        match read::interpolate(&line, self.lookup) {
            Ok((text, _)) if text.is_empty() => None,
            Ok((text, variables)) => Some(Found { text, place, variables }),
            Err(problem) => {
                self.findings.unset(&place, path, &problem);
                None
            }
        }
    }

    fn wrong(&mut self, path: &str, found: &Found) {
        let expected = keys::named(path).map_or_else(String::new, |key| key.kind.expected());
        // A value that came out of a variable may be a secret put in the wrong place.
        let shown = if found.variables.is_empty() { found.text.as_str() } else { "${…}" };
        self.findings
            .problem(&found.place, format!("`{path}` cannot be `{shown}`: write {expected}"));
    }

    fn read<T>(
        &mut self,
        path: &str,
        otherwise: T,
        read: impl FnOnce(&str, Kind) -> Option<T>,
    ) -> T {
        let Some(found) = self.found(path) else { return otherwise };
        let kind = keys::named(path).map_or(Kind::Text, |key| key.kind);
        match read(&found.text, kind) {
            Some(value) => value,
            None => {
                self.wrong(path, &found);
                otherwise
            }
        }
    }

    /// A truth value.
    pub(super) fn bool(&mut self, path: &str) -> bool {
        self.read(path, false, |text, _| read::bool(text))
    }

    /// A whole number; 0 where there is none.
    pub(super) fn count(&mut self, path: &str) -> u64 {
        self.optional_count(path).unwrap_or(0)
    }

    /// A whole number, or none for `unlimited`.
    pub(super) fn optional_count(&mut self, path: &str) -> Option<u64> {
        self.read(path, None, |text, kind| match kind {
            Kind::Count(low, high) => read::count(text, low, high).map(Some),
            Kind::CountOrUnlimited(..) if text == "unlimited" => Some(None),
            Kind::CountOrUnlimited(low, high) => read::count(text, low, high).map(Some),
            Kind::Bytes(low, high) => read::bytes(text, low, high).map(Some),
            _ => None,
        })
    }

    /// A whole number as a size of things in memory.
    pub(super) fn size(&mut self, path: &str) -> usize {
        usize::try_from(self.count(path)).unwrap_or(usize::MAX)
    }

    /// A time.
    pub(super) fn duration(&mut self, path: &str) -> Duration {
        self.read(path, Duration::from_secs(1), |text, _| read::duration(text))
    }

    /// One of the words of the key's choice, or of what `found` has made of it.
    pub(super) fn choice<T: Copy>(&mut self, path: &str, words: &[(&str, T)]) -> Option<T> {
        self.read(path, None, |text, _| {
            let word = text.trim().to_ascii_lowercase();
            words.iter().find(|(known, _)| *known == word).map(|(_, value)| Some(*value))
        })
    }

    /// Any text.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.found(path).map(|found| found.text)
    }

    /// Several texts with their place.
    pub(super) fn list(&mut self, path: &str) -> (Vec<String>, Place) {
        // Items of a list in a file may hold commas.
        if let Some(given) = self.stack.given(path)
            && let Value::List(items) = &given.value
        {
            let place = given.place.clone();
            let mut filled = Vec::new();
            for item in items {
                match read::interpolate(item, self.lookup) {
                    Ok((text, _)) => filled.push(text),
                    Err(problem) => self.findings.problem(&place, format!("`{path}`: {problem}")),
                }
            }
            return (filled, place);
        }
        match self.found(path) {
            Some(found) => (read::list(&found.text), found.place),
            None => (Vec::new(), Place::Default),
        }
    }

    /// A path; relative ones start from the folder of the file they are written in.
    pub(super) fn path(&mut self, path: &str) -> Option<PathBuf> {
        let found = self.found(path)?;
        Some(self.absolute(&found.text, &found.place))
    }

    /// `text` as a path from the root.
    pub(super) fn absolute(&self, text: &str, place: &Place) -> PathBuf {
        if let (Some(rest), Some(home)) = (text.strip_prefix("~/"), &self.home) {
            return home.join(rest);
        }
        let start = place.file().and_then(Path::parent).map(|folder| self.folder.join(folder));
        start.unwrap_or_else(|| self.folder.to_owned()).join(text)
    }

    /// A port; numbers that are names for real ports give a warning, or an error when `strict`.
    pub(super) fn port(&mut self, path: &str, strict: bool, map: &LogicalMap) -> u16 {
        let Some(found) = self.found(path) else { return doctor::port::HOME };
        match doctor::port::resolve(found.text.trim(), found.place.for_port(), strict, map) {
            Ok(resolved) => {
                if let Some(warning) = resolved.warning {
                    self.findings.warn(warning);
                }
                resolved.port
            }
            Err(invalid) => {
                self.findings.port(&invalid);
                doctor::port::HOME
            }
        }
    }

    /// A secret and where it came from.
    pub(super) fn secret(&mut self, path: &str) -> Option<(Secret, String)> {
        let found = self.found(path)?;
        let (text, source) = super::secret::resolve(path, &found, self)?;
        Some((Secret::new(text), source))
    }
}
