//! Which contexts chose a durability: the writer must know before it begins their transaction.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use storage::rusqlite::Connection;
use storage::{Durability, Stored};
use wire::Fault;

use crate::rows::ctx::durability_of;
use crate::{Key, Tenant};

/// Limit: choices kept in memory. Beyond it, contexts that are not kept get at least `group`.
const CHOICES_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Choices(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_key: HashMap<Key, Durability>,
    incomplete: bool,
}

impl Choices {
    /// Reads the choices of all contexts.
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let sql = "SELECT tenant, id, durability FROM ctx WHERE durability IS NOT NULL LIMIT ?1";
        let mut statement = connection.prepare(sql).stored()?;
        let limit = i64::try_from(CHOICES_MAX).unwrap_or(i64::MAX);
        let rows = statement
            .query_map([limit], |row| {
                let id: String = row.get(1)?;
                let key = Key { tenant: Tenant(row.get(0)?), id: id.into() };
                Ok((key, durability_of(row.get(2)?)))
            })
            .stored()?;
        let by_key = rows.collect::<Result<HashMap<_, _>, _>>().stored()?;
        let incomplete = by_key.len() >= CHOICES_MAX;
        Ok(Self(Mutex::new(Held { by_key, incomplete })))
    }

    /// The durability of a context; `default` when it chose none.
    pub(super) fn of(&self, key: &Key, default: Durability) -> Durability {
        self.with(|held| match held.by_key.get(key) {
            Some(chosen) => *chosen,
            None if held.incomplete && default == Durability::Fast => Durability::Group,
            None => default,
        })
    }

    pub(super) fn set(&self, key: &Key, choice: Option<Durability>) {
        self.with(|held| match choice {
            None => drop(held.by_key.remove(key)),
            Some(_) if held.by_key.len() >= CHOICES_MAX && !held.by_key.contains_key(key) => {
                held.incomplete = true;
            }
            Some(choice) => drop(held.by_key.insert(key.clone(), choice)),
        });
    }

    fn with<T>(&self, job: impl FnOnce(&mut Held) -> T) -> T {
        job(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
