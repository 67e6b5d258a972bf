//! Summaries: found to be due, written elsewhere, swapped in if nothing has changed meanwhile.

use std::sync::{Arc, PoisonError};

use wire::Fault;

use super::windows::Frame;
use super::{Contexts, Job};
use crate::rows::ctx::{self, Row};
use crate::rows::{cut, entry, parts, summaries};
use crate::summary::{Seat, Task};
use crate::{Budget, Context, Epoch, Key, Plan, Strategy, Summary, clock, refuse};

/// A summary is due when the window is filled to this part of its budget, in percent.
const DUE_PERCENT: u64 = 70;
/// Bytes of a summary for each token of the budget, in percent: a tenth of the window, at four
/// bytes a token.
const BYTES_PERCENT: u64 = 40;
/// Limits: the smallest and the largest summary, in bytes.
const SUMMARY_BYTES: (u64, u64) = (400, 24_000);
/// Limit: pinned entries of one context.
const PINS_MAX: u32 = 100;
/// Limit: epochs of one answer.
const EPOCHS_LISTED_MAX: u32 = 1000;

impl Contexts {
    /// The messages that want a summary now, if any do: those that the next cut would leave out,
    /// or that a cut has left out before a summary was there. One task a context at a time.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn summary_due(
        &self,
        key: &Key,
        budget: Budget,
        plan: Option<Plan>,
    ) -> Result<Option<Task>, Fault> {
        let key = key.clone();
        let busy = Arc::clone(&self.inner.summarising);
        self.db
            .read(move |connection| {
                let frame = Frame::read(connection, &key, budget, plan.as_ref())?;
                if frame.plan.strategy != Strategy::Summary {
                    return Ok(None);
                }
                let Some((first, upto)) = due(connection, &frame)? else { return Ok(None) };
                let n = frame.row.n;
                if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(n) {
                    return Ok(None);
                }
                let seat = Seat { busy, n };
                let entries = entry::shown(connection, &frame.row.chain, first, upto)?;
                let bytes = u64::from(frame.room()) * BYTES_PERCENT / 100;
                let bytes = bytes.clamp(SUMMARY_BYTES.0, SUMMARY_BYTES.1);
                Ok(Some(Task {
                    previous: frame.summary.map(|summary| summary.text),
                    hash: summaries::source(&entries),
                    entries,
                    bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
                    n,
                    log: frame.row.chain.segment_of(upto),
                    first,
                    upto,
                    start: frame.row.start_seq,
                    key,
                    _seat: seat,
                }))
            })
            .await
    }

    /// Puts a summary in the place of its messages, if the context still begins where it began
    /// when the task was made. Says whether it did; when not, nothing has changed.
    ///
    /// # Errors
    /// `storage_error`; a context that is gone is no error.
    pub async fn swap_summary(&self, task: Task, text: &str, model: &str) -> Result<bool, Fault> {
        let (text, model) = (text.to_owned(), model.to_owned());
        let durability = self.durability_for(&task.key, None);
        self.write(durability, move |job| job.swap(&task, &text, &model)).await
    }

    /// The summaries of a context, the newest first.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn summaries(&self, key: &Key) -> Result<Vec<Summary>, Fault> {
        let key = key.clone();
        self.db
            .read(move |connection| {
                let row = ctx::live(connection, &key, clock::now())?;
                summaries::list(connection, row.n)
            })
            .await
    }

    /// The epochs of a context, the newest first, at most 1000.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn epochs(&self, key: &Key) -> Result<Vec<Epoch>, Fault> {
        let key = key.clone();
        self.db
            .read(move |connection| {
                let row = ctx::live(connection, &key, clock::now())?;
                crate::rows::epochs::list(connection, row.n, EPOCHS_LISTED_MAX)
            })
            .await
    }

    /// Lets a window always carry an entry, or no longer.
    ///
    /// # Errors
    /// `not_found` when the log has no such entry, `quota_exceeded` beyond 100 pinned entries,
    /// `context_closed`, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn pin(&self, key: &Key, seq: u64, on: bool) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| job.pin(&key, seq, on)).await
    }

    /// The pinned entries of a context, in their order.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn pins(&self, key: &Key) -> Result<Vec<u32>, Fault> {
        let key = key.clone();
        self.db
            .read(move |connection| {
                let row = ctx::live(connection, &key, clock::now())?;
                summaries::pins(connection, &row, u32::MAX)
            })
            .await
    }
}

/// The entries that want a summary.
fn due(
    connection: &storage::rusqlite::Connection,
    frame: &Frame,
) -> Result<Option<(u32, u32)>, Fault> {
    let row: &Row = &frame.row;
    let after = frame.summary.as_ref().map_or(0, |summary| summary.upto);
    if after.saturating_add(1) < row.start_seq {
        return Ok(Some((after + 1, row.start_seq - 1)));
    }
    let high = u64::from(frame.room()) * DUE_PERCENT / 100;
    let next = cut::next(connection, row, u32::try_from(high).unwrap_or(u32::MAX))?;
    Ok(next.map(|cut| (row.start_seq, cut.first_seq - 1)))
}

impl Job<'_> {
    fn swap(&self, task: &Task, text: &str, model: &str) -> Result<bool, Fault> {
        let Some(row) = ctx::find(self.connection, &task.key)? else { return Ok(false) };
        let same = row.n == task.n
            && row.start_seq == task.start
            && task.upto <= row.head
            && row.chain.segment_of(task.upto) == task.log;
        if !same || text.trim().is_empty() {
            return Ok(false);
        }
        summaries::add(self.connection, task, text, model, self.now)?;
        let next = task.upto.saturating_add(1);
        if next > row.start_seq {
            ctx::save_start(self.connection, row.n, next)?;
        }
        Ok(true)
    }

    fn pin(&self, key: &Key, seq: u64, on: bool) -> Result<Context, Fault> {
        let mut row = self.live(key)?;
        row.admit(None)?;
        let found = u32::try_from(seq).ok().filter(|seq| (1..=row.head).contains(seq));
        let found = found.ok_or_else(|| refuse::no_entry(seq, row.head))?;
        if on && summaries::pinned(self.connection, row.n)? >= PINS_MAX {
            let text = format!("the context has {PINS_MAX} pinned entries, its limit");
            return Err(Fault::new(wire::Code::QuotaExceeded, text).hint("release some of them"));
        }
        if summaries::pin(self.connection, &row, (found, on), self.now)? {
            row.touch(self.now);
            ctx::save(self.connection, &row)?;
        }
        parts::context(self.connection, &row)
    }
}
