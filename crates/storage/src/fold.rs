//! Folds the log into the database file beside the writer, which would otherwise stand still for
//! the tens of milliseconds that the disk takes.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use wire::Fault;

use crate::folder;

/// A thread that waits for the word to fold.
#[derive(Debug)]
pub(crate) struct Fold {
    begin: SyncSender<()>,
    done: Receiver<()>,
    running: bool,
    thread: JoinHandle<()>,
}

impl Fold {
    pub(crate) fn start(path: &Path) -> Result<Self, Fault> {
        let connection = folder::connect_beside(path)?;
        let (begin, orders) = sync_channel(1);
        let (mark, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-fold".to_owned())
            .spawn(move || work(&connection, &orders, &mark))
            .map_err(|error| Fault::internal("the store has no thread to fold").because(error))?;
        Ok(Self { begin, done, running: false, thread })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// Begins to fold what the log holds now.
    pub(crate) fn begin(&mut self) {
        self.running = self.begin.try_send(()).is_ok();
    }

    /// Says once that what was begun is done. The writer then folds the little that came meanwhile,
    /// so that the log can start over.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.running && self.done.try_recv().is_ok();
        self.running &= !ended;
        ended
    }

    /// Waits until what was begun is done, at most so long; says it as [`Self::has_ended`] does.
    pub(crate) fn wait(&mut self, longest: Duration) -> bool {
        let ended = self.running && self.done.recv_timeout(longest).is_ok();
        self.running &= !ended;
        ended
    }

    /// Waits for the thread and closes its connection.
    pub(crate) fn stop(self) {
        drop(self.begin);
        if self.thread.join().is_err() {
            tracing::error!("the thread that folds the log panicked");
        }
    }
}

fn work(connection: &Connection, orders: &Receiver<()>, done: &SyncSender<()>) {
    while orders.recv().is_ok() {
        run(connection, "PASSIVE");
        // Nobody is told when the store closes.
        let _closing = done.try_send(());
    }
}

/// Folds the log; a failure is only logged, because nothing committed is lost by it.
pub(crate) fn run(connection: &Connection, mode: &str) {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    if let Err(error) = connection.query_row(&sql, [], |_| Ok(())) {
        tracing::warn!(%error, "the log of the store could not be folded in");
    }
}
