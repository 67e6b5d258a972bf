//! The handle everybody holds, one file per group of operations.

mod amend;
mod beside;
mod branches;
mod choices;
mod encryption;
mod export;
mod fork;
mod history;
mod hooks;
mod import;
mod knowledge;
mod log;
mod manage;
mod merge;
mod mounts;
mod news;
mod once;
mod past;
mod ranges;
mod recall;
mod redaction;
mod scrub;
mod search;
mod share;
mod summarise;
mod sweep;
mod telling;
mod turns;
mod vectors;
mod verify;
mod windows;

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use storage::rusqlite::Connection;
use storage::{Database, Durability, Stored};
use tokio::sync::watch;
use wire::Fault;

use crate::rows::ctx::Row;
use crate::rows::seal::{self, Ring};
use crate::rows::{entry, mounts::Mounted, ranges::Marks, unsigned};
use crate::{Embedder, Key, Limits, Vault};
use choices::Choices;
pub use export::Export;
pub use import::{Import, ImportOrder, Imported};
pub use mounts::Compared;
pub use news::{News, Seen};
pub use past::Past;
use redaction::Redaction;
pub use redaction::{RedactOrder, Redacted};
pub use share::{NewShare, Share};
use telling::Watch;
pub use verify::{Defect, Report, verify_store};

/// All contexts of the store; clones share them.
#[derive(Clone, Debug)]
pub struct Contexts {
    db: Database,
    inner: Arc<Inner>,
    durability: Durability,
    expect: Option<u64>,
}

/// Figures over all contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Contexts that exist.
    pub contexts: u64,
    /// Their entries.
    pub messages: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

/// How long contexts live whose caller says nothing of it; for ever when nothing is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// From when they were made on; without effect beside `idle`.
    pub age: Option<Duration>,
    /// Since the last change.
    pub idle: Option<Duration>,
}

/// What jobs on the writer thread need beside the connection.
#[derive(Debug)]
struct Inner {
    limits: Limits,
    totals: Totals,
    choices: Choices,
    summarising: Arc<Mutex<HashSet<i64>>>,
    writes: watch::Sender<u64>,
    watch: Watch,
    redaction: Redaction,
    ring: Arc<Ring>,
    imports: Arc<tokio::sync::Semaphore>,
    embedder: Mutex<Option<Arc<dyn Embedder>>>,
    lifetime: Mutex<Lifetime>,
    /// The chains of logs that are passed on to other servers, and the key that signs them.
    marks: Marks,
    signer: OnceLock<Arc<crate::mount::Signer>>,
    /// Contexts of other servers that are here.
    mounted: Mounted,
    mounts_changed: tokio::sync::Notify,
}

/// The figures of [`Counts`], kept by the jobs; a commit that fails may leave them a little off
/// until the next start.
#[derive(Debug, Default)]
struct Totals {
    contexts: AtomicI64,
    messages: AtomicI64,
    bytes: AtomicI64,
}

impl Totals {
    /// Takes the difference between a row before and after a job; `None` is no row.
    fn moved(&self, before: Option<(u32, u64)>, after: Option<(u32, u64)>) {
        let number = |row: Option<(u32, u64)>| {
            row.map_or((0, 0), |(head, bytes)| (i64::from(head), crate::rows::signed(bytes)))
        };
        let contexts = i64::from(after.is_some()) - i64::from(before.is_some());
        let (old, new) = (number(before), number(after));
        self.contexts.fetch_add(contexts, Ordering::Relaxed);
        self.messages.fetch_add(new.0 - old.0, Ordering::Relaxed);
        self.bytes.fetch_add(new.1 - old.1, Ordering::Relaxed);
    }
}

/// The figures of a row that the totals follow: what it shares is counted where it lies.
fn figures(row: &Row) -> (u32, u64) {
    (row.head.saturating_sub(row.base.0), row.bytes.saturating_sub(row.base.1))
}

impl Contexts {
    /// Takes the contexts of an open store. Turns that were running when the last process died are
    /// marked as failed, so that they can be retried.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be read or written.
    pub async fn open(db: Database, limits: Limits) -> Result<Self, Fault> {
        let (totals, choices, hooks, redaction, mounted) = db
            .read(|c| {
                let hooks = crate::rows::hooks::Subscribed::read(c)?;
                let mounted = Mounted::read(c)?;
                Ok((seed(c)?, Choices::read(c)?, hooks, Redaction::read(c)?, mounted))
            })
            .await?;
        let (summarising, writes) = (Arc::default(), watch::Sender::new(0));
        let (watch, ring) = (Watch::new(hooks), Arc::default());
        let inner = Arc::new(Inner {
            limits,
            totals,
            choices,
            summarising,
            writes,
            watch,
            redaction,
            ring,
            imports: Arc::new(tokio::sync::Semaphore::new(import::IMPORTS_MAX)),
            embedder: Mutex::default(),
            lifetime: Mutex::default(),
            marks: Marks::default(),
            signer: OnceLock::new(),
            mounted,
            mounts_changed: tokio::sync::Notify::new(),
        });
        let this = Self { db, inner, durability: Durability::Group, expect: None };
        this.recover().await?;
        Ok(this)
    }

    /// Sets the durability of contexts that choose none; [`Durability::Group`] unless set.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same contexts for one change that is made only if the context still has this revision:
    /// `precondition_failed` otherwise. `None` expects none.
    #[must_use]
    pub fn expecting(&self, revision: Option<u64>) -> Self {
        Self { expect: revision, ..self.clone() }
    }

    /// Sets how long contexts live that are made from now on and whose caller says nothing of it.
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        *self.inner.lifetime.lock().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    /// Sets, once, who keeps the master key: secrets of webhooks need it.
    pub fn set_vault(&self, vault: Vault) {
        // A second key could not open what the first one sealed.
        let _first = self.inner.ring.vault.set(Arc::new(vault));
    }

    /// Figures over all contexts, from memory.
    #[expect(clippy::unused_async, reason = "a store of many machines will have to ask")]
    pub async fn counts(&self) -> Counts {
        let totals = &self.inner.totals;
        Counts {
            contexts: unsigned(totals.contexts.load(Ordering::Relaxed)),
            messages: unsigned(totals.messages.load(Ordering::Relaxed)),
            bytes: unsigned(totals.bytes.load(Ordering::Relaxed)),
        }
    }

    /// The store, for health, statistics and backup.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// Runs a job on the writer with what it needs.
    async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        job: impl FnOnce(&Job<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let inner = Arc::clone(&self.inner);
        let (who, expect) = (crate::actor(), self.expect);
        let done = self
            .db
            .write(durability, move |connection| {
                let now = crate::clock::now();
                let job = || job(&Job { connection, inner: &inner, now, who, expect });
                seal::with(&inner.ring, job)
            })
            .await;
        // Told after the commit, so that who looks then sees it.
        self.inner.writes.send_modify(|count| *count = count.wrapping_add(1));
        done
    }

    /// The durability for a write of this context.
    fn durability_for(&self, key: &Key, wanted: Option<Durability>) -> Durability {
        wanted.unwrap_or_else(|| self.inner.choices.of(key, self.durability))
    }
}

/// A job in its transaction.
struct Job<'a> {
    connection: &'a Connection,
    inner: &'a Inner,
    now: i64,
    /// On whose behalf.
    who: Option<Arc<str>>,
    /// The revision that the context must have for the change to be made.
    expect: Option<u64>,
}

impl Job<'_> {
    /// Finds a context that a caller may change.
    fn live(&self, key: &Key) -> Result<Row, Fault> {
        crate::rows::ctx::live(self.connection, key, self.now)
    }
}

fn seed(connection: &Connection) -> Result<Totals, Fault> {
    let sql = "SELECT count(*),
                 coalesce(sum(head - base_seq), 0)
                   + (SELECT coalesce(sum(head - base_seq), 0) FROM view),
                 coalesce(sum(bytes - base_bytes), 0)
                   + (SELECT coalesce(sum(bytes - base_bytes), 0) FROM view) FROM ctx";
    connection
        .query_row(sql, [], |row| {
            Ok(Totals {
                contexts: AtomicI64::new(row.get(0)?),
                messages: AtomicI64::new(row.get(1)?),
                bytes: AtomicI64::new(row.get(2)?),
            })
        })
        .stored()
}

/// Checks the sizes of new contents against the limits.
fn admit_contents(job: &Job<'_>, row: &Row, contents: &[&crate::Content]) -> Result<(), Fault> {
    entry::admit(row, contents, &job.inner.limits)
}
