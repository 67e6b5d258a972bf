//! Checkpoints and rollbacks: a context leaves a branch and can come back to it.

use serde_json::Value;
use storage::rusqlite::{OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::{Code, Fault};

use super::beside::clean_text;
use super::knowledge::named;
use super::{Contexts, Job};
use crate::rows::chain::{self, Chain};
use crate::rows::ctx::{self, Row};
use crate::rows::seal::{self, Opened};
use crate::rows::states::ROLLBACK;
use crate::rows::{branches, figures, parts, signed, unsigned};
use crate::{
    Branches, Checkpoint, Child, Comparison, Context, Key, Left, Map, Moment, To, What, branch,
    clock, refuse,
};

/// Limit: checkpoints of one context.
const CHECKPOINTS_MAX: u32 = 1000;
/// Limit: branches that one context can leave.
const VIEWS_MAX: u32 = 1000;
/// Limit: forks in one answer.
const FORKS_MAX: u32 = 500;

impl Contexts {
    /// Names the newest entry of a context, and keeps the state as it is now.
    ///
    /// # Errors
    /// `conflict` when the name is taken or a turn is running, `invalid_input` for a name that is
    /// none, `quota_exceeded`, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn checkpoint(
        &self,
        key: &Key,
        name: &str,
        note: Option<String>,
    ) -> Result<Checkpoint, Fault> {
        named("name", name)?;
        let durability = self.durability_for(key, None);
        let (key, name) = (key.clone(), name.to_owned());
        self.write(durability, move |job| {
            job.watched(&key, What::Checkpoint, || job.checkpoint(&key, &name, note.as_deref()))
        })
        .await
    }

    /// The checkpoints of a context, in the order of their entries.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn checkpoints(&self, key: &Key) -> Result<Vec<Checkpoint>, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let sql = "SELECT name, log, seq, at, revision, note, state FROM checkpoint
                           WHERE n = ?1 ORDER BY seq, at";
            let mut statement = connection.prepare_cached(sql).stored()?;
            let found = statement.query_map([row.n], Named::read).stored()?;
            found.map(|named| named.stored()?.public(&row)).collect()
        })
        .await
    }

    /// Forgets a checkpoint; the entries stay.
    ///
    /// # Errors
    /// `not_found`, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn forget_checkpoint(&self, key: &Key, name: &str) -> Result<(), Fault> {
        let durability = self.durability_for(key, None);
        let (key, name) = (key.clone(), name.to_owned());
        self.write(durability, move |job| {
            job.expected(&key)?;
            let row = job.live(&key)?;
            let sql = "DELETE FROM checkpoint WHERE n = ?1 AND name = ?2";
            let mut statement = job.connection.prepare_cached(sql).stored()?;
            if statement.execute(params![row.n, name]).stored()? == 0 {
                return Err(no_checkpoint(&name));
            }
            Ok(())
        })
        .await
    }

    /// Takes a context back to an earlier place, or to a branch it left. What it leaves is kept as
    /// a branch, so that every rollback can be undone.
    ///
    /// # Errors
    /// `conflict` while a turn is running or when there is nothing to undo, `not_found` for an
    /// unknown checkpoint or branch, `invalid_input` for an entry the log has not,
    /// `precondition_failed`, `context_closed`, `quota_exceeded`, `context_not_found`,
    /// `context_expired`, `storage_error`.
    pub async fn rollback(&self, key: &Key, to: To, expect: Option<u64>) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::RolledBack, || job.rollback(&key, &to, expect))
        })
        .await
    }

    /// What hangs on a context: the branches it left and the contexts forked from it.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn branches(&self, key: &Key) -> Result<Branches, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let views = branches::views(connection, &row)?;
            let left = views.into_iter().map(|view| Left {
                number: view.no,
                shared: shared(&row, &view.row),
                cause: view.cause,
                at: clock::moment(view.at),
                head: view.row.head,
            });
            let left = left.collect();
            let sql = "SELECT id, title, fork_seq, head, updated FROM ctx
                           WHERE parent = ?1 AND (expires IS NULL OR expires > ?2)
                           ORDER BY n LIMIT ?3";
            let mut statement = connection.prepare_cached(sql).stored()?;
            let values = params![row.n, clock::now(), FORKS_MAX];
            let forks = statement.query_map(values, child).stored()?;
            let forks = forks.collect::<Result<_, _>>().stored()?;
            Ok(Branches { context: parts::context(connection, &row)?, left, forks })
        })
        .await
    }

    /// Compares two contexts: how far they share their log, and where their states differ.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn compare(&self, left: &Key, right: &Key) -> Result<Comparison, Fault> {
        let (left, right) = (left.clone(), right.clone());
        self.read(move |connection| {
            let left = ctx::live(connection, &left, clock::now())?;
            let right = ctx::live(connection, &right, clock::now())?;
            let (one, two) = (parts::state(connection, &left)?, parts::state(connection, &right)?);
            Ok(Comparison {
                shared: shared(&left, &right),
                left_head: left.head,
                right_head: right.head,
                state: branch::differences(&one, &two),
            })
        })
        .await
    }
}

/// The last entry that two logs read from the same place.
pub(super) fn shared(left: &Row, right: &Row) -> u32 {
    left.chain.shared_with(&right.chain, left.head.min(right.head))
}

fn child(row: &Found<'_>) -> Result<Child, storage::rusqlite::Error> {
    let id: String = row.get(0)?;
    Ok(Child {
        id: id.into(),
        title: Opened::shown(row, 1)?,
        fork_seq: row.get(2)?,
        head: row.get(3)?,
        last_updated: clock::moment(row.get(4)?),
    })
}

fn no_checkpoint(name: &str) -> Fault {
    let text = format!("there is no checkpoint `{}`", name.escape_debug());
    Fault::new(Code::NotFound, text).hint("`GET …/checkpoints` lists them")
}

/// A checkpoint as it is stored.
struct Named {
    name: String,
    log: i64,
    seq: u32,
    at: i64,
    revision: u64,
    note: Option<String>,
    state: String,
}

impl Named {
    fn read(row: &Found<'_>) -> Result<Self, storage::rusqlite::Error> {
        Ok(Self {
            name: row.get(0)?,
            log: row.get(1)?,
            seq: row.get(2)?,
            at: row.get(3)?,
            revision: unsigned(row.get(4)?),
            note: Opened::maybe(row, 5)?,
            state: row.get::<_, Opened>(6)?.0,
        })
    }

    fn is_on(&self, row: &Row) -> bool {
        self.seq <= row.head && (self.seq == 0 || row.chain.segment_of(self.seq) == self.log)
    }

    fn public(self, row: &Row) -> Result<Checkpoint, Fault> {
        Ok(Checkpoint {
            on_branch: self.is_on(row),
            state: state_of(&self.state, row)?,
            name: self.name,
            seq: self.seq,
            revision: self.revision,
            at: clock::moment(self.at),
            note: self.note,
        })
    }
}

fn state_of(text: &str, row: &Row) -> Result<Map, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(refuse::damaged("state of a branch", &row.key.id)),
    }
}

impl Job<'_> {
    fn checkpoint(&self, key: &Key, name: &str, note: Option<&str>) -> Result<Checkpoint, Fault> {
        let row = self.live(key)?;
        row.idle()?;
        let sql = "SELECT count(*), coalesce(sum(name = ?2), 0) FROM checkpoint WHERE n = ?1";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        let (count, same): (u32, u32) = statement
            .query_row(params![row.n, name], |found| Ok((found.get(0)?, found.get(1)?)))
            .stored()?;
        if same > 0 {
            let text = format!("the checkpoint `{}` exists already", name.escape_debug());
            return Err(Fault::new(Code::Conflict, text)
                .hint("choose another name, or delete the old one first")
                .details(serde_json::json!({"reason": "exists"})));
        }
        if count >= CHECKPOINTS_MAX {
            let text = format!("the context has {count} checkpoints, its limit");
            return Err(Fault::new(Code::QuotaExceeded, text).hint("delete some of them"));
        }
        let state = parts::to_text(&parts::state(self.connection, &row)?)?;
        let mut note = note.map(str::to_owned);
        if let Some(plan) = self.writing_in(&row)? {
            note.iter_mut().for_each(|text| clean_text(&plan, text));
        }
        let named = Named {
            name: name.to_owned(),
            log: row.chain.segment_of(row.head),
            seq: row.head,
            at: self.now,
            revision: row.revision,
            note,
            state,
        };
        let sql = "INSERT INTO checkpoint(n, name, log, seq, at, revision, note, state)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = params![
            row.n,
            named.name,
            named.log,
            named.seq,
            named.at,
            signed(named.revision),
            named.note.as_deref().map(|note| seal::text(row.owner(), note)).transpose()?,
            seal::text(row.owner(), &named.state)?
        ];
        prepare_insert(self.connection, sql)?.execute(values).stored()?;
        named.public(&row)
    }

    fn rollback(&self, key: &Key, to: &To, expect: Option<u64>) -> Result<Context, Fault> {
        let row = self.live(key)?;
        row.admit(expect)?;
        row.idle()?;
        match to {
            To::Seq(seq) => {
                let at = branches::at(self.connection, &row, Some(*seq))?;
                let cause = format!("rollback to {seq}");
                self.branch_off((&row, &row), &at, &cause, None)
            }
            To::Moment(seq) => {
                let at = branches::at(self.connection, &row, Some(*seq))?;
                let state = super::history::state_at(self.connection, &row, Moment::Seq(*seq))?;
                let cause = format!("rollback to {seq} with its state");
                self.branch_off((&row, &row), &at, &cause, Some(state))
            }
            To::Checkpoint(name) => self.to_checkpoint(&row, name),
            To::Branch(no) => self.come_back(&row, Some(*no)),
            To::Undo => self.come_back(&row, None),
        }
    }

    fn to_checkpoint(&self, row: &Row, name: &str) -> Result<Context, Fault> {
        let sql = "SELECT name, log, seq, at, revision, note, state FROM checkpoint
                   WHERE n = ?1 AND name = ?2";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        let found = statement.query_row(params![row.n, name], Named::read).optional().stored()?;
        let point = found.ok_or_else(|| no_checkpoint(name))?;
        let state = state_of(&point.state, row)?;
        let cause = format!("rollback to checkpoint {name}");
        if point.is_on(row) {
            let at = figures::at(self.connection, row, point.seq)?;
            return self.branch_off((row, row), &at, &cause, Some(state));
        }
        let views = branches::views(self.connection, row)?;
        let view = views.into_iter().find(|view| point.is_on(&view.row));
        let view = view.ok_or_else(|| {
            Fault::internal("a checkpoint names a branch that is gone")
                .details(serde_json::json!({"checkpoint": name}))
        })?;
        let at = figures::at(self.connection, &view.row, point.seq)?;
        self.branch_off((row, &view.row), &at, &cause, Some(state))
    }

    /// Leaves the branch of `row` for a new one that begins at an entry of `from`.
    pub(super) fn branch_off(
        &self,
        (row, from): (&Row, &Row),
        at: &figures::At,
        cause: &str,
        state: Option<Map>,
    ) -> Result<Context, Fault> {
        let kept = parts::state(self.connection, row)?;
        self.leave(row, cause, &kept)?;
        let mut next = row.clone();
        let own = chain::number(self.connection)?;
        branches::go_on_from(self.connection, &mut next, from, at, own)?;
        self.arrive(next, state, kept)
    }

    fn come_back(&self, row: &Row, no: Option<u32>) -> Result<Context, Fault> {
        let mut views = branches::views(self.connection, row)?;
        let view = match no {
            Some(no) => views.into_iter().find(|view| view.no == no).ok_or_else(|| {
                let text = format!("the context has no branch {no}");
                Fault::new(Code::NotFound, text).hint("`GET …/branches` lists them")
            })?,
            None => views.pop().ok_or_else(|| {
                Fault::new(Code::Conflict, "there is no rollback to undo")
                    .hint("a context that was never rolled back has one branch only")
                    .details(serde_json::json!({"reason": "nothing_to_undo"}))
            })?,
        };
        let kept = parts::state(self.connection, row)?;
        branches::forget(self.connection, row.n, view.no)?;
        self.leave(row, &format!("back to branch {}", view.no), &kept)?;
        let state = view.state.as_deref().map(|text| state_of(text, row)).transpose()?;
        let next = Row { revision: row.revision, anchor: None, ..view.row };
        self.arrive(next, state, kept)
    }

    fn leave(&self, row: &Row, cause: &str, state: &Map) -> Result<(), Fault> {
        let no = branches::leave(self.connection, row, cause, &parts::to_text(state)?, self.now)?;
        if no > VIEWS_MAX {
            let text = format!("the context has left {VIEWS_MAX} branches, its limit");
            return Err(Fault::new(Code::QuotaExceeded, text).hint("fork it and go on in the fork"));
        }
        Ok(())
    }

    /// Stores the branch that a context shows from now on.
    fn arrive(&self, mut next: Row, state: Option<Map>, kept: Map) -> Result<Context, Fault> {
        next.touch(self.now);
        branches::save(self.connection, &next)?;
        let state = match state {
            Some(state) if state != kept => {
                let limits = &self.inner.limits;
                let limit = limits.state_bytes.saturating_add(limits.message_bytes);
                parts::save_state(self.connection, &next, &state, limit)?;
                self.state_changed(&next, (&kept, &state), (ROLLBACK, None))?;
                state
            }
            _ => {
                self.state_changed(&next, (&kept, &kept), (ROLLBACK, None))?;
                kept
            }
        };
        let doc = parts::doc(self.connection, &next)?;
        parts::whole(self.connection, &next, state, doc)
    }
}

impl Chain {
    /// The last entry up to `head` that this log and `other` read from the same place.
    pub(super) fn shared_with(&self, other: &Self, head: u32) -> u32 {
        let mut borders: Vec<u32> = self.borders().chain(other.borders()).collect();
        borders.push(head);
        borders.sort_unstable();
        let mut shared = 0;
        for border in borders.into_iter().filter(|border| (1..=head).contains(border)) {
            if self.segment_of(border) != other.segment_of(border) {
                break;
            }
            shared = border;
        }
        shared
    }
}
