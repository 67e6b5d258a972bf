//! Readers beside the writer: a few connections, opened when they are first needed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use wire::Fault;

use crate::fault::{Stored, closed};
use crate::folder::connect_reader;
use crate::writer::guarded;

/// Limit: reads at one time; more callers wait for a place.
const READERS_MAX: usize = 4;

/// A bounded pool of read-only connections.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, places: Semaphore::new(READERS_MAX), idle: Arc::default() }
    }

    /// Runs `job` in one snapshot of the database, away from the runtime's threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(closed());
        };
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            let kept = lock(&idle).pop();
            let connection = kept.map_or_else(|| connect_reader(&path), Ok)?;
            let result = in_snapshot(&connection, job);
            if connection.is_autocommit() {
                lock(&idle).push(connection);
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
        lock(&self.idle).clear();
    }
}

fn in_snapshot<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.prepare_cached("BEGIN").stored()?.execute([]).stored()?;
    let result = guarded(connection, job);
    connection.prepare_cached("COMMIT").stored()?.execute([]).stored()?;
    result
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
