//! Forks: a context that goes on from an entry of another one, which it reads where it lies.

use storage::rusqlite::params;
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::manage::{lifetimes, line};
use super::{Contexts, Job, admit_contents, figures};
use crate::rows::ctx::{self, Row};
use crate::rows::entry::{self, Fresh};
use crate::rows::{branches, parts};
use crate::{Context, EntryStatus, Idem, Key, Map, New, Settings, What, merge_patch};

impl Contexts {
    /// Makes a context that goes on from entry `at` of another one (its newest one when absent; a
    /// turn that is running or has failed is left out then). Nothing is copied: one row is written,
    /// however long the log is. A fork that would read from more than 32 segments gets a copy
    /// instead, up to 64 MiB.
    ///
    /// What `new` leaves out comes from the parent: title, user, system, state, notes; settings
    /// and metadata are merged, `messages` are appended. The log the two share never changes, and
    /// stays when the parent is deleted.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `invalid_input` when the log has no entry `at`,
    /// `conflict` when `new.id` exists, when `at` is part of a running turn, or when the fork is
    /// too deep to share and too large to copy; otherwise as [`Contexts::create`].
    pub async fn fork(&self, key: &Key, at: Option<u64>, new: New) -> Result<Context, Fault> {
        let (parent, child) = (key.clone(), named(key, &new)?);
        self.ready(key.tenant).await?;
        let durability = new.settings.durability.unwrap_or(self.durability);
        self.write(durability, move |job| {
            job.watched(&child, What::Forked, || job.fork(&parent, at, &child, new))
        })
        .await
    }

    /// As [`Contexts::fork`]; a repeated request returns the fork that was made first.
    ///
    /// # Errors
    /// As [`Contexts::fork`]; `idempotency_mismatch` when the key was used with another body.
    pub async fn fork_once(
        &self,
        key: &Key,
        at: Option<u64>,
        new: New,
        idem: Idem,
    ) -> Result<Context, Fault> {
        let (parent, child) = (key.clone(), named(key, &new)?);
        self.ready(key.tenant).await?;
        let durability = new.settings.durability.unwrap_or(self.durability);
        self.write(durability, move |job| {
            job.watched(&child, What::Forked, || {
                job.made_once(parent.tenant, &idem, || job.fork(&parent, at, &child, new))
            })
        })
        .await
    }
}

fn named(parent: &Key, new: &New) -> Result<Key, Fault> {
    match &new.id {
        Some(id) => Key::new(parent.tenant, id),
        None => Ok(Key::fresh(parent.tenant)),
    }
}

impl Job<'_> {
    pub(super) fn fork(
        &self,
        parent: &Key,
        at: Option<u64>,
        key: &Key,
        new: New,
    ) -> Result<Context, Fault> {
        let from = self.live(parent)?;
        let at = branches::at(self.connection, &from, at)?;
        self.make_room(key)?;
        let mut row = self.insert(key)?;
        if from.seal.is_some() && row.seal.is_none() {
            self.seal(&mut row, true)?;
        }
        let own = row.n;
        branches::go_on_from(self.connection, &mut row, &from, &at, own)?;
        row.parent = Some((from.n, at.seq));
        line("title", new.title.as_deref())?;
        line("user", new.user.as_deref())?;
        row.title = new.title.or_else(|| from.title.clone());
        row.user = new.user.or_else(|| from.user.clone());
        lifetimes(new.expires_in.is_some(), new.idle_for.is_some())?;
        row.choose_life(new.expires_in, new.idle_for, self.now);
        row.model = new.settings.model.clone().or_else(|| from.model.clone());

        let limit = self.inner.limits.state_bytes;
        let mut doc = parts::doc(self.connection, &from)?;
        doc.system = new.system.or(doc.system);
        let mut settings = doc.settings.to_map();
        merge_patch(&mut settings, new.settings.to_map());
        doc.settings = Settings::parse(settings)?;
        merge_patch(&mut doc.metadata, new.metadata);
        row.durability = doc.durability();
        self.inner.redaction.note(&doc.settings);
        self.clean_head(&mut row, &mut doc);
        if !doc.is_empty() {
            parts::save_doc(self.connection, &row, &doc, limit)?;
        }
        let inherited = parts::state(self.connection, &from)?;
        self.save_base(&row, &inherited)?;
        let mut state = if new.state.is_empty() { inherited } else { new.state };
        self.clean_state(&doc.settings, &mut state);
        if !state.is_empty() {
            // The parent's state may hold a long `last_message`, which its own limit admitted.
            let limit = limit.saturating_add(self.inner.limits.message_bytes);
            parts::save_state(self.connection, &row, &state, limit)?;
            self.state_changed(&row, (&Map::new(), &state), ("fork", None))?;
        }
        self.copy_notes(&from, &row)?;
        self.append_all(&mut row, &new.messages)?;
        branches::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        self.inner.choices.set(key, row.durability);
        self.inner.totals.moved(None, Some(figures(&row)));
        parts::whole(self.connection, &row, state, doc)
    }

    /// Appends whole entries; the caller saves the row.
    pub(super) fn append_all(
        &self,
        row: &mut Row,
        entries: &[crate::NewEntry],
    ) -> Result<Vec<crate::Entry>, Fault> {
        let contents: Vec<_> = entries.iter().map(|entry| &entry.content).collect();
        admit_contents(self, row, &contents)?;
        let mut out = Vec::with_capacity(entries.len());
        for fresh in entries {
            let cleaned = self.cleaned(row, &fresh.content, &fresh.meta)?;
            let (content, meta) = match &cleaned {
                Some((content, meta)) => (content, meta),
                None => (&fresh.content, &fresh.meta),
            };
            let fresh = Fresh {
                role: fresh.role,
                content,
                model: fresh.model.as_deref(),
                meta,
                status: EntryStatus::Complete,
            };
            out.push(entry::append(self.connection, row, fresh, self.now)?);
        }
        Ok(out)
    }

    fn copy_notes(&self, from: &Row, to: &Row) -> Result<(), Fault> {
        let sql = "INSERT INTO note(n, no, kind, name, body, at, expires)
                   SELECT ?2, no, kind, name, body, at, expires FROM note WHERE n = ?1";
        let mut statement = prepare_insert(self.connection, sql)?;
        statement.execute(params![from.n, to.n]).stored()?;
        Ok(())
    }
}
