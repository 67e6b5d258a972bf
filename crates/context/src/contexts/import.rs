//! Contexts into the store, piece by piece: nobody sees one before all of them are there.

use std::sync::Arc;

use storage::Stored;
use tokio::sync::OwnedSemaphorePermit;
use wire::{Code, Fault};

use super::beside::clean_value;
use super::manage::CLEANING;
use super::{Contexts, Job, figures};
use crate::rows::ctx::{self, Row};
use crate::rows::{notes, parts, summaries};
use crate::transfer::{Begin, Ending, Parcel, Piece};
use crate::{Key, New, NewEntry, Status, Tenant, What, clock, refuse};

/// Limit: imports at the same time; each may hold a conversation of a quarter of a gigabyte.
pub(super) const IMPORTS_MAX: usize = 4;
/// Contexts that are taken away together when an import has failed.
const UNDONE: usize = 20;
/// The same, of what a process left that died.
const UNDONE_ROWS: u32 = 20;

/// How contexts are to be imported.
#[derive(Clone, Debug, Default)]
pub struct ImportOrder {
    /// The id of the only context of the document, instead of its own.
    pub id: Option<String>,
    /// Every context gets a new id.
    pub new_ids: bool,
    /// Only look what would be done: nothing is stored.
    pub dry_run: bool,
}

/// A context that an import has made.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its id.
    pub id: Arc<str>,
    /// Its title.
    pub title: Option<String>,
    /// Messages that it shows.
    pub messages: u64,
    /// The context it is a fork of, and the last message they share.
    pub fork: Option<(Arc<str>, u64)>,
}

/// An import under way. It ends with [`Import::finish`] or [`Import::undo`]; what is left of one
/// whose process died is removed when the store is opened again.
#[derive(Debug)]
pub struct Import {
    contexts: Contexts,
    tenant: Tenant,
    order: ImportOrder,
    made: Vec<(Imported, Ending)>,
    _place: OwnedSemaphorePermit,
}

impl Contexts {
    /// Begins an import.
    ///
    /// # Errors
    /// `overloaded` while four others are running, `invalid_input` for an id that is none.
    pub fn importing(&self, tenant: Tenant, order: ImportOrder) -> Result<Import, Fault> {
        if let Some(id) = &order.id {
            Key::new(tenant, id)?;
        }
        let place = Arc::clone(&self.inner.imports).try_acquire_owned().map_err(|error| {
            let text = format!("{IMPORTS_MAX} imports are running, as many as may");
            Fault::new(Code::Overloaded, text).hint("try again when one has ended").because(error)
        })?;
        Ok(Import { contexts: self.clone(), tenant, order, made: Vec::new(), _place: place })
    }

    /// Makes the contexts of a parcel, all or none.
    ///
    /// # Errors
    /// As [`Import::take`]; what was made before is removed again.
    pub async fn import(&self, tenant: Tenant, parcel: Parcel) -> Result<Vec<Imported>, Fault> {
        let mut import = self.importing(tenant, ImportOrder::default())?;
        for mut item in parcel.items {
            let messages = std::mem::take(&mut item.new.messages);
            let begin = Begin { new: item.new, fork: item.fork };
            let pieces = [
                Piece::Begin(Box::new(begin)),
                Piece::Messages(messages),
                Piece::End(Box::new(item.ending)),
            ];
            for piece in pieces {
                if let Err(fault) = import.take(piece).await {
                    import.undo().await;
                    return Err(fault);
                }
            }
        }
        import.finish().await
    }

    /// Removes what imports have left whose process died.
    pub(super) async fn drop_unfinished(&self) -> Result<(), Fault> {
        while self.write(CLEANING, |job| job.drop_unfinished()).await? {}
        Ok(())
    }
}

impl Import {
    /// Takes the next piece.
    ///
    /// # Errors
    /// `conflict` when an id exists, otherwise as [`Contexts::create`] and [`Contexts::append`].
    pub async fn take(&mut self, piece: Piece) -> Result<(), Fault> {
        match piece {
            Piece::Begin(begin) => self.begin(*begin).await,
            Piece::Messages(messages) => self.say(messages).await,
            Piece::End(ending) => {
                if let Some((_, last)) = self.made.last_mut() {
                    *last = *ending;
                }
                Ok(())
            }
        }
    }

    /// How many contexts and messages were made so far.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        let messages = self.made.iter().map(|(made, _)| {
            let shared = made.fork.as_ref().map_or(0, |(_, shared)| *shared);
            made.messages.saturating_sub(shared)
        });
        (self.made.len() as u64, messages.sum())
    }

    async fn begin(&mut self, begin: Begin) -> Result<(), Fault> {
        let Begin { mut new, fork } = begin;
        if self.order.new_ids {
            new.id = None;
        }
        if let Some(id) = &self.order.id {
            if !self.made.is_empty() {
                let text = "the document holds several contexts, which cannot all have one id";
                return Err(Fault::new(Code::InvalidInput, text).hint("leave `id` out"));
            }
            new.id = Some(id.clone());
        }
        let parent = match fork {
            None => None,
            Some((of, at)) => {
                let parent = self.made.get(of).map(|(parent, _)| Arc::clone(&parent.id));
                let broken = || Fault::internal("a fork stands before its parent");
                Some((parent.ok_or_else(broken)?, at))
            }
        };
        let key = match &new.id {
            Some(id) => Key::new(self.tenant, id)?,
            None => Key::fresh(self.tenant),
        };
        let mut made = Imported {
            id: Arc::clone(&key.id),
            title: new.title.clone(),
            messages: parent.as_ref().map_or(0, |(_, at)| *at),
            fork: parent.clone(),
        };
        if self.order.dry_run {
            self.must_be_free(&key).await?;
        } else {
            made.title = self.make(key, parent, new).await?;
        }
        self.made.push((made, Ending::default()));
        Ok(())
    }

    /// Makes a context that nobody sees yet; says its title.
    async fn make(
        &self,
        key: Key,
        parent: Option<(Arc<str>, u64)>,
        new: New,
    ) -> Result<Option<String>, Fault> {
        self.contexts.ready(self.tenant).await?;
        let tenant = self.tenant;
        let make = move |job: &Job<'_>| {
            let context = match parent {
                None => job.create(&key, new)?,
                Some((id, at)) => job.fork(&Key { tenant, id }, Some(at), &key, new)?,
            };
            let mut row = job.live(&key)?;
            row.status = Status::Importing;
            ctx::save_head(job.connection, &row)?;
            Ok(context.title)
        };
        self.contexts.write(CLEANING, make).await
    }

    /// Refuses an id that exists, or that came before in the document.
    async fn must_be_free(&self, key: &Key) -> Result<(), Fault> {
        let wanted = key.clone();
        let find = move |c: &storage::rusqlite::Connection| ctx::find(c, &wanted);
        let found = self.contexts.read(find).await?;
        let taken = found.is_some_and(|row| row.expires.is_none_or(|end| end > clock::now()));
        if taken || self.made.iter().any(|(made, _)| made.id == key.id) {
            return Err(refuse::exists(&key.id));
        }
        Ok(())
    }

    async fn say(&mut self, messages: Vec<NewEntry>) -> Result<(), Fault> {
        let Some((made, _)) = self.made.last_mut() else { return Ok(()) };
        made.messages = made.messages.saturating_add(messages.len() as u64);
        if self.order.dry_run {
            let limit = self.contexts.inner.limits.message_bytes;
            let large = messages.iter().map(|m| m.content.stored().len()).find(|b| *b > limit);
            return match large {
                Some(bytes) => Err(refuse::too_long("a message", bytes as u64, limit as u64)),
                None => Ok(()),
            };
        }
        let key = Key { tenant: self.tenant, id: Arc::clone(&made.id) };
        let say = move |job: &Job<'_>| {
            let mut row = job.filling(&key)?;
            let before = figures(&row);
            job.append_all(&mut row, &messages)?;
            row.touch(job.now);
            ctx::save(job.connection, &row)?;
            job.inner.totals.moved(Some(before), Some(figures(&row)));
            Ok(())
        };
        self.contexts.write(CLEANING, say).await
    }

    /// Lets everybody see what was made: all of it in one transaction.
    ///
    /// # Errors
    /// `conflict` when something of it was taken away meanwhile, `storage_error`; nothing is left
    /// then.
    pub async fn finish(mut self) -> Result<Vec<Imported>, Fault> {
        let made = std::mem::take(&mut self.made);
        if self.order.dry_run {
            return Ok(made.into_iter().map(|(made, _)| made).collect());
        }
        let tenant = self.tenant;
        let ids: Vec<Arc<str>> = made.iter().map(|(made, _)| Arc::clone(&made.id)).collect();
        let durability = self.contexts.durability;
        let show = move |job: &Job<'_>| {
            let mut out = Vec::with_capacity(made.len());
            for (made, ending) in made {
                job.show(&Key { tenant, id: Arc::clone(&made.id) }, ending)?;
                out.push(made);
            }
            Ok(out)
        };
        let done = self.contexts.write(durability, show).await;
        if done.is_err() {
            self.remove(ids).await;
        }
        done
    }

    /// Takes everything away again.
    pub async fn undo(mut self) {
        let made = std::mem::take(&mut self.made);
        if !self.order.dry_run {
            self.remove(made.into_iter().map(|(made, _)| made.id).collect()).await;
        }
    }

    async fn remove(&self, mut ids: Vec<Arc<str>>) {
        let tenant = self.tenant;
        while !ids.is_empty() {
            let some = ids.split_off(ids.len().saturating_sub(UNDONE));
            let remove = move |job: &Job<'_>| {
                for id in some.into_iter().rev() {
                    let found = ctx::find(job.connection, &Key { tenant, id })?;
                    if let Some(row) = found.filter(|row| row.status == Status::Importing) {
                        job.remove(&row)?;
                    }
                }
                Ok(())
            };
            if let Err(left) = self.contexts.write(CLEANING, remove).await {
                tracing::warn!(
                    "an unfinished import is left until the next start: {}",
                    left.chain()
                );
                return;
            }
        }
        if let Err(left) = self.contexts.empty_trash().await {
            tracing::warn!("messages of an undone import are left: {}", left.chain());
        }
    }
}

impl Job<'_> {
    /// Finds a context that is being imported.
    fn filling(&self, key: &Key) -> Result<Row, Fault> {
        let found = ctx::find(self.connection, key)?;
        found.filter(|row| row.status == Status::Importing).ok_or_else(|| {
            let text = format!("the context `{}` was removed while it was imported", key.id);
            Fault::new(Code::Conflict, text).hint("import the document again")
        })
    }

    /// Ends the filling of a context, and tells of it.
    fn show(&self, key: &Key, ending: Ending) -> Result<(), Fault> {
        let mut row = self.filling(key)?;
        let plan = if ending.notes.is_empty() { None } else { self.writing_in(&row)? };
        for mut note in ending.notes {
            if let Some(plan) = &plan {
                clean_value(plan, &mut note.value);
            }
            notes::add(self.connection, row.n, note, self.now)?;
        }
        for seq in ending.pins.into_iter().filter(|seq| *seq <= row.head) {
            summaries::pin(self.connection, &row, (seq, true), self.now)?;
        }
        if ending.system.is_some() || !ending.metadata.is_empty() {
            let mut doc = parts::doc(self.connection, &row)?;
            doc.system = ending.system.or(doc.system);
            doc.metadata.extend(ending.metadata);
            self.clean_head(&mut row, &mut doc);
            parts::save_doc(self.connection, &row, &doc, self.inner.limits.state_bytes)?;
        }
        row.status = if ending.closed { Status::Closed } else { Status::Open };
        row.touch(self.now);
        ctx::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        let what = if row.parent.is_some() { What::Forked } else { What::Created };
        self.tell_made(&row, what)
    }

    fn drop_unfinished(&self) -> Result<bool, Fault> {
        let sql = concat!(
            "SELECT ",
            ctx::ctx_columns!(),
            " FROM ctx WHERE status = 2 ORDER BY n DESC LIMIT ?1"
        );
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        let rows = statement.query_map([UNDONE_ROWS], Row::read).stored()?;
        let rows: Vec<Row> = rows.collect::<Result<_, _>>().stored()?;
        for row in &rows {
            // Read again with all its segments.
            if let Some(row) = ctx::find(self.connection, &row.key)? {
                tracing::info!(context = %row.key.id, "the rest of an import was removed");
                self.remove(&row)?;
            }
        }
        Ok(!rows.is_empty())
    }
}
