//! The only thread that writes: gathers jobs, commits them together, answers after the commit.
//!
//! Invariant: between `BEGIN` and `COMMIT` every job runs in a savepoint of its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wire::{Code, Fault};

use crate::fault::{Stored, taken_back};
use crate::fold::{self, Fold};
use crate::health::Pulse;
use crate::later;

/// Limit: jobs waiting for the writer; more callers wait for a place.
pub(crate) const QUEUE_JOBS_MAX: usize = 1024;
/// Limit: jobs of one transaction.
const BATCH_JOBS_MAX: usize = 64;
/// Limit: how long the writer may gather jobs for one transaction.
const GATHER_MAX: Duration = Duration::from_millis(2);
/// The longest pause without a new job before the writer stops gathering.
const QUIET_MAX: Duration = Duration::from_micros(100);
/// Pages in the write-ahead log after which they are moved into the database file (32 MiB). Each
/// move waits for the disk, so a smaller log costs a busy writer more than its own work.
const CHECKPOINT_PAGES: usize = 4096;
/// Pages after which the writer waits for the thread that folds: it would outrun a slow disk until
/// the disk is full (64 MiB).
const WAIT_PAGES: usize = 8 * 1024;
/// Limit: how long the writer waits for it at a time; a disk that takes longer hangs.
const FOLD_WAIT: Duration = Duration::from_secs(60);
/// Pages after which the log is cut off even though readers have to be waited for (128 MiB).
const TRUNCATE_PAGES: usize = 16 * 1024;
/// Commits between two looks at the free space of the disk.
const LOOK_COMMITS: u64 = 1024;

/// What a committed write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A power cut; the commit does not wait for other writers to join.
    Sync,
    /// A power cut; the commit may wait up to two milliseconds for other writers to join.
    Group,
    /// The death of the process; a power cut may take the last moments, never the consistency.
    Fast,
}

/// A unit of work for the writer thread.
pub(crate) trait Job: Send {
    /// Does the work; the fault is kept for the answer.
    fn run(&mut self, connection: &Connection) -> Outcome;
    /// Why the job failed, once it has run.
    fn failure(&self) -> Option<&Fault>;
    /// Answers the caller, with `fault` in place of a success when the commit failed.
    fn answer(self: Box<Self>, fault: Option<&Fault>);
}

/// How a job ended, as far as the writer must know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
    /// The database itself failed.
    Broken,
}

/// What travels to the writer.
pub(crate) enum Order {
    Write(Durability, Box<dyn Job>),
    /// Works on the connection outside of any transaction (backup of a database in memory).
    Bare(Box<dyn Job>),
    Close(oneshot::Sender<Result<(), Fault>>),
}

/// A closure with the way back to its caller.
pub(crate) struct Task<T, F> {
    job: Option<F>,
    result: Option<Result<T, Fault>>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Task<T, F> {
    pub(crate) fn new(job: F) -> (Self, oneshot::Receiver<Result<T, Fault>>) {
        let (reply, answer) = oneshot::channel();
        (Self { job: Some(job), result: None, reply }, answer)
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection) -> Outcome {
        let result = self.job.take().map_or_else(
            || Err(Fault::internal("a job of the store ran twice")),
            |job| guarded(connection, job),
        );
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(fault) if fault.code() == Code::StorageError => Outcome::Broken,
            Err(_) => Outcome::Refused,
        };
        self.result = Some(result);
        outcome
    }

    fn failure(&self) -> Option<&Fault> {
        self.result.as_ref().and_then(|result| result.as_ref().err())
    }

    fn answer(self: Box<Self>, fault: Option<&Fault>) {
        let result = match (self.result, fault) {
            (Some(Err(own)), _) => Err(own),
            (_, Some(fault)) => Err(taken_back(fault)),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Fault::internal("a job of the store was not run")),
        };
        // A caller that has gone away needs no answer; its write stays.
        drop(self.reply.send(result));
    }
}

/// Runs `job`; a panic becomes a fault, so that one defect does not end the store.
pub(crate) fn guarded<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(|| job(connection))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(panic = %text, "a job of the store panicked");
        Err(Fault::internal("a job of the store failed unexpectedly").because(text))
    })
}

/// Figures the writer shares with the handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pulse: Pulse,
    pub(crate) commits: AtomicU64,
    pub(crate) jobs: AtomicU64,
}

/// The state of the writer thread.
pub(crate) struct Writer {
    connection: Connection,
    orders: mpsc::Receiver<Order>,
    shared: Arc<Shared>,
    log_pages: Arc<AtomicUsize>,
    full_sync: bool,
    last_batch: usize,
    checkpoint_at: usize,
    fold: Option<Fold>,
}

/// What is left when the writer has ended: the connection, and who asked for the end.
pub(crate) struct Ended {
    pub(crate) connection: Connection,
    pub(crate) reply: Option<oneshot::Sender<Result<(), Fault>>>,
}

struct Gathered {
    jobs: VecDeque<Box<dyn Job>>,
    full_sync: bool,
    then: Option<Order>,
}

impl Writer {
    /// Takes over the connection, which must be in `synchronous = FULL`. A database in memory has
    /// no log to fold.
    pub(crate) fn new(
        mut connection: Connection,
        orders: mpsc::Receiver<Order>,
        shared: Arc<Shared>,
        fold: Option<Fold>,
    ) -> Result<Self, Fault> {
        let log_pages = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&log_pages);
        let note = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counter.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        // The hook replaces automatic checkpoints: ours run after the answers have gone out.
        connection.wal_hook(Some(note)).stored()?;
        Ok(Self {
            connection,
            orders,
            shared,
            log_pages,
            full_sync: true,
            last_batch: 0,
            checkpoint_at: CHECKPOINT_PAGES,
            fold,
        })
    }

    /// Works until the store is closed or every handle is gone; answers what is still queued.
    pub(crate) fn run(mut self) -> Ended {
        loop {
            match self.orders.blocking_recv() {
                None => return self.ended(None),
                Some(order) => {
                    if let Some(reply) = self.take(order) {
                        self.orders.close();
                        while let Some(order) = self.orders.blocking_recv() {
                            if let Some(second) = self.take(order) {
                                drop(second.send(Ok(())));
                            }
                        }
                        return self.ended(Some(reply));
                    }
                }
            }
        }
    }

    fn ended(self, reply: Option<oneshot::Sender<Result<(), Fault>>>) -> Ended {
        if let Some(fold) = self.fold {
            fold.stop();
        }
        Ended { connection: self.connection, reply }
    }

    fn take(&mut self, order: Order) -> Option<oneshot::Sender<Result<(), Fault>>> {
        let mut next = Some(order);
        while let Some(order) = next.take() {
            match order {
                Order::Close(reply) => return Some(reply),
                Order::Bare(mut job) => {
                    job.run(&self.connection);
                    job.answer(None);
                }
                Order::Write(durability, job) => {
                    let gathered = self.gather(durability, job);
                    next = gathered.then;
                    self.commit(gathered.jobs, gathered.full_sync);
                    self.checkpoint();
                }
            }
        }
        None
    }

    /// Collects what is queued. It waits for more only when the last batch shows that there are
    /// many callers, because then those who were just answered are about to come back.
    fn gather(&mut self, durability: Durability, first: Box<dyn Job>) -> Gathered {
        let mut out = Gathered {
            jobs: VecDeque::from([first]),
            full_sync: durability != Durability::Fast,
            then: None,
        };
        let mut patient = durability == Durability::Group;
        let start = Instant::now();
        let mut quiet = start;
        while out.jobs.len() < BATCH_JOBS_MAX {
            match self.orders.try_recv() {
                Ok(Order::Write(durability, job)) => {
                    out.full_sync |= durability != Durability::Fast;
                    patient &= durability != Durability::Sync;
                    out.jobs.push_back(job);
                    quiet = start;
                }
                Ok(other) => {
                    out.then = Some(other);
                    break;
                }
                Err(_) => {
                    if !patient || out.jobs.len() >= self.last_batch {
                        break;
                    }
                    let now = Instant::now();
                    if quiet == start {
                        quiet = now;
                    }
                    if now - quiet > QUIET_MAX || now - start > GATHER_MAX {
                        break;
                    }
                    std::thread::yield_now();
                }
            }
        }
        self.last_batch = out.jobs.len();
        out
    }

    /// Runs and commits all jobs; starts again with the rest when the database takes a
    /// transaction back on its own (disk full, IO error).
    fn commit(&mut self, mut waiting: VecDeque<Box<dyn Job>>, full_sync: bool) {
        while !waiting.is_empty() {
            let mut ran = Vec::with_capacity(waiting.len());
            let result = self.transaction(&mut waiting, &mut ran, full_sync);
            match &result {
                Ok(()) => ran.into_iter().for_each(|job| job.answer(None)),
                Err(fault) => {
                    self.shared.pulse.bad(fault);
                    // A transaction that could not even begin has run nothing: its jobs are
                    // answered too, or the loop would not end.
                    if ran.is_empty() {
                        ran.extend(waiting.drain(..));
                    }
                    ran.into_iter().for_each(|job| job.answer(Some(fault)));
                }
            }
        }
    }

    fn transaction(
        &mut self,
        waiting: &mut VecDeque<Box<dyn Job>>,
        ran: &mut Vec<Box<dyn Job>>,
        full_sync: bool,
    ) -> Result<(), Fault> {
        if full_sync != self.full_sync {
            let mode = if full_sync { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode).stored()?;
            self.full_sync = full_sync;
        }
        if !self.connection.is_autocommit() {
            // An earlier rollback failed; nothing can begin before it has happened.
            self.give_up()?;
        }
        let before = self.connection.total_changes();
        self.execute("BEGIN IMMEDIATE")?;
        let mut broken = false;
        // A job alone needs no savepoint, which would copy every page it changes.
        let alone = waiting.len() == 1;
        while let Some(mut job) = waiting.pop_front() {
            let outcome =
                if alone { self.alone(job.as_mut()) } else { self.savepoint(job.as_mut()) };
            broken |= outcome.as_ref().is_ok_and(|o| *o == Outcome::Broken);
            ran.push(job);
            if let Err(fault) = outcome {
                self.give_up()?;
                return Err(fault);
            }
        }
        if let Err(fault) = self.execute("COMMIT") {
            self.give_up()?;
            return Err(fault);
        }
        let jobs = u64::try_from(ran.len()).unwrap_or(u64::MAX);
        self.shared.jobs.fetch_add(jobs, Ordering::Relaxed);
        let commits = self.shared.commits.fetch_add(1, Ordering::Relaxed);
        if commits % LOOK_COMMITS == LOOK_COMMITS - 1 {
            self.shared.pulse.look();
        }
        if !broken && self.connection.total_changes() != before {
            self.shared.pulse.good();
        }
        Ok(())
    }

    /// Runs the only job of a transaction.
    fn alone(&self, job: &mut dyn Job) -> Result<Outcome, Fault> {
        let outcome = self.watched(job)?;
        if outcome != Outcome::Done {
            self.take_back("ROLLBACK")?;
            self.execute("BEGIN IMMEDIATE")?;
        }
        Ok(outcome)
    }

    /// Runs one job of several. `Err` means that the whole transaction is lost.
    fn savepoint(&self, job: &mut dyn Job) -> Result<Outcome, Fault> {
        self.execute("SAVEPOINT job")?;
        let outcome = self.watched(job)?;
        if outcome != Outcome::Done {
            self.take_back("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")?;
        Ok(outcome)
    }

    /// Takes back what one job did. A kept `INSERT` would be one into the view that stands for its
    /// table again, if the table is taken back too.
    fn take_back(&self, sql: &str) -> Result<(), Fault> {
        let unmade = later::unmade(&self.connection)?;
        self.execute(sql)?;
        if later::unmade(&self.connection)? != unmade {
            self.connection.flush_prepared_statement_cache();
        }
        Ok(())
    }

    /// Ends a transaction that failed, unless the database has ended it already.
    fn give_up(&self) -> Result<(), Fault> {
        if !self.connection.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        self.connection.flush_prepared_statement_cache();
        Ok(())
    }

    fn watched(&self, job: &mut dyn Job) -> Result<Outcome, Fault> {
        let outcome = job.run(&self.connection);
        if self.connection.is_autocommit() {
            return Err(job.failure().map_or_else(lost, taken_back));
        }
        if let (Outcome::Broken, Some(fault)) = (outcome, job.failure()) {
            self.shared.pulse.bad(fault);
        }
        Ok(outcome)
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        statement.execute([]).stored()?;
        Ok(())
    }

    /// Keeps the log short: folded beside the writer first, then the rest here, where no new pages
    /// can come in between, so that the log starts over.
    fn checkpoint(&mut self) {
        let Some(fold) = &mut self.fold else { return };
        let pages = self.log_pages.load(Ordering::Relaxed);
        if pages < CHECKPOINT_PAGES {
            self.checkpoint_at = CHECKPOINT_PAGES;
        }
        let is_long = pages > WAIT_PAGES;
        if fold.has_ended() || is_long && fold.wait(FOLD_WAIT) {
            let mode = if pages > TRUNCATE_PAGES { "TRUNCATE" } else { "PASSIVE" };
            fold::run(&self.connection, mode);
            // While a reader keeps the log from starting over, the next try waits for as much
            // again.
            self.checkpoint_at = pages.saturating_add(CHECKPOINT_PAGES);
            self.shared.pulse.look();
        } else if pages >= self.checkpoint_at && !fold.is_running() {
            fold.begin();
        }
    }
}

fn lost() -> Fault {
    Fault::new(Code::StorageError, "the store took a transaction back")
        .hint("free some space in the data folder and look into the system log")
        .details(serde_json::json!({ "reason": "disk_full" }))
}
