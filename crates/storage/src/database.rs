//! The handle everybody holds: opens the store, sends jobs to the writer and the readers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wire::Fault;

use crate::backup;
use crate::fault::Stored as _;
use crate::fault::closed;
use crate::fold::Fold;
use crate::folder::{self, Claim};
use crate::health::{Health, Pulse};
use crate::later::Shadows;
use crate::migrate::{self, Schema};
use crate::readers::Readers;
use crate::writer::{Durability, Ended, Order, QUEUE_JOBS_MAX, Shared, Task, Writer};

/// Where the database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `rapport.db` in this folder, which is made when it is missing (its parent must exist).
    Folder(PathBuf),
    /// Nowhere: everything is gone when the handle is.
    Memory,
}

/// What the writer has done since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Transactions that were committed.
    pub commits: u64,
    /// Jobs in those transactions, the refused ones included.
    pub jobs: u64,
    /// Jobs waiting now.
    pub queued: usize,
}

/// The open store; clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    orders: mpsc::Sender<Order>,
    readers: Option<Arc<Readers>>,
    shared: Arc<Shared>,
}

impl Database {
    /// Opens or makes the database and brings its tables to the newest version.
    ///
    /// # Errors
    /// `configuration_error` with `details.reason` when the folder or the file cannot be used:
    /// `in_use` (with `details.pid`), `permission_denied`, `read_only`, `missing_parent`,
    /// `not_a_folder`, `disk_full`, `corrupt`, `foreign_database`, `newer_version`.
    pub async fn open(place: Place, schemas: &'static [&'static Schema]) -> Result<Self, Fault> {
        let task = tokio::task::spawn_blocking(move || Self::open_here(&place, schemas));
        task.await.unwrap_or_else(|error| {
            Err(Fault::internal("opening the store was cut off").because(error))
        })
    }

    fn open_here(place: &Place, schemas: &[&'static Schema]) -> Result<Self, Fault> {
        let (connection, path, claim) = match place {
            Place::Folder(folder) => {
                let claim = folder::claim(folder)?;
                let path = folder::file(folder)?;
                (folder::connect_writer(&path)?, Some(path), Some(claim))
            }
            Place::Memory => (folder::connect_memory()?, None, None),
        };
        migrate::run(&connection, path.as_deref(), schemas)?;
        let shadows = Shadows::of(schemas)?;
        shadows.cast_for_writer(&connection)?;
        let shared = Arc::new(Shared {
            pulse: Pulse::new(path.as_deref()),
            commits: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
        });
        let (orders, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let fold = path.as_deref().map(Fold::start).transpose()?;
        let writer = Writer::new(connection, queue, Arc::clone(&shared), fold)?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || finish(writer, claim))
            .map_err(|error| Fault::internal("the store has no thread to write").because(error))?;
        let readers = path.map(|path| Arc::new(Readers::new(path, shadows)));
        Ok(Self { orders, readers, shared })
    }

    /// Runs `job` in a transaction, together with the jobs of other callers, and returns when the
    /// transaction is as durable as asked. A caller that stops waiting does not undo its job.
    ///
    /// # Errors
    /// The job's own fault (its changes are taken back); `storage_error` when the commit failed or
    /// the store is closed; `internal_error` when the job panicked.
    pub async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        job: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (task, answer) = Task::new(job);
        self.order(Order::Write(durability, Box::new(task)), answer).await
    }

    /// Runs `job` on one snapshot of the database. It must not write.
    ///
    /// # Errors
    /// The job's own fault, or `storage_error` when the store cannot be read or is closed.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        match &self.readers {
            Some(readers) => readers.read(job).await,
            // A database in memory has one connection, and that is the writer's.
            None => self.write(Durability::Fast, job).await,
        }
    }

    /// Copies the database as it is now into the new file `to` while the store keeps working.
    /// `progress` gets the pages copied and the pages in all.
    ///
    /// # Errors
    /// `invalid_input` when `to` exists, `storage_error` when it cannot be written.
    pub async fn backup(
        &self,
        to: &Path,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), Fault> {
        let to = to.to_path_buf();
        let job = move |connection: &Connection| backup::copy(connection, &to, &mut progress);
        match &self.readers {
            Some(readers) => readers.read(job).await,
            None => {
                let (task, answer) = Task::new(job);
                self.order(Order::Bare(Box::new(task)), answer).await
            }
        }
    }

    /// Folds the log of writes into the file and empties it, so that nothing of it is left in a
    /// file of its own. Says whether it did: not while a reader still looks at what is in it.
    ///
    /// # Errors
    /// `storage_error` when it failed; nothing committed is lost by that.
    pub async fn fold(&self) -> Result<bool, Fault> {
        if self.readers.is_none() {
            return Ok(true);
        }
        let (task, answer) = Task::new(|connection: &Connection| {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            // Whoever waits to write shall not wait for a reader.
            connection.busy_timeout(std::time::Duration::ZERO).stored()?;
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], read);
            connection.busy_timeout(folder::BUSY_WAIT).stored()?;
            busy.map(|busy| busy == 0).stored()
        });
        self.order(Order::Bare(Box::new(task)), answer).await
    }

    /// How the store feels; costs no IO.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.pulse.read()
    }

    /// What the writer has done since the store was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            jobs: self.shared.jobs.load(Ordering::Relaxed),
            queued: self.orders.max_capacity() - self.orders.capacity(),
        }
    }

    /// Finishes everything that is queued, folds the log into the file and gives the folder back.
    /// Closing twice is no error.
    ///
    /// # Errors
    /// `storage_error` when the last fold failed; nothing committed is lost by that.
    pub async fn close(&self) -> Result<(), Fault> {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        let (reply, answer) = oneshot::channel();
        if self.orders.send(Order::Close(reply)).await.is_err() {
            return Ok(());
        }
        answer.await.unwrap_or(Ok(()))
    }

    async fn order<T>(
        &self,
        order: Order,
        answer: oneshot::Receiver<Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.orders.send(order).await.is_err() {
            return Err(closed());
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// The body of the writer thread.
fn finish(writer: Writer, claim: Option<Claim>) {
    let Ended { connection, reply } = writer.run();
    let folded = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(crate::fault::fault);
    let ended = connection.close().map_err(|(_, error)| crate::fault::fault(error));
    drop(claim);
    if let Some(reply) = reply {
        // Nobody waits when the caller of `close` has gone away.
        drop(reply.send(folded.and(ended)));
    }
}
