//! What clients listen to at this moment, counted, so that an owner listens there for them: once,
//! however many they are, and no longer than the last of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

/// What can be listened to one by one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A resource, by its address.
    Resource(String),
    /// A task, by its id.
    Task(String),
}

/// Who is told when the first listener of something comes, or the last one goes.
pub(crate) type Tell = Box<dyn Fn() + Send + Sync>;

/// The listeners of a server, counted.
#[derive(Default)]
pub(crate) struct Interests {
    counts: Mutex<HashMap<Subject, usize>>,
    tell: OnceLock<Tell>,
}

impl std::fmt::Debug for Interests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Interests").field(&self.counts.lock().len()).finish()
    }
}

impl Interests {
    /// From now on this hears of it; there is one who does.
    pub(crate) fn tell(&self, tell: Tell) {
        if self.tell.set(tell).is_err() {
            tracing::debug!("somebody hears of it already");
        }
    }

    /// Everything that somebody listens to.
    pub(crate) fn all(&self) -> HashSet<Subject> {
        self.counts.lock().keys().cloned().collect()
    }

    fn change(&self, gone: &HashSet<Subject>, come: &HashSet<Subject>) {
        let mut is_other = false;
        {
            let mut counts = self.counts.lock();
            for subject in come.difference(gone) {
                let count = counts.entry(subject.clone()).or_default();
                is_other |= *count == 0;
                *count += 1;
            }
            for subject in gone.difference(come) {
                if let Some(count) = counts.get_mut(subject) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(subject);
                        is_other = true;
                    }
                }
            }
        }
        if let Some(tell) = self.tell.get().filter(|_| is_other) {
            tell();
        }
    }
}

/// What one listener listens to, for as long as it does.
#[derive(Debug)]
pub(crate) struct Interest {
    of: Arc<Interests>,
    held: HashSet<Subject>,
}

impl Interest {
    pub(crate) fn new(of: &Arc<Interests>, held: HashSet<Subject>) -> Self {
        of.change(&HashSet::new(), &held);
        Self { of: Arc::clone(of), held }
    }

    /// From now on it listens to these, and to nothing else.
    pub(crate) fn set(&mut self, held: HashSet<Subject>) {
        self.of.change(&self.held, &held);
        self.held = held;
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.of.change(&self.held, &HashSet::new());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn of(uris: &[&str]) -> HashSet<Subject> {
        uris.iter().map(|uri| Subject::Resource((*uri).to_owned())).collect()
    }

    #[test]
    fn the_owner_hears_of_the_first_listener_and_of_the_last_one_only() {
        let told = Arc::new(AtomicU32::new(0));
        let telling = Arc::clone(&told);
        let tell = move || {
            telling.fetch_add(1, Ordering::Relaxed);
        };
        let all = Arc::new(Interests::default());
        all.tell(Box::new(tell));
        let one = Interest::new(&all, of(&["a"]));
        let mut two = Interest::new(&all, of(&["a"]));
        assert_eq!((told.load(Ordering::Relaxed), all.all()), (1, of(&["a"])));
        two.set(of(&["a", "b"]));
        assert_eq!((told.load(Ordering::Relaxed), all.all()), (2, of(&["a", "b"])));
        drop(one);
        assert_eq!((told.load(Ordering::Relaxed), all.all()), (2, of(&["a", "b"])));
        drop(two);
        assert_eq!((told.load(Ordering::Relaxed), all.all()), (3, of(&[])));
    }
}
