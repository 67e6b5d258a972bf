//! Summaries: found to be due, written elsewhere, swapped in if nothing has changed meanwhile.

use std::sync::{Arc, PoisonError};

use storage::rusqlite::Connection;
use wire::Fault;
use wire::prompt::Role;

use super::windows::Frame;
use super::{Contexts, Job};
use crate::rows::ctx::{self, Row};
use crate::rows::nodes::Node;
use crate::rows::winds::Wind;
use crate::rows::{cut, entry, nodes, parts, summaries, winds};
use crate::summary::{Seat, Task};
use crate::{
    Budget, Content, Context, Entry, EntryStatus, Epoch, Key, Map, Plan, Strategy, Summary, clock,
    refuse,
};

/// A summary is due when the window is filled to this part of its budget, in percent.
const DUE_PERCENT: u64 = 70;
/// Bytes of a summary for each token of the budget, in percent: a tenth of the window, at four
/// bytes a token.
const BYTES_PERCENT: u64 = 40;
/// Limits: the smallest and the largest summary, in bytes.
const SUMMARY_BYTES: (u64, u64) = (400, 24_000);
/// The part of that which one node of a tree of summaries gets.
const NODE_DIVISOR: u64 = 6;
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
        let task = self
            .read(move |connection| {
                let frame = Frame::read(connection, &key, budget, plan.as_ref())?;
                let wanted = match frame.plan.strategy {
                    Strategy::Summary => due(connection, &frame)?,
                    Strategy::Hierarchical => due_node(connection, &frame)?,
                    Strategy::Budget | Strategy::Full | Strategy::Last(_) => None,
                };
                let Some(Wanted { first, upto, level, entries, hash }) = wanted else {
                    return Ok(None);
                };
                let n = frame.row.n;
                if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(n) {
                    return Ok(None);
                }
                let seat = Seat { busy, n };
                let part = if level.is_some() { NODE_DIVISOR } else { 1 };
                let bytes = u64::from(frame.room()) * BYTES_PERCENT / 100 / part;
                let bytes = bytes.clamp(SUMMARY_BYTES.0, SUMMARY_BYTES.1 / part);
                let previous = summaries::newest(connection, &frame.row, first)?;
                let previous = previous.filter(|_| level.is_none());
                Ok(Some(Task {
                    previous: previous.map(|summary| summary.text),
                    hash,
                    level,
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
            .await?;
        let Some(task) = task else { return Ok(None) };
        let settings = self.get(&task.key).await?.settings;
        Ok(Some(self.rendered_task(&settings, task)))
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
        self.read(move |connection| {
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
        self.read(move |connection| {
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
        self.write(durability, move |job| {
            job.watched(&key, crate::What::Pinned, || job.pin(&key, seq, on))
        })
        .await
    }

    /// The pinned entries of a context, in their order.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn pins(&self, key: &Key) -> Result<Vec<u32>, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            summaries::pins(connection, &row, u32::MAX)
        })
        .await
    }
}

/// The entries that want a summary.
fn due(connection: &Connection, frame: &Frame) -> Result<Option<Wanted>, Fault> {
    let row: &Row = &frame.row;
    // One that waits for the end of a turn counts too.
    let newest = summaries::newest(connection, row, u32::MAX)?;
    let after = newest.map_or(0, |summary| summary.upto);
    if after.saturating_add(1) < row.start_seq {
        return Wanted::entries(connection, row, (after + 1, row.start_seq - 1), None).map(Some);
    }
    // Where nobody moves the window, every call being one with a window of its own, a summary
    // waits for long: the next one follows it.
    let start = row.start_seq.max(after.saturating_add(1));
    match next_cut(connection, frame, start)? {
        Some(first) if first > start => {
            Wanted::entries(connection, row, (start, first - 1), None).map(Some)
        }
        _ => Ok(None),
    }
}

/// Where the next cut of a window that begins at `start` will begin, if it is near.
fn next_cut(connection: &Connection, frame: &Frame, start: u32) -> Result<Option<u32>, Fault> {
    let high = u64::from(frame.room()) * DUE_PERCENT / 100;
    let next = frame.cut_from(connection, start, u32::try_from(high).unwrap_or(u32::MAX))?;
    Ok(next.map(|cut| cut.first_seq))
}

/// The node that wants to be written: one above eight of a kind, else the next leaf.
fn due_node(connection: &Connection, frame: &Frame) -> Result<Option<Wanted>, Fault> {
    let row = &frame.row;
    let all = nodes::list(connection, row, (u32::MAX, u32::MAX))?;
    if let Some(children) = nodes::orphans(&all) {
        return Wanted::above(connection, row, &children);
    }
    let covered = nodes::cover(&all).last().map_or(0, |node| node.upto);
    let first = covered.saturating_add(1);
    let soon =
        next_cut(connection, frame, row.start_seq)?.unwrap_or(row.start_seq).max(row.start_seq);
    if first >= soon {
        return Ok(None);
    }
    let end = cut::turns_on(connection, &row.chain, (first, soon), nodes::LEAF_TURNS)?;
    let upto = match end {
        Some(next) => next - 1,
        // A short leaf, where the window has left messages behind that nothing stands for.
        None if first < row.start_seq => row.start_seq - 1,
        None => return Ok(None),
    };
    Wanted::entries(connection, row, (first, upto), Some(0)).map(Some)
}

/// What wants a summary.
struct Wanted {
    first: u32,
    upto: u32,
    level: Option<u32>,
    entries: Vec<Entry>,
    hash: [u8; 32],
}

impl Wanted {
    fn entries(
        connection: &Connection,
        row: &Row,
        (first, upto): (u32, u32),
        level: Option<u32>,
    ) -> Result<Self, Fault> {
        let entries = entry::shown(connection, &row.chain, first, upto)?;
        let hash = summaries::source(&entries);
        Ok(Self { first, upto, level, entries, hash })
    }

    /// A node above others: what they say takes the place of messages.
    fn above(connection: &Connection, row: &Row, children: &[Node]) -> Result<Option<Self>, Fault> {
        let (Some(first), Some(last)) = (children.first(), children.last()) else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(children.len());
        for child in children {
            let Some(found) = nodes::one(connection, row.n, child.number)? else { continue };
            entries.push(Entry {
                seq: child.first,
                role: Role::System,
                tokens: crate::count::tokens(&found.text),
                content: Content::Text(found.text),
                at: found.at,
                model: None,
                status: EntryStatus::Complete,
                meta: Map::new(),
            });
        }
        let (first, upto, level) = (first.first, last.upto, Some(first.level + 1));
        let hash = nodes::source(children);
        Ok(Some(Self { first, upto, level, entries, hash }))
    }
}

impl Job<'_> {
    fn swap(&self, task: &Task, text: &str, model: &str) -> Result<bool, Fault> {
        let Some(row) = ctx::find(self.connection, &task.key)? else { return Ok(false) };
        let same = row.n == task.n
            && (row.start_seq == task.start || task.level.is_some())
            && task.upto <= row.head
            && row.chain.segment_of(task.upto) == task.log;
        if !same || text.trim().is_empty() {
            return Ok(false);
        }
        if let Some(level) = task.level {
            return self.swap_node(&row, (task, level), text, model);
        }
        summaries::add(self.connection, task, text, model, self.now)?;
        // In the middle of a turn the beginning stays where it is; the next turn moves it.
        if row.open_tools || row.open_turn.is_some() {
            return Ok(true);
        }
        let next = task.upto.saturating_add(1);
        if next > row.start_seq {
            ctx::save_start(self.connection, row.n, next)?;
        }
        Ok(true)
    }

    /// Adds a node to the tree. It is shown from the next cut on, or at once where the window has
    /// already left its messages behind.
    fn swap_node(
        &self,
        row: &Row,
        (task, level): (&Task, u32),
        text: &str,
        model: &str,
    ) -> Result<bool, Fault> {
        let all = nodes::list(self.connection, row, (u32::MAX, u32::MAX))?;
        if all.iter().any(|node| node.level == level && node.first == task.first) {
            return Ok(false);
        }
        let number = summaries::add(self.connection, task, text, model, self.now)?;
        let is_late = level == 0 && task.upto < row.start_seq;
        if is_late && !row.open_tools && row.open_turn.is_none() {
            let wind = winds::read(self.connection, row.n)?;
            winds::save(self.connection, row.n, Wind { nodes: number, ..wind })?;
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
