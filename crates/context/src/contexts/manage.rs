//! The life of a context: create, read, list, edit, close, delete.

use std::sync::PoisonError;

use serde_json::Value;
use storage::{Durability, Stored};
use wire::Fault;

use super::{Contexts, Job, Lifetime, figures};
use crate::rows::ctx::{self, Row};
use crate::rows::parts::{self, Doc};
use crate::rows::{branches, chain, list, seal, unsigned};
use crate::{
    Context, Edit, Filter, Key, Map, New, Page, Settings, Status, Tenant, What, clock, merge_patch,
    refuse,
};

/// The id that a path of the API needs for itself.
const RESERVED: &str = "create";
/// Limit: characters of a title or a user.
const LINE_CHARACTERS_MAX: usize = 1000;
/// Entries that are deleted together with their context; more go in slices afterwards.
const DELETED_AT_ONCE: u32 = 200;

impl Contexts {
    /// Makes a context.
    ///
    /// # Errors
    /// `conflict` when the id exists, `invalid_input` for an id that is reserved or malformed,
    /// `context_too_long` and `quota_exceeded` at the limits, `storage_error`.
    pub async fn create(&self, tenant: Tenant, new: New) -> Result<Context, Fault> {
        let key = match &new.id {
            Some(id) => Key::new(tenant, id)?,
            None => Key::fresh(tenant),
        };
        self.ready(tenant).await?;
        let durability = new.settings.durability.unwrap_or(self.durability);
        self.write(durability, move |job| {
            job.watched(&key, What::Created, || job.create(&key, new))
        })
        .await
    }

    /// Reads a context.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn get(&self, key: &Key) -> Result<Context, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            parts::context(connection, &row)
        })
        .await
    }

    /// Lists the contexts of a tenant, page by page.
    ///
    /// # Errors
    /// `invalid_input` for a limit or cursor that is none, `storage_error`.
    pub async fn list(&self, tenant: Tenant, filter: Filter) -> Result<Page<Context>, Fault> {
        self.read(move |c| list::page(c, tenant, &filter, clock::now())).await
    }

    /// Changes a context.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `context_closed`, `precondition_failed`,
    /// `invalid_input`, `context_too_long`, `storage_error`.
    pub async fn edit(&self, key: &Key, edit: Edit, expect: Option<u64>) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Updated, || job.edit(&key, edit, (expect, "edit")))
        })
        .await
    }

    /// Ends a context: it is kept and can only be read. Doing it twice is no error; a turn that is
    /// running still gets its reply.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn close(&self, key: &Key) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| job.watched(&key, What::Closed, || job.close(&key))).await
    }

    /// Removes a context with everything in it.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn delete(&self, key: &Key) -> Result<(), Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        let left = self
            .write(durability, move |job| {
                job.watched(&key, What::Deleted, || {
                    // Also one that cannot be read any more.
                    let row = ctx::find(job.connection, &key)?.filter(|row| {
                        seal::is_gone(row.owner()) && row.expires.is_none_or(|end| end > job.now)
                    });
                    let row = row.map_or_else(|| job.live(&key), Ok)?;
                    job.remove(&row)
                })
            })
            .await?;
        if left {
            self.empty_trash().await?;
        }
        Ok(())
    }
}

impl Job<'_> {
    /// Makes a context with everything its caller wants in it.
    pub(super) fn create(&self, key: &Key, new: New) -> Result<Context, Fault> {
        self.make_room(key)?;
        let mut row = self.insert(key)?;
        line("title", new.title.as_deref())?;
        line("user", new.user.as_deref())?;
        row.title = new.title;
        row.user = new.user;
        lifetimes(new.expires_in.is_some(), new.idle_for.is_some())?;
        row.choose_life(new.expires_in, new.idle_for, self.now);
        row.model.clone_from(&new.settings.model);
        let mut doc = Doc { system: new.system, settings: new.settings, metadata: new.metadata };
        row.durability = doc.durability();
        self.inner.redaction.note(&doc.settings);
        self.clean_head(&mut row, &mut doc);
        let mut state = new.state;
        self.clean_state(&doc.settings, &mut state);
        let limit = self.inner.limits.state_bytes;
        if !doc.is_empty() {
            parts::save_doc(self.connection, &row, &doc, limit)?;
        }
        if !state.is_empty() {
            parts::save_state(self.connection, &row, &state, limit)?;
            self.state_changed(&row, (&Map::new(), &state), ("created", None))?;
        }
        self.append_all(&mut row, &new.messages)?;
        ctx::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        self.inner.choices.set(key, row.durability);
        self.inner.totals.moved(None, Some(figures(&row)));
        Ok(row.context(state, doc))
    }

    fn close(&self, key: &Key) -> Result<Context, Fault> {
        let mut row = self.live(key)?;
        if row.status == Status::Importing {
            return Err(refuse::importing());
        }
        if row.status == Status::Open {
            row.status = Status::Closed;
            row.touch(self.now);
            ctx::save(self.connection, &row)?;
            ctx::save_head(self.connection, &row)?;
        }
        parts::context(self.connection, &row)
    }

    /// Makes an empty context; the caller counts it.
    pub(super) fn insert(&self, key: &Key) -> Result<Row, Fault> {
        if &*key.id == RESERVED {
            return Err(refuse::reserved(&key.id));
        }
        let limit = self.inner.limits.contexts;
        let count = self.inner.totals.contexts.load(std::sync::atomic::Ordering::Relaxed);
        if unsigned(count) >= limit {
            return Err(refuse::full(limit));
        }
        let mut row = ctx::insert(self.connection, key, self.now)?;
        self.seal(&mut row, false)?;
        let life = *self.inner.lifetime.lock().unwrap_or_else(PoisonError::into_inner);
        if life != Lifetime::default() {
            row.live_for(life.age, life.idle, self.now);
            ctx::save_head(self.connection, &row)?;
        }
        Ok(row)
    }

    /// Removes what has expired under this id; refuses when a context is there.
    pub(super) fn make_room(&self, key: &Key) -> Result<(), Fault> {
        match ctx::find(self.connection, key)? {
            None => Ok(()),
            Some(row) if row.expires.is_some_and(|end| end <= self.now) => {
                self.remove(&row).map(|_| ())
            }
            Some(_) => Err(refuse::exists(&key.id)),
        }
    }

    /// Removes a context; says whether entries are left in the trash.
    pub(super) fn remove(&self, row: &Row) -> Result<bool, Fault> {
        let segments = branches::segments(self.connection, row)?;
        for sql in [
            "DELETE FROM ctx WHERE n = ?1",
            "DELETE FROM ctx_state WHERE n = ?1",
            "DELETE FROM ctx_doc WHERE n = ?1",
            "DELETE FROM note WHERE n = ?1",
            "DELETE FROM view WHERE n = ?1",
            "DELETE FROM checkpoint WHERE n = ?1",
            "DELETE FROM state_change WHERE n = ?1",
            "DELETE FROM fork_state WHERE n = ?1",
            "DELETE FROM share WHERE n = ?1",
            "DELETE FROM trail WHERE n = ?1",
            "DELETE FROM epoch WHERE n = ?1",
            "DELETE FROM summary WHERE n = ?1",
            "DELETE FROM pin WHERE n = ?1",
            "DELETE FROM wind WHERE n = ?1",
        ] {
            self.connection.prepare_cached(sql).stored()?.execute([row.n]).stored()?;
        }
        let left = chain::release(self.connection, &segments.numbers, DELETED_AT_ONCE)?;
        self.inner.choices.set(&row.key, None);
        self.drop_mount(&row.key)?;
        let (entries, bytes) = figures(row);
        let gone = (entries.saturating_add(segments.entries), bytes.saturating_add(segments.bytes));
        self.inner.totals.moved(Some(gone), None);
        Ok(left)
    }

    /// Changes a context; `cause` is what the history of its state says.
    pub(super) fn edit(
        &self,
        key: &Key,
        edit: Edit,
        (expect, cause): (Option<u64>, &str),
    ) -> Result<Context, Fault> {
        let mut row = self.live(key)?;
        row.admit(expect)?;
        let limit = self.inner.limits.state_bytes;
        let mut doc = parts::doc(self.connection, &row)?;
        let mut state = parts::state(self.connection, &row)?;
        if let Some(title) = edit.title {
            line("title", title.as_deref())?;
            row.title = title;
        }
        if let Some(user) = edit.user {
            line("user", user.as_deref())?;
            row.user = user;
        }
        lifetimes(edit.expires_in.flatten().is_some(), edit.idle_for.flatten().is_some())?;
        if edit.expires_in.is_some() || edit.idle_for.is_some() {
            row.live_for(edit.expires_in.flatten(), edit.idle_for.flatten(), self.now);
        } else if let Some(ttl) = row.ttl {
            row.live_for(None, Some(std::time::Duration::from_micros(unsigned(ttl))), self.now);
        }
        let has_doc = edit.system.is_some() || edit.settings.is_some() || edit.metadata.is_some();
        if let Some(system) = edit.system {
            doc.system = system;
        }
        if let Some(patch) = edit.settings {
            crate::parameters::check(&patch)?;
            let named = patch.get("model").and_then(Value::as_str).map(str::to_owned);
            let mut map = doc.settings.to_map();
            merge_patch(&mut map, patch);
            doc.settings = Settings::parse(map)?;
            row.durability = doc.durability();
            self.inner.redaction.note(&doc.settings);
            row.model = named.or(row.model);
        }
        if let Some(patch) = edit.metadata {
            merge_patch(&mut doc.metadata, patch);
        }
        self.clean_head(&mut row, &mut doc);
        if has_doc {
            parts::save_doc(self.connection, &row, &doc, limit)?;
        }
        row.touch(self.now);
        if let Some(change) = edit.state {
            let before = state.clone();
            if change.apply(&mut state) {
                self.clean_state(&doc.settings, &mut state);
                parts::save_state(self.connection, &row, &state, limit)?;
                self.state_changed(&row, (&before, &state), (cause, None))?;
            }
        }
        ctx::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        self.inner.choices.set(key, row.durability);
        parts::whole(self.connection, &row, state, doc)
    }
}

/// A context lives for a time, or for a time after its last change.
pub(super) fn lifetimes(age: bool, idle: bool) -> Result<(), Fault> {
    if age && idle {
        return Err(refuse::invalid(
            "idle_seconds",
            "cannot be set together with `expires_in_seconds`",
        ));
    }
    Ok(())
}

pub(super) fn line(field: &str, text: Option<&str>) -> Result<(), Fault> {
    match text {
        Some(text) if text.chars().count() > LINE_CHARACTERS_MAX => {
            Err(refuse::invalid(field, "must have at most 1000 characters"))
        }
        _ => Ok(()),
    }
}

/// The durability of clean-up: losing it in a power cut only means doing it again.
pub(super) const CLEANING: Durability = Durability::Fast;
