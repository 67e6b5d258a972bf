//! The table: embedded, extended by file, looked up by provider and name.

use std::sync::LazyLock;

use serde::Deserialize;
use wire::{Code, Fault};

use crate::name;
use crate::row::Model;

/// The table as it was shipped.
const EMBEDDED: &str = include_str!("prices.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    model: Vec<Model>,
}

/// Every model that is known, with what it can do and costs.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Later rows were added later and count before earlier ones of the same name.
    models: Vec<Model>,
}

impl Prices {
    /// The table that is part of the program, read once.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static TABLE: LazyLock<Prices> = LazyLock::new(|| {
            // A test reads the same text: it cannot fail here.
            Prices::read(EMBEDDED).unwrap_or_default()
        });
        &TABLE
    }

    /// Reads a table.
    ///
    /// # Errors
    /// `configuration_error` with line and column when the text is no table of models.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|cause| {
            let at = cause.span().map_or(1, |span| {
                text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
            });
            let what = format!("the price table is wrong in line {at}: {}", cause.message());
            wrong(what).hint(
                "a row is `[[model]]` with `id`, `provider`, `window` and `usd = { input = 2.5, \
                 output = 10 }`, in USD per million tokens",
            )
        })?;
        for model in &file.model {
            check(model)?;
        }
        Ok(Self { models: file.model })
    }

    /// Adds the rows of an override file. A row replaces the one of the same provider and name.
    ///
    /// # Errors
    /// As [`Prices::read`]; then nothing is added.
    pub fn merge(&mut self, text: &str) -> Result<(), Fault> {
        for model in Self::read(text)?.models {
            self.models.retain(|old| (&old.provider, &old.id) != (&model.provider, &model.id));
            self.models.push(model);
        }
        Ok(())
    }

    /// Every row.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The row of a model at this provider, or one for all providers: the exact name or a
    /// snapshot of it first, then the longest pattern.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Option<&Model> {
        self.models.get(self.place(provider, model)?)
    }

    /// Where in [`Prices::models`] the row of [`Prices::find`] stands: the search goes through the
    /// table several times, so whoever asks for each call remembers what it gave.
    #[must_use]
    pub fn place(&self, provider: &str, model: &str) -> Option<usize> {
        self.best(model, |row| row.provider == provider)
            .or_else(|| self.best(name::without_region(model), |row| row.provider == provider))
            .or_else(|| self.best(model, |row| row.provider == "*"))
            .or_else(|| self.best(name::bare(model), |row| row.provider == "*"))
    }

    /// The row of a model of this name, whoever serves it: good for what it can do, not for what
    /// it costs.
    #[must_use]
    pub fn likely(&self, provider: &str, model: &str) -> Option<&Model> {
        let place = self
            .place(provider, model)
            .or_else(|| self.best(model, |_| true))
            .or_else(|| self.best(name::bare(model), |_| true));
        self.models.get(place?)
    }

    /// The tokens that a model can take, as far as that is known.
    #[must_use]
    pub fn window_tokens(&self, provider: &str, model: &str) -> Option<u32> {
        let known = self.find(provider, model).and_then(|row| row.window);
        known.or_else(|| self.likely(provider, model)?.window)
    }

    fn best(&self, model: &str, is_asked: impl Fn(&Model) -> bool) -> Option<usize> {
        let asked = self.models.iter().enumerate().filter(|(_, row)| is_asked(row));
        let fits = asked.filter_map(|(place, row)| {
            let names = std::iter::once(&row.id).chain(&row.also);
            let fit = names.filter_map(|id| name::fit(id, model)).max()?;
            Some((fit, place))
        });
        // Of rows that fit as well as each other, the last.
        fits.max().map(|(_, place)| place)
    }
}

/// Refuses what is no model, naming the row.
fn check(model: &Model) -> Result<(), Fault> {
    let what = format!("`{}` of `{}`", model.id, model.provider);
    if model.id.is_empty() || model.provider.is_empty() {
        return Err(wrong("a model of the price table has no `id` or no `provider`".to_owned()));
    }
    if model.batch.is_some_and(|percent| percent > 100) {
        return Err(wrong(format!("{what}: `batch` is more than 100"))
            .hint("`batch` says what a call in a batch costs, in percent of the full price"));
    }
    if !model.tiers.is_sorted_by(|one, next| one.above < next.above) {
        return Err(wrong(format!("{what}: the `tiers` are not in rising order of `above`")));
    }
    Ok(())
}

fn wrong(text: String) -> Fault {
    Fault::new(Code::ConfigurationError, text)
}
