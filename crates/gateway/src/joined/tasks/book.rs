//! Which task is whose, and how its server names it. It is kept on disk, so that a task outlives
//! the gateway: its server goes on with it.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Limit: tasks that are remembered; the oldest go first.
const TASKS_MAX: usize = 2_000;
/// Limit: how long one is remembered.
const KEPT_SECONDS: i64 = 7 * 24 * 3600;
/// The name it is kept under, which no server can have.
pub(in crate::joined) const SHELF: &str = "+tasks";

/// A task of a joined server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// Its name here, which nobody guesses.
    pub(crate) id: String,
    /// The server that has it.
    pub(crate) server: String,
    /// What that server is: another one may get its name.
    of: String,
    /// Its name there.
    pub(crate) theirs: String,
    /// Whose it is.
    whose: u64,
    /// When it was noted, in seconds since 1970.
    made: i64,
}

/// All tasks, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Book {
    all: Mutex<VecDeque<Arc<Noted>>>,
    /// One writer at a time, so that no older state wins.
    writing: Mutex<()>,
}

/// Where a task is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Where<'a> {
    /// The server's name.
    pub(crate) server: &'a str,
    /// What it is.
    pub(crate) of: &'a str,
    /// The task's name there.
    pub(crate) theirs: &'a str,
}

impl Book {
    /// Takes what was kept.
    pub(in crate::joined) fn load(&self, text: &str) {
        match serde_json::from_str::<VecDeque<Arc<Noted>>>(text) {
            Ok(all) => *self.all.lock() = all,
            Err(error) => tracing::warn!("the tasks of joined servers cannot be read: {error}"),
        }
    }

    /// Gives what is to be kept to `keep`, one at a time.
    pub(in crate::joined) fn keep(&self, keep: impl FnOnce(&str)) {
        let _one = self.writing.lock();
        let all = self.all.lock().clone();
        if let Ok(text) = serde_json::to_string(&all) {
            keep(&text);
        }
    }

    /// Notes a task of a server; the same one keeps its name.
    pub(crate) fn note(&self, place: Where<'_>, whose: u64) -> Arc<Noted> {
        let now = Timestamp::now().as_second();
        let mut all = self.all.lock();
        let is_it = |noted: &&Arc<Noted>| noted.is_at(place) && noted.whose == whose;
        if let Some(known) = all.iter().find(is_it) {
            return Arc::clone(known);
        }
        let noted = Arc::new(Noted {
            id: format!("task-{}", uuid::Uuid::new_v4().simple()),
            server: place.server.to_owned(),
            of: place.of.to_owned(),
            theirs: place.theirs.to_owned(),
            whose,
            made: now,
        });
        all.retain(|noted| now.saturating_sub(noted.made) < KEPT_SECONDS);
        if all.len() >= TASKS_MAX {
            all.pop_front();
        }
        all.push_back(Arc::clone(&noted));
        noted
    }

    /// The task of this name, for the one whose it is.
    pub(crate) fn find(&self, id: &str, whose: u64) -> Option<Arc<Noted>> {
        let all = self.all.lock();
        all.iter().find(|noted| noted.id == id && noted.whose == whose).cloned()
    }

    /// All tasks of somebody, the newest first.
    pub(crate) fn of(&self, whose: u64) -> Vec<Arc<Noted>> {
        let all = self.all.lock();
        all.iter().rev().filter(|noted| noted.whose == whose).cloned().collect()
    }

    /// The tasks that a server names so: several only where it gives a name twice.
    pub(crate) fn at(&self, place: Where<'_>) -> Vec<Arc<Noted>> {
        self.all.lock().iter().filter(|noted| noted.is_at(place)).cloned().collect()
    }

    /// How a server names the task of this name.
    pub(crate) fn theirs(&self, server: &str, id: &str) -> Option<String> {
        let all = self.all.lock();
        let found = all.iter().find(|noted| noted.id == id && noted.server == server)?;
        Some(found.theirs.clone())
    }
}

impl Noted {
    fn is_at(&self, place: Where<'_>) -> bool {
        self.server == place.server && self.of == place.of && self.theirs == place.theirs
    }

    /// Whether the server of its name is still the same one.
    pub(crate) fn is_of(&self, mark: &str) -> bool {
        self.of == mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_its_owner_alone_also_after_a_restart() {
        let book = Book::default();
        let place = Where { server: "one", of: "mark", theirs: "1" };
        let mine = book.note(place, 7);
        assert_eq!(book.note(place, 7), mine, "the same one keeps its name");
        assert_ne!(book.note(place, 8).id, mine.id, "a name that a server gives twice");
        let mut kept = String::new();
        book.keep(|text| kept = text.to_owned());
        let again = Book::default();
        again.load(&kept);
        again.load("nonsense");
        assert_eq!(again.find(&mine.id, 7), Some(Arc::clone(&mine)));
        assert_eq!(again.find(&mine.id, 8), None);
        assert_eq!(again.theirs("one", &mine.id).as_deref(), Some("1"));
        assert_eq!(again.theirs("two", &mine.id), None);
        assert!(mine.is_of("mark") && !mine.is_of("another"));
        assert_eq!((again.of(7).len(), again.at(place).len()), (1, 2));
        for number in 0..TASKS_MAX {
            book.note(Where { theirs: &number.to_string(), server: "two", ..place }, 7);
        }
        assert_eq!(book.find(&mine.id, 7), None, "the oldest went");
    }
}
