//! The state as it was: its changes, what a message saw of it, and the way back.

use storage::rusqlite::Connection;
use wire::{Code, Fault};

use super::{Contexts, Job};
use crate::rows::ctx::{self, Row};
use crate::rows::states::{self, Kept, Reason};
use crate::rows::{parts, seal};
use crate::{Context, Edit, Key, Map, Moment, Page, StateChange, StateEdit, What, clock, refuse};

/// Changes of a page unless the caller says otherwise.
const PAGE: u32 = 50;
/// Limit: changes of one page.
const PAGE_MAX: u32 = 500;
/// Limit: parents that are gone back to.
const PARENTS_MAX: u32 = 32;

impl Contexts {
    /// The changes of a context's state, the newest first; those before the number `before`.
    ///
    /// # Errors
    /// `invalid_input` for a limit that is none, `context_not_found`, `context_expired`,
    /// `storage_error`.
    pub async fn state_changes(
        &self,
        key: &Key,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Page<StateChange>, Fault> {
        let limit = if limit == 0 { PAGE } else { limit };
        if limit > PAGE_MAX {
            return Err(refuse::invalid("limit", "must be a number from 1 to 500"));
        }
        let key = key.clone();
        let found = self
            .read(move |connection| {
                let row = ctx::live(connection, &key, clock::now())?;
                states::page(connection, row.n, before, limit.saturating_add(1))
            })
            .await?;
        let full = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > full;
        let items: Vec<StateChange> = found.into_iter().take(full).map(public).collect();
        let next = items.last().filter(|_| more).map(|change| change.number.to_string());
        Ok(Page { items, next })
    }

    /// The state as it was.
    ///
    /// # Errors
    /// `invalid_input` for a message the log does not have, `not_found` for a change that is not
    /// kept, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn state_at(&self, key: &Key, at: Moment) -> Result<Map, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            state_at(connection, &row, at)
        })
        .await
    }

    /// Makes the state what it was; that is a change, too.
    ///
    /// # Errors
    /// As [`Contexts::state_at`] and [`Contexts::edit`].
    pub async fn restore_state(
        &self,
        key: &Key,
        at: Moment,
        expect: Option<u64>,
    ) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Updated, || {
                let row = job.live(&key)?;
                let state = state_at(job.connection, &row, at)?;
                let state = Some(StateEdit::Replace(state));
                job.edit(&key, Edit { state, ..Edit::default() }, (expect, "restore"))
            })
        })
        .await
    }
}

fn public(kept: Kept) -> StateChange {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for one in kept.sets {
        match one.value {
            Some(value) => set.push((one.path, value)),
            None => removed.push(one.path),
        }
    }
    StateChange {
        number: kept.no,
        seq: kept.seq,
        revision: kept.revision,
        at: clock::moment(kept.at),
        who: kept.who,
        cause: kept.cause,
        set,
        removed,
    }
}

/// The state of a context as it was.
pub(super) fn state_at(connection: &Connection, row: &Row, at: Moment) -> Result<Map, Fault> {
    match at {
        Moment::Change(no) => {
            let known = u32::try_from(no).ok();
            let known = known.map(|no| Ok((no, states::exists(connection, row.n, no)?)));
            match known.transpose()? {
                Some((no, true)) => states::after(connection, row, row.n, no),
                _ => Err(Fault::new(Code::NotFound, format!("the state has no change {no}"))
                    .hint("`GET …/state/history` lists those that are kept")),
            }
        }
        Moment::Seq(seq) => {
            let seq = u32::try_from(seq).ok().filter(|seq| *seq <= row.head);
            let Some(seq) = seq else {
                let Moment::Seq(at) = at else { return Err(unknown(0)) };
                return Err(refuse::beyond(at, row.head));
            };
            seen_by(connection, row, seq)
        }
    }
}

/// The state that a message saw, here or, before a fork, in the parent.
fn seen_by(connection: &Connection, row: &Row, seq: u32) -> Result<Map, Fault> {
    let mut holder = row.clone();
    for _ in 0..PARENTS_MAX {
        if let Some(no) = states::seen_by(connection, (holder.n, row), seq)? {
            return states::after(connection, row, holder.n, no);
        }
        match holder.parent {
            Some((parent, shared)) if seq <= shared => {
                let id = ctx::id_of(connection, parent)?;
                let key = id.map(|id| Key { tenant: row.key.tenant, id });
                let found = key.map(|key| ctx::find(connection, &key)).transpose()?.flatten();
                // A parent whose key is gone cannot be read any more.
                let found = found.filter(|found| !seal::is_gone(found.owner()));
                holder = found.ok_or_else(|| unknown(seq))?;
            }
            _ => break,
        }
    }
    let oldest = states::oldest(connection, holder.n)?;
    match oldest {
        // It never changed since changes are kept.
        None if holder.n == row.n => parts::state(connection, row),
        // It was empty until then.
        Some((1, cause)) if ![states::BEFORE, states::REDACTED].contains(&cause.as_str()) => {
            Ok(Map::new())
        }
        None => Ok(Map::new()),
        Some(_) => Err(unknown(seq)),
    }
}

fn unknown(seq: u32) -> Fault {
    Fault::new(Code::NotFound, format!("what the state was at message {seq} is not kept any more"))
        .hint("`GET …/state/history` lists the changes that are")
}

impl Job<'_> {
    /// Keeps a change of the state in its history.
    pub(super) fn state_changed(
        &self,
        row: &Row,
        (before, after): (&Map, &Map),
        (cause, said): (&str, Option<u32>),
    ) -> Result<(), Fault> {
        let revision = row.revision;
        let who = self.who.as_deref();
        let reason = Reason { cause, who, revision, at: self.now, said };
        states::keep(self.connection, row, (before, after), reason)
    }
}
