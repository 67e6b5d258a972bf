//! Readers beside the writer: a few connections, opened when they are first needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use wire::Fault;

use crate::fault::{Stored, closed};
use crate::folder::connect_beside;
use crate::later::Shadows;
use crate::writer::guarded;

/// Limit: reads at one time; more callers wait for a place.
const READERS_MAX: usize = 4;

/// A bounded pool of read-only connections.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    places: Semaphore,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Reader>>,
    shadows: Shadows,
}

/// A connection, and the version of the tables it has seen.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    tables: Option<i64>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, shadows: Shadows) -> Self {
        let pool = Arc::new(Pool { idle: Mutex::default(), shadows });
        Self { path, places: Semaphore::new(READERS_MAX), pool }
    }

    /// Runs `job` in one snapshot of the database, away from the runtime's threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(closed());
        };
        let pool = Arc::clone(&self.pool);
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            let kept = lock(&pool.idle).pop();
            let mut reader = kept.map_or_else(|| Reader::open(&path), Ok)?;
            let result = reader.in_snapshot(&pool.shadows, job);
            if reader.connection.is_autocommit() {
                lock(&pool.idle).push(reader);
            }
            result
        });
        task.await.unwrap_or_else(|error| {
            Err(Fault::internal("a read of the store was cut off").because(error))
        })
    }

    /// Lets running reads finish, refuses new ones and closes the connections.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(READERS_MAX).unwrap_or(u32::MAX);
        if let Ok(places) = self.places.acquire_many(all).await {
            self.places.close();
            drop(places);
        }
        lock(&self.pool.idle).clear();
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self, Fault> {
        Ok(Self { connection: connect_beside(path)?, tables: None })
    }

    fn in_snapshot<T>(
        &mut self,
        shadows: &Shadows,
        job: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.execute("BEGIN")?;
        let result = self.look(shadows).and_then(|()| guarded(&self.connection, job));
        self.execute("COMMIT")?;
        result
    }

    /// Sees to it that every table is there or has its view, as it is in this snapshot.
    fn look(&mut self, shadows: &Shadows) -> Result<(), Fault> {
        let sql = "PRAGMA main.schema_version";
        let mut version = self.connection.prepare_cached(sql).stored()?;
        let tables = Some(version.query_row([], |row| row.get(0)).stored()?);
        if tables == self.tables {
            return Ok(());
        }
        // The views belong to this connection alone.
        self.connection.pragma_update(None, "query_only", false).stored()?;
        let cast = shadows.cast(&self.connection);
        self.connection.pragma_update(None, "query_only", true).stored()?;
        cast?;
        drop(version);
        self.tables = tables;
        Ok(())
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql).stored()?.execute([]).stored()?;
        Ok(())
    }
}

fn lock(idle: &Mutex<Vec<Reader>>) -> std::sync::MutexGuard<'_, Vec<Reader>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
