//! The providers we know: one table, embedded, extended by a file.

use std::sync::LazyLock;

use serde::Deserialize;
use wire::{Code, Fault};

use super::row::Row;

/// The table as it was shipped.
const EMBEDDED: &str = include_str!("providers.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<Row>,
}

/// Every provider that is known by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Providers {
    rows: Vec<Row>,
}

impl Providers {
    /// The table that is part of the program, read once.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static TABLE: LazyLock<Providers> = LazyLock::new(|| {
            // A test reads the same text: it cannot fail here.
            Providers::read(EMBEDDED).unwrap_or_default()
        });
        &TABLE
    }

    /// Reads a table.
    ///
    /// # Errors
    /// `configuration_error` with the line when the text is no table of providers, or the row when
    /// it names what we do not speak.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|cause| {
            let line = cause.span().map_or(1, |span| {
                text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
            });
            wrong(format!("the table of providers is wrong in line {line}: {}", cause.message()))
                .hint("a row is `[[provider]]` with `name`, `base_url` and `key = [\"VARIABLE\"]`")
        })?;
        for row in &file.provider {
            check(row)?;
        }
        Ok(Self { rows: file.provider })
    }

    /// Adds the rows of a file. A row replaces the one of the same name.
    ///
    /// # Errors
    /// As [`Providers::read`]; then nothing is added.
    pub fn merge(&mut self, text: &str) -> Result<(), Fault> {
        for row in Self::read(text)?.rows {
            match self.rows.iter_mut().find(|old| old.name == row.name) {
                Some(old) => *old = row,
                None => self.rows.push(row),
            }
        }
        Ok(())
    }

    /// Every row, in the order in which defaults are looked for.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The first provider whose own model this likely is.
    #[must_use]
    pub fn owner(&self, model: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.owns(model))
    }
}

fn check(row: &Row) -> Result<(), Fault> {
    let name = &row.name;
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(wrong(format!("`{name}` is no name of a provider"))
            .hint("write it with a-z, 0-9, `-` and `_`"));
    }
    if wire::dialect::named(&row.dialect).is_none() {
        return Err(wrong(format!(
            "provider `{name}` names the unknown dialect `{}`",
            row.dialect
        ))
        .hint(super::known_dialects()));
    }
    if !row.base_url.starts_with("http://") && !row.base_url.starts_with("https://") {
        return Err(wrong(format!("provider `{name}` has no address: `{}`", row.base_url))
            .hint("`base_url` begins with http:// or https://"));
    }
    Ok(())
}

fn wrong(text: String) -> Fault {
    Fault::new(Code::ConfigurationError, text)
}
