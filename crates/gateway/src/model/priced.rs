//! What the price table knows of a provider's models, each searched for once.
//!
//! A table is read with the settings and never changes: other prices come with other settings, and
//! those with a memory of their own.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::Prices;
use parking_lot::Mutex;

/// Limit: names that are remembered; they come from callers.
const NAMES_MAX: usize = 256;

/// The price table as one provider sees it.
#[derive(Debug)]
pub(super) struct Priced {
    prices: Arc<Prices>,
    /// The places of the rows by the models' names; `None` for what the table does not know.
    places: Mutex<HashMap<String, Option<usize>>>,
}

impl Priced {
    pub(super) fn new(prices: &Arc<Prices>) -> Self {
        Self { prices: Arc::clone(prices), places: Mutex::default() }
    }

    /// The whole table.
    pub(super) fn table(&self) -> &Prices {
        &self.prices
    }

    /// The row of a model at the first of these names of the provider that has one.
    pub(super) fn row(&self, providers: [&str; 2], model: &str) -> Option<&ledger::Model> {
        let known = self.places.lock().get(model).copied();
        let place = known.unwrap_or_else(|| self.search(providers, model));
        self.prices.models().get(place?)
    }

    fn search(&self, providers: [&str; 2], model: &str) -> Option<usize> {
        let place = providers.iter().find_map(|name| self.prices.place(name, model));
        let mut places = self.places.lock();
        if places.len() < NAMES_MAX {
            places.insert(model.to_owned(), place);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [[model]]
        id = "small"
        provider = "kind"
        usd = { input = 1.0, output = 2.0 }
        [[model]]
        id = "small"
        provider = "own"
        usd = { input = 3.0, output = 4.0 }
        [[model]]
        id = "large*"
        provider = "kind"
        usd = { input = 5.0, output = 6.0 }
    "#;

    #[test]
    fn a_row_is_the_one_that_a_search_gives_however_often_it_is_asked_for() {
        let prices = Arc::new(Prices::read(TABLE).unwrap());
        let priced = Priced::new(&prices);
        for _ in 0..3 {
            for model in ["small", "large-2", "unknown"] {
                let searched = prices.find("own", model).or_else(|| prices.find("kind", model));
                let row = priced.row(["own", "kind"], model);
                assert_eq!(
                    row.map(|row| (&row.provider, &row.id)),
                    searched.map(|row| (&row.provider, &row.id))
                );
            }
        }
        assert_eq!(priced.row(["own", "kind"], "small").unwrap().provider, "own");
        assert_eq!(priced.row(["own", "kind"], "large-2").unwrap().id, "large*");
        assert!(priced.row(["own", "kind"], "unknown").is_none());
    }

    #[test]
    fn names_that_callers_make_up_are_not_all_remembered() {
        let priced = Priced::new(&Arc::new(Prices::read(TABLE).unwrap()));
        for number in 0..2 * NAMES_MAX {
            assert!(priced.row(["own", "kind"], &format!("large-{number}")).is_some());
        }
        assert_eq!(priced.places.lock().len(), NAMES_MAX);
    }
}
