//! Redaction: before something is stored, before a model is told, or on command afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use storage::Stored;
use storage::rusqlite::{Connection, params};
use wire::{Code, Fault};

use super::beside::{clean_map, clean_text, clean_value};
use super::manage::CLEANING;
use super::{Contexts, Job};
use crate::redact::{Marks, json, mark};
use crate::rows::ctx::Row;
use crate::rows::entry::{self, place, seq_of};
use crate::rows::seal;
use crate::rows::{ctx, parts, search, states, vectors};
use crate::{
    Content, Context, Entry, Key, Map, RedactMode, RedactPlan, Settings, Task, What, Window,
};

/// Entries that are redacted together; between two slices the writer serves others.
pub(super) const SLICE: u32 = 200;
/// Limit: slices in which the index is rewritten; some hundred gigabytes.
const MERGES_MAX: u32 = 100_000;
/// What stands for a text that was taken away as a whole.
const ERASED: &str = "[redacted]";

/// Which plans are in force.
#[derive(Debug, Default)]
pub(super) struct Redaction {
    default: Mutex<Option<Arc<RedactPlan>>>,
    /// Some context has a plan of its own, or had one.
    pub(super) own: AtomicBool,
}

impl Redaction {
    /// Looks whether any context has a plan of its own.
    pub(super) fn read(connection: &Connection) -> Result<Self, Fault> {
        let sql = "SELECT 1 FROM ctx_doc WHERE settings LIKE '%\"redact\"%' LIMIT 1";
        let own = connection.prepare(sql).stored()?.exists([]).stored()?;
        Ok(Self { default: Mutex::default(), own: AtomicBool::new(own) })
    }

    /// Notes the settings of a context.
    pub(super) fn note(&self, settings: &Settings) {
        if settings.redact.is_some() {
            self.own.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn of(&self, settings: &Settings) -> Option<Arc<RedactPlan>> {
        settings.redact.clone().map(Arc::new).or_else(|| self.default())
    }

    pub(super) fn default(&self) -> Option<Arc<RedactPlan>> {
        self.default.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a redaction on command did.
#[derive(Clone, Debug)]
pub struct Redacted {
    /// The context afterwards.
    pub context: Context,
    /// Messages that were looked at.
    pub looked_at: u64,
    /// Messages that were changed.
    pub changed: u64,
    /// How often what was replaced.
    pub marks: Vec<(String, u64)>,
}

/// What to redact on command.
#[derive(Clone, Debug)]
pub struct RedactOrder {
    /// The first message; the oldest unless given.
    pub first: u32,
    /// The last message; the newest unless given.
    pub last: Option<u32>,
    /// What is looked for; everything that is said when absent.
    pub plan: Option<RedactPlan>,
}

impl Contexts {
    /// Sets what is redacted in contexts without a plan of their own; nothing unless set.
    pub fn set_redaction(&self, plan: Option<RedactPlan>) {
        let plan = plan.map(Arc::new);
        *self.inner.redaction.default.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Replaces what the order finds in messages that are stored, in the state and in checkpoints,
    /// for good: forks that share the messages see it too, and what was written from them
    /// (summaries, the index of words) is written anew.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `conflict` while a turn is running, `invalid_input`
    /// for numbers the log does not have, `precondition_failed`, `storage_error`.
    pub async fn redact(&self, key: &Key, order: RedactOrder) -> Result<Redacted, Fault> {
        self.unchanged(key).await?;
        // Each slice changes the revision.
        self.expecting(None).redact_all(key, order).await
    }

    async fn redact_all(&self, key: &Key, order: RedactOrder) -> Result<Redacted, Fault> {
        let context = self.get(key).await?;
        let head = u32::try_from(context.size.messages).unwrap_or(u32::MAX);
        let last = order.last.unwrap_or(head);
        if order.first == 0 || last > head || (order.first > last && head > 0) {
            let text = format!("messages {} to {last} are none of 1 to {head}", order.first);
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("name the first and the last message by their `seq`"));
        }
        let order = Arc::new(order);
        let (mut looked_at, mut changed, mut marks) = (0_u64, 0_u64, Marks::new());
        let mut from = order.first;
        // Also of a context without messages: it may have a title and a state.
        loop {
            let to = last.min(from.saturating_add(SLICE - 1));
            let (key, order) = (key.clone(), Arc::clone(&order));
            let part = self
                .write(CLEANING, move |job| {
                    job.watched(&key, What::Redacted, || {
                        seal::thoroughly(job.connection, || job.redact(&key, &order, (from, to)))
                    })
                })
                .await?;
            self.inner.marks.clear();
            looked_at = looked_at.saturating_add(u64::from((to + 1).saturating_sub(from)));
            changed = changed.saturating_add(part.0);
            for (name, count) in part.1 {
                *marks.entry(name).or_default() += count;
            }
            from = to.saturating_add(1);
            if from > last {
                break;
            }
        }
        let left = self.redact_left(key, &order, (&mut changed, &mut marks)).await?;
        looked_at = looked_at.saturating_add(left);
        if changed > 0 {
            self.rewrite_index().await?;
        }
        let before = context.revision;
        let context = self.get(key).await?;
        if context.revision != before {
            self.scrub().await?;
        }
        Ok(Redacted { context, looked_at, changed, marks: marks.into_iter().collect() })
    }

    /// Takes words out of the index that no message holds any more, slice by slice.
    async fn rewrite_index(&self) -> Result<(), Fault> {
        let mut first = true;
        for _ in 0..MERGES_MAX {
            let more = self
                .write(CLEANING, move |job| {
                    seal::thoroughly(job.connection, || search::rewrite(job.connection, first))
                })
                .await?;
            if !more {
                break;
            }
            first = false;
        }
        Ok(())
    }

    /// The window as a model may see it.
    pub(super) fn rendered(&self, mut window: Window) -> Window {
        let plan = self.inner.redaction.of(&window.context.settings);
        let Some(plan) = plan.filter(|plan| plan.mode == RedactMode::Render) else {
            return window;
        };
        let entries = window.entries.iter_mut().chain(&mut window.pinned);
        let entries = entries.chain(window.recalled.iter_mut().flat_map(|r| &mut r.entries));
        entries.for_each(|entry| clean_entry(&plan, entry));
        let mut marks = Marks::new();
        if let Some(summary) = &mut window.summary
            && let Some(text) = plan.redactor().text(&summary.text, &mut marks)
        {
            summary.text = text;
        }
        window.context.system.iter_mut().for_each(|text| clean_text(&plan, text));
        clean_map(&plan, &mut window.context.state);
        clean_map(&plan, &mut window.knowledge.profile);
        for note in &mut window.knowledge.notes {
            clean_value(&plan, &mut note.value);
        }
        window
    }

    /// A text of a message as a model may see it.
    pub(super) fn rendered_text(&self, settings: &Settings, text: String) -> String {
        let plan = self.inner.redaction.of(settings);
        let plan = plan.filter(|plan| plan.mode == RedactMode::Render);
        plan.and_then(|plan| plan.redactor().text(&text, &mut Marks::new())).unwrap_or(text)
    }

    /// The messages of a summary to be written, as a model may see them.
    pub(super) fn rendered_task(&self, settings: &Settings, mut task: Task) -> Task {
        let plan = self.inner.redaction.of(settings);
        if let Some(plan) = plan.filter(|plan| plan.mode == RedactMode::Render) {
            task.entries.iter_mut().for_each(|entry| clean_entry(&plan, entry));
        }
        task
    }
}

fn join(mut all: Marks, more: Marks) -> Marks {
    for (name, count) in more {
        *all.entry(name).or_default() += count;
    }
    all
}

fn clean_entry(plan: &RedactPlan, entry: &mut Entry) {
    if let Some((content, _)) = plan.redactor().content(&entry.content) {
        entry.content = content;
    }
}

impl Job<'_> {
    /// A content as it may be stored, with its marks; `None` when it stays as it is.
    pub(super) fn cleaned(
        &self,
        row: &Row,
        content: &Content,
        meta: &Map,
    ) -> Result<Option<(Content, Map)>, Fault> {
        let Some(plan) = self.writing_in(row)? else { return Ok(None) };
        let cleaned = plan.redactor().content(content);
        let (new_meta, found) = plan.redactor().meta(meta);
        Ok(match cleaned {
            None if found.is_empty() => None,
            None => Some((content.clone(), mark(&new_meta, &found))),
            Some((content, marks)) => Some((content, mark(&new_meta, &join(marks, found)))),
        })
    }

    fn redact(
        &self,
        key: &Key,
        order: &RedactOrder,
        (from, to): (u32, u32),
    ) -> Result<(u64, Marks), Fault> {
        let mut row = self.live(key)?;
        row.idle()?;
        let (changed, mut all) = self.redact_log(&row, order, (from, to))?;
        let beside = self.redact_beside(&mut row, order, &mut all)?;
        if changed > 0 || beside {
            self.forget_written(&row, from)?;
            row.touch(self.now);
            // Earlier states may hold what was taken away.
            states::forget(self.connection, row.n)?;
            let state = parts::state(self.connection, &row)?;
            self.state_changed(&row, (&Map::new(), &state), (states::REDACTED, None))?;
            ctx::save(self.connection, &row)?;
        }
        Ok((changed, all))
    }

    /// Redacts messages of a log; says how many were changed.
    pub(super) fn redact_log(
        &self,
        row: &Row,
        order: &RedactOrder,
        (from, to): (u32, u32),
    ) -> Result<(u64, Marks), Fault> {
        let (mut changed, mut all) = (0_u64, Marks::new());
        for seq in from..=to {
            let Some(entry) = entry::one(self.connection, &row.chain, seq)? else { continue };
            let Some((content, meta, marks)) = order.apply(&entry) else { continue };
            let meta = mark(&meta, &marks);
            entry::rewrite(self.connection, (&row.chain, row.owner()), (seq, &content), &meta)?;
            changed = changed.saturating_add(1);
            all = join(all, marks);
        }
        Ok((changed, all))
    }

    /// Takes away what was written from entries that are no longer the same.
    pub(super) fn forget_written(&self, row: &Row, from: u32) -> Result<(), Fault> {
        for (first, last) in row.chain.ranges(from, row.head) {
            let log = first >> 32;
            search::forget(self.connection, first, place(log, u32::MAX), u32::MAX)?;
            vectors::forget(self.connection, log, seq_of(first))?;
            let sql = "DELETE FROM summary WHERE log = ?1 AND upto >= ?2";
            let values = params![log, seq_of(first)];
            self.connection.prepare_cached(sql).stored()?.execute(values).stored()?;
            let sql = "DELETE FROM idem WHERE reply IS NOT NULL AND tenant = ?1";
            self.connection.prepare_cached(sql).stored()?.execute([row.key.tenant.0]).stored()?;
            if row.seal.is_none() {
                let sql = "INSERT INTO unindexed(log, from_seq) VALUES (?1, ?2)
                       ON CONFLICT(log) DO UPDATE SET from_seq = min(from_seq, ?2)";
                let values = params![log, seq_of(first)];
                self.connection.prepare_cached(sql).stored()?.execute(values).stored()?;
            }
            debug_assert!(first <= last);
        }
        let sql = "DELETE FROM trail WHERE n = ?1";
        self.connection.prepare_cached(sql).stored()?.execute([row.n]).stored()?;
        Ok(())
    }
}

impl RedactOrder {
    fn apply(&self, entry: &Entry) -> Option<(Content, Map, Marks)> {
        let Some(plan) = &self.plan else {
            let (content, marks) = erased(&entry.content)?;
            return Some((content, entry.meta.clone(), marks));
        };
        let (meta, found) = plan.redactor().meta(&entry.meta);
        match plan.redactor().content(&entry.content) {
            None if found.is_empty() => None,
            None => Some((entry.content.clone(), meta, found)),
            Some((content, marks)) => Some((content, meta, join(marks, found))),
        }
    }

    /// A state in which something was found, without it.
    pub(super) fn state(&self, text: &str, marks: &mut Marks) -> Option<String> {
        match &self.plan {
            Some(plan) => json::clean(text, &[], &mut |text| plan.redactor().text(text, marks)),
            // The copy of what was said last goes with what was said.
            None => {
                let mut state: Map = serde_json::from_str(text).ok()?;
                let last = state.get_mut("last_message").filter(|last| **last != ERASED)?;
                *last = ERASED.into();
                serde_json::to_string(&state).ok()
            }
        }
    }
}

/// Everything that is said is taken away; calls of tools keep their ids, so that the conversation
/// can go on.
fn erased(content: &Content) -> Option<(Content, Marks)> {
    let marks = Marks::from([("all".to_owned(), 1)]);
    let changed = |text: &str| (text != ERASED).then(|| ERASED.to_owned());
    match content {
        Content::Text(text) => changed(text).map(|text| (Content::Text(text), marks)),
        Content::Raw(raw) => {
            let text = json::clean(raw.json.get(), json::KEPT, &mut |text| changed(text))?;
            let json = serde_json::value::RawValue::from_string(text).ok()?;
            let raw = wire::prompt::Raw { dialect: Arc::clone(&raw.dialect), json };
            Some((Content::Raw(raw), marks))
        }
    }
}
