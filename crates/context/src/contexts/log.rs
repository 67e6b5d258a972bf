//! Reading the log, and appending to it without a model.

use storage::Durability;
use storage::rusqlite::Connection;
use wire::Fault;

use super::{Contexts, Job, figures};
use crate::query::PAGE_ITEMS_MAX;
use crate::rows::entry::{self, PAGE_BYTES_MAX, Range};
use crate::rows::idem::{self, Answer};
use crate::rows::{ctx, cut, parts};
use crate::{Context, Entry, Idem, Key, NewEntry, Page, Slice, What, clock, refuse};

impl Contexts {
    /// Reads entries of a log, page by page. A page ends early when it holds many bytes.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `invalid_input` for a limit that is none,
    /// `storage_error`.
    pub async fn messages(&self, key: &Key, slice: Slice) -> Result<Page<Entry>, Fault> {
        if slice.limit == 0 || slice.limit > PAGE_ITEMS_MAX {
            return Err(refuse::invalid("limit", "must be a number from 1 to 500"));
        }
        let key = key.clone();
        self.read(move |connection| page(connection, &key, &slice)).await
    }

    /// Reads one entry of a log.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `not_found` when the log has no such entry,
    /// `storage_error`.
    pub async fn entry(&self, key: &Key, seq: u64) -> Result<Entry, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let found = u32::try_from(seq).ok().filter(|seq| (1..=row.head).contains(seq));
            let found = found.map(|seq| entry::one(connection, &row.chain, seq)).transpose()?;
            found.flatten().ok_or_else(|| refuse::no_entry(seq, row.head))
        })
        .await
    }

    /// Appends entries, all or none, without a model.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `context_closed`, `precondition_failed`, `conflict`
    /// while a turn is running, `context_too_long`, `idempotency_mismatch`, `storage_error`.
    pub async fn append(
        &self,
        key: &Key,
        entries: Vec<NewEntry>,
        expect: Option<u64>,
        idem: Option<Idem>,
    ) -> Result<(Context, Vec<Entry>), Fault> {
        let durability: Durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Appended, || job.append(&key, &entries, expect, idem.as_ref()))
        })
        .await
    }
}

impl Job<'_> {
    fn append(
        &self,
        key: &Key,
        entries: &[NewEntry],
        expect: Option<u64>,
        idem: Option<&Idem>,
    ) -> Result<(Context, Vec<Entry>), Fault> {
        if let Some(idem) = idem
            && let Some(answer) = idem::claim(self.connection, key.tenant, idem, self.now)?
        {
            return self.appended(key, &answer);
        }
        let mut row = self.live(key)?;
        row.admit(expect)?;
        row.idle()?;
        let before = figures(&row);
        let first = row.head.saturating_add(1);
        let out = self.append_all(&mut row, entries)?;
        if !out.is_empty() {
            // What came after a failed turn answers it: it cannot be retried any more.
            row.turn_seq = None;
            row.touch(self.now);
            ctx::save(self.connection, &row)?;
        }
        if let Some(idem) = idem {
            let answer = Answer {
                n: row.n,
                segment: Some(row.chain.own()),
                number: row.turns,
                revision: row.revision,
                first,
                last: row.head,
                created: false,
                state: None,
            };
            idem::done(self.connection, key.tenant, idem, &answer)?;
        }
        self.inner.totals.moved(Some(before), Some(figures(&row)));
        Ok((parts::context(self.connection, &row)?, out))
    }

    fn appended(&self, key: &Key, answer: &Answer) -> Result<(Context, Vec<Entry>), Fault> {
        let row = self.live(key)?;
        let mut out = Vec::new();
        for seq in answer.first..=answer.last {
            out.extend(entry::one(self.connection, &answer.chain(), seq)?);
        }
        Ok((parts::context(self.connection, &row)?, out))
    }
}

fn page(connection: &Connection, key: &Key, slice: &Slice) -> Result<Page<Entry>, Fault> {
    let row = ctx::live(connection, key, clock::now())?;
    let mut range = Range {
        first: slice.after.map_or(1, |seq| seq.saturating_add(1)),
        last: slice.before.map_or(row.head, |seq| seq.saturating_sub(1)).min(row.head),
        role: slice.role,
        newest_first: slice.newest_first,
    };
    if let Some(time) = slice.since {
        let first = cut::since(connection, &row.chain, row.head, time.as_microsecond())?;
        range.first = range.first.max(first);
    }
    if let Some(turns) = slice.last_turns {
        range.first = range.first.max(cut::turns_back(connection, &row.chain, row.head, turns)?);
    }
    match slice.last {
        None => {}
        Some(0) => range.last = 0,
        Some(count) => {
            let whole = Range { first: 1, ..range };
            let found = entry::nth_newest(connection, &row.chain, whole, count - 1)?;
            range.first = range.first.max(found.unwrap_or(1));
        }
    }
    let within = (slice.limit, PAGE_BYTES_MAX);
    let (items, more) = entry::page_within(connection, &row.chain, range, within)?;
    let next = items.last().filter(|_| more).map(|entry| entry.seq.to_string());
    Ok(Page { items, next })
}
