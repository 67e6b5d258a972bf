//! From memory to the store: finished calls are written down behind the requests, in batches.
//!
//! A call is never kept waiting for it. Who asks for a record gets it from memory, or waits until
//! what is on its way has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use ledger::{Call, Calls, Filter, Found, Outcome};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use wire::Fault;

use super::case::Case;
use crate::settings::RequestLog;

/// Limit: calls that wait to be written; what comes then is counted and left out.
const WAITING_MAX: usize = 16 * 1024;
/// Limit: calls of one write.
const BATCH_MAX: usize = 512;
/// How long a finished call may wait for others before it is written.
const GATHER: Duration = Duration::from_millis(200);
/// After so many calls what is too much is taken away.
const SWEEP_CALLS: usize = 1_000;
/// What is too old is also taken away while nobody calls.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

enum Order {
    Keep(Arc<Case>),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// The way to the store.
#[derive(Debug)]
pub(crate) struct Recorder {
    orders: mpsc::Sender<Order>,
    log: Calls,
    keeps: Arc<Mutex<RequestLog>>,
    /// Calls that were not written down, because too many waited or the store failed.
    lost: Arc<AtomicU64>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep(_) => "Keep",
            Self::Flush(_) => "Flush",
        })
    }
}

impl Recorder {
    /// Starts the recorder; it ends with the last handle to it.
    pub(crate) fn start(log: Calls, keeps: RequestLog) -> Self {
        let (orders, came) = mpsc::channel(WAITING_MAX);
        let (keeps, lost) = (Arc::new(Mutex::new(keeps)), Arc::<AtomicU64>::default());
        let (own, wanted, missed) = (log.clone(), Arc::clone(&keeps), Arc::clone(&lost));
        let desk = Desk { log: own, keeps: wanted, lost: missed, since_sweep: SWEEP_CALLS };
        drop(crate::tasks::detach("recorder", desk.run(came)));
        Self { orders, log, keeps, lost }
    }

    /// Other settings.
    pub(crate) fn set(&self, keeps: RequestLog) {
        *self.keeps.lock() = keeps;
    }

    /// What is wanted.
    pub(crate) fn keeps(&self) -> RequestLog {
        *self.keeps.lock()
    }

    /// Calls that were not written down.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Sends a call on its way.
    pub(super) fn keep(&self, case: &Arc<Case>) {
        if !self.keeps().is_on() {
            return;
        }
        if self.orders.try_send(Order::Keep(Arc::clone(case))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when everything that was sent before is written.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).await.is_ok() {
            // It only fails when the recorder is gone, and then there is nothing to wait for.
            written.await.ok();
        }
    }

    /// The log, with everything in it that was sent before; nothing where none is kept.
    pub(crate) async fn log(&self) -> Option<&Calls> {
        if !self.keeps().is_on() {
            return None;
        }
        self.flush().await;
        Some(&self.log)
    }
}

/// The other end.
struct Desk {
    log: Calls,
    keeps: Arc<Mutex<RequestLog>>,
    lost: Arc<AtomicU64>,
    since_sweep: usize,
}

impl Desk {
    async fn run(mut self, mut came: mpsc::Receiver<Order>) {
        let mut orders = Vec::new();
        let mut next_sweep = Instant::now() + SWEEP_EVERY;
        loop {
            match timeout_at(next_sweep, gather(&mut came, &mut orders)).await {
                Ok(false) => return,
                Ok(true) => self.write(&mut orders).await,
                Err(_) => self.since_sweep = SWEEP_CALLS,
            }
            if self.since_sweep >= SWEEP_CALLS {
                self.since_sweep = 0;
                next_sweep = Instant::now() + SWEEP_EVERY;
                self.sweep().await;
            }
        }
    }

    async fn write(&mut self, orders: &mut Vec<Order>) {
        let (mut calls, mut flushes) = (Vec::new(), Vec::new());
        for order in orders.drain(..) {
            match order {
                Order::Keep(case) => calls.push(case),
                Order::Flush(done) => flushes.push(done),
            }
        }
        let count = calls.len();
        self.since_sweep += count;
        if count > 0 {
            let rows = calls.iter().filter_map(|case| row(case)).collect();
            if let Err(fault) = self.log.keep(rows).await {
                self.lost.fetch_add(count as u64, Ordering::Relaxed);
                tracing::warn!(calls = count, "calls were not written down: {}", fault.chain());
            }
        }
        for done in flushes {
            // Who asked may have left.
            done.send(()).ok();
        }
    }

    async fn sweep(&self) {
        let keeps = *self.keeps.lock();
        if !keeps.is_on() {
            return;
        }
        let oldest = Timestamp::now().checked_sub(keeps.age);
        let oldest = oldest.map_or(i64::MIN, Timestamp::as_microsecond);
        loop {
            match self.log.sweep(keeps.rows, oldest).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(fault) => {
                    tracing::warn!("old calls stay in the log for now: {}", fault.chain());
                    return;
                }
            }
        }
    }
}

/// The next batch: what waits, and what comes within a moment, but nothing after somebody who
/// waits. Cancelling it loses nothing; whether there is anything to come.
async fn gather(came: &mut mpsc::Receiver<Order>, orders: &mut Vec<Order>) -> bool {
    let urgent = |orders: &[Order]| orders.iter().any(|order| matches!(order, Order::Flush(_)));
    if orders.is_empty() && came.recv_many(orders, BATCH_MAX).await == 0 {
        return false;
    }
    let until = Instant::now() + GATHER;
    while orders.len() < BATCH_MAX && !urgent(orders) {
        let room = BATCH_MAX - orders.len();
        match timeout_at(until, came.recv_many(orders, room)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    true
}

/// A call as the log has it.
fn row(case: &Case) -> Option<Call> {
    let record = case.json()?;
    Some(Call {
        tenant: case.tenant,
        id: Arc::clone(&case.id),
        at: case.at.as_microsecond(),
        context: case.context.clone(),
        turn: case.turn,
        asked: case.model_asked.clone(),
        provider: case.provider.clone(),
        model: case.model.clone(),
        outcome: case.outcome.clone(),
        record,
    })
}

impl super::Cases {
    /// A tenant's call, as JSON: from memory, else from the log.
    ///
    /// # Errors
    /// `storage_error` when the log cannot be read.
    pub(crate) async fn find(&self, tenant: u32, id: &str) -> Result<Option<String>, Fault> {
        if let Some(case) = self.remembered(tenant, id) {
            return Ok(case.json());
        }
        match self.log().await {
            Some(log) => log.find(tenant, id).await,
            None => Ok(None),
        }
    }

    /// A tenant's calls that fit, the newest first; those in memory where no log is kept.
    ///
    /// # Errors
    /// `storage_error` when the log cannot be read.
    pub(crate) async fn list(&self, filter: Filter) -> Result<Vec<Found>, Fault> {
        if let Some(log) = self.log().await {
            return log.list(filter).await;
        }
        let fits = |case: &Arc<Case>| {
            let model = filter.model.as_ref().is_none_or(|wanted| {
                let own = case.provider.as_ref().zip(case.model.as_ref());
                case.model_asked.as_ref() == Some(wanted)
                    || case.model.as_ref() == Some(wanted)
                    || own.is_some_and(|(p, m)| wanted.split_once('/') == Some((p, m)))
            });
            let outcome = match &filter.outcome {
                Some(Outcome::Failed) => case.outcome != "ok",
                Some(Outcome::Is(outcome)) => case.outcome == *outcome,
                None => true,
            };
            model && outcome && filter.since.is_none_or(|since| case.at.as_microsecond() >= since)
        };
        let mut last = self.last(filter.tenant);
        last.retain(fits);
        last.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        let found = |case: &Arc<Case>| Some(Found { place: 0, record: case.json()? });
        Ok(last.iter().filter_map(found).collect())
    }

    async fn log(&self) -> Option<&Calls> {
        self.recorder()?.log().await
    }
}
