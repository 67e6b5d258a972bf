//! Taking a range: after everything in it is proven, its entries are appended byte for byte.

use std::time::Duration;

use storage::rusqlite::params;
use storage::{Durability, Stored};
use wire::Fault;
use wire::prompt::Role;

use super::super::manage::line;
use super::super::{Contexts, Job, admit_contents, figures};
use crate::mount::{Link, Passed, unbelievable, unhex};
use crate::rows::audit::hex;
use crate::rows::ctx::{self, Row};
use crate::rows::entry::{self, Fresh};
use crate::rows::{mounts, parts, seal};
use crate::{Content, EntryStatus, Key, LogRange, Map, Mount, MountState, Statement, What, clock};

impl Contexts {
    /// Takes a range that the origin sent for `nonce`, after everything in it is proven: the
    /// signature, the chain before it against what is here, and the chain through its entries.
    /// `wait` is when the origin is asked again once nothing is left to fetch.
    ///
    /// # Errors
    /// `upstream_invalid` with a `reason` among the details: `changed_past` when the origin's log
    /// is not the one that was proven before; as [`Contexts::append`] at the limits.
    pub async fn take_range(
        &self,
        key: &Key,
        (range, nonce): (LogRange, &str),
        wait: Duration,
    ) -> Result<Mount, Fault> {
        let mount = self.mount_row(key).await?;
        let statement = range.signed.open(&mount.pinned, nonce)?;
        is_of(&mount, &statement)?;
        let after = proven(&statement, &range.entries)?;
        self.write(Durability::Group, move |job| {
            job.take_range(&mount, (&statement, after), &range, wait)
        })
        .await
    }
}

impl Job<'_> {
    fn take_range(
        &self,
        known: &mounts::Row,
        (statement, after): (&Statement, Link),
        range: &LogRange,
        wait: Duration,
    ) -> Result<Mount, Fault> {
        let mut mount = self.same_mount(known)?;
        let key = &known.key;
        let mut row = self.live(key)?;
        if statement.head < row.head {
            let text = format!(
                "its log ends at entry {}, and {} were proven before",
                statement.head, row.head
            );
            return Err(unbelievable(&text, "changed_past"));
        }
        if statement.first != row.head.saturating_add(1) {
            let (first, head) = (statement.first, row.head);
            let text = format!("it begins at entry {first}, and {head} are here");
            return Err(unbelievable(&text, "entries"));
        }
        if statement.before != hex(&mount.chain) {
            return Err(unbelievable("its past is not the one that was proven", "changed_past"));
        }
        line("title", statement.title.as_deref()).map_err(theirs("its title"))?;
        let before = figures(&row);
        self.append_passed(&mut row, &range.entries)?;
        row.expires = statement.expires;
        let renamed = row.title != statement.title;
        row.title.clone_from(&statement.title);
        if !range.entries.is_empty() || renamed {
            row.revision += 1;
        }
        ctx::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        self.inner.totals.moved(Some(before), Some(figures(&row)));
        mount.chain = after;
        mount.messages = row.head;
        mount.head = statement.head;
        mount.checked = self.now;
        mount.tried = self.now;
        mount.failures = 0;
        mount.error = None;
        let whole = statement.last == statement.head;
        mount.state = if whole { MountState::Current } else { MountState::Behind };
        mount.due = if whole { clock::after(self.now, wait) } else { self.now };
        mounts::save(self.connection, &mount)?;
        mounts::save_proof(self.connection, (key, row.owner()), &range.signed)?;
        if !range.entries.is_empty() {
            self.tell_grown(&row)?;
        }
        Ok(mount.public())
    }

    fn append_passed(&self, row: &mut Row, entries: &[Passed]) -> Result<(), Fault> {
        let mut contents = Vec::with_capacity(entries.len());
        for passed in entries {
            let text = passed.meta.as_deref().unwrap_or_default();
            parts::bounded("what was noted with an entry", text, self.inner.limits.state_bytes)?;
            line("model", passed.model.as_deref()).map_err(theirs("the model of an entry"))?;
            let content = Content::restore(passed.dialect.as_deref(), passed.body.as_bytes());
            contents.push(content.ok_or_else(|| unreadable(passed.seq))?);
        }
        admit_contents(self, row, &contents.iter().collect::<Vec<_>>())?;
        for (passed, content) in entries.iter().zip(&contents) {
            let text = passed.meta.as_deref();
            let meta = text.map_or(Ok(Map::new()), serde_json::from_str);
            let meta = meta.map_err(|error| unreadable(passed.seq).because(error))?;
            let fresh = Fresh {
                role: role_of(&passed.role),
                content,
                model: passed.model.as_deref(),
                meta: &meta,
                status: status_of(&passed.status),
            };
            // The origin's time: it never goes back, as the chain has proven.
            let stored = entry::append(self.connection, row, fresh, passed.at)?;
            self.keep_meta(row, (stored.seq, &meta), passed)?;
        }
        Ok(())
    }

    /// Keeps what was noted byte for byte, where writing it anew would change it.
    fn keep_meta(&self, row: &Row, (seq, meta): (u32, &Map), passed: &Passed) -> Result<(), Fault> {
        let written = if meta.is_empty() { None } else { Some(parts::to_text(meta)?) };
        if written == passed.meta {
            return Ok(());
        }
        let text = passed.meta.as_deref();
        let sealed = text.map(|text| seal::text(row.owner(), text)).transpose()?;
        let sql = "UPDATE entry SET meta = ?2 WHERE k = ?1";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        statement.execute(params![row.chain.place(seq), sealed]).stored()?;
        Ok(())
    }

    fn tell_grown(&self, row: &Row) -> Result<(), Fault> {
        let detail = Map::from_iter([
            ("revision".to_owned(), row.revision.into()),
            ("messages".to_owned(), row.head.into()),
        ]);
        self.tell(&row.key, What::Appended, (None, None), &detail)
    }
}

fn role_of(name: &str) -> Role {
    match name {
        "system" => Role::System,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => Role::User,
    }
}

fn status_of(name: &str) -> EntryStatus {
    match name {
        "failed" => EntryStatus::Failed,
        "partial" => EntryStatus::Partial,
        _ => EntryStatus::Complete,
    }
}

/// A statement must be of the log that was mounted.
pub(super) fn is_of(mount: &mounts::Row, statement: &Statement) -> Result<(), Fault> {
    let same = statement.context == mount.remote && statement.created == mount.created;
    if statement.about == "range" && same {
        return Ok(());
    }
    Err(unbelievable("it is of another log than the one that was mounted", "statement"))
}

/// Follows the chain through the entries; hands out where it ends.
pub(super) fn proven(statement: &Statement, entries: &[Passed]) -> Result<Link, Fault> {
    let before = unhex(&statement.before);
    let before = before.and_then(|bytes| Link::try_from(bytes).ok());
    let mut link = before.ok_or_else(|| unbelievable("it names no chain", "statement"))?;
    let mut seq = statement.first;
    let mut at = i64::MIN;
    for passed in entries {
        if passed.seq != seq || passed.numbers().is_none() || passed.at < at {
            let text = format!("entry {seq} is not where it belongs");
            return Err(unbelievable(&text, "entries"));
        }
        link = passed.chained(&link);
        (seq, at) = (seq.saturating_add(1), passed.at);
    }
    if seq != statement.last.saturating_add(1) || hex(&link) != statement.after {
        let text = format!(
            "entries {} to {} are not those that were signed",
            statement.first, statement.last
        );
        return Err(unbelievable(&text, "entries"));
    }
    Ok(link)
}

/// The fault of what no server of this kind stores.
fn theirs(what: &str) -> impl Fn(Fault) -> Fault {
    move |fault| unbelievable(&format!("{what} is too long"), "statement").because(fault)
}

fn unreadable(seq: u32) -> Fault {
    unbelievable(&format!("entry {seq} cannot be read"), "entries")
}
