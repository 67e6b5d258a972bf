//! Redaction of what stands beside the messages: title, instructions, metadata, state, notes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use storage::Stored;
use storage::rusqlite::params;
use wire::Fault;

use super::{Contexts, Job};
use crate::redact::{Marks, json};
use crate::rows::branches;
use crate::rows::ctx::Row;
use crate::rows::parts::{self, Doc};
use crate::rows::seal::{self, Opened};
use crate::{Key, Map, RedactMode, RedactOrder, RedactPlan, Settings, What};

/// The names of members that may be redacted as any other: these are no messages.
const NONE_KEPT: &[&str] = &[];

/// Replaces what the plan finds in the texts of a value; names of members stay.
pub(super) fn clean_value(plan: &RedactPlan, value: &mut Value) {
    match value {
        Value::String(text) => clean_text(plan, text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean_value(plan, item)),
        Value::Object(map) => clean_map(plan, map),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// As [`clean_value`], of an object.
pub(super) fn clean_map(plan: &RedactPlan, map: &mut Map) {
    map.iter_mut().for_each(|(_, value)| clean_value(plan, value));
}

/// Replaces what the plan finds in a text.
pub(super) fn clean_text(plan: &RedactPlan, text: &mut String) {
    if let Some(new) = plan.redactor().text(text, &mut Marks::new()) {
        *text = new;
    }
}

impl Job<'_> {
    /// The plan by which these settings redact what is stored.
    pub(super) fn writing(&self, settings: &Settings) -> Option<Arc<RedactPlan>> {
        let plan = self.inner.redaction.of(settings);
        plan.filter(|plan| plan.mode == RedactMode::Write)
    }

    /// The plan by which a context redacts what is stored in it.
    pub(super) fn writing_in(&self, row: &Row) -> Result<Option<Arc<RedactPlan>>, Fault> {
        let redaction = &self.inner.redaction;
        let plan = if redaction.own.load(Ordering::Relaxed) {
            redaction.of(&parts::doc(self.connection, row)?.settings)
        } else {
            redaction.default()
        };
        Ok(plan.filter(|plan| plan.mode == RedactMode::Write))
    }

    /// Makes title, instructions and metadata what may be stored.
    pub(super) fn clean_head(&self, row: &mut Row, doc: &mut Doc) {
        let Some(plan) = self.writing(&doc.settings) else { return };
        row.title.iter_mut().chain(&mut doc.system).for_each(|text| clean_text(&plan, text));
        clean_map(&plan, &mut doc.metadata);
    }

    /// Makes a state what may be stored.
    pub(super) fn clean_state(&self, settings: &Settings, state: &mut Map) {
        if let Some(plan) = self.writing(settings) {
            clean_map(&plan, state);
        }
    }

    /// Redacts, on command, what stands beside the messages; says whether anything was found. What
    /// takes everything away that is said leaves these as they are, but for the state's copy.
    pub(super) fn redact_beside(
        &self,
        row: &mut Row,
        order: &RedactOrder,
        marks: &mut Marks,
    ) -> Result<bool, Fault> {
        let states = self.redact_states(row, order, marks)?;
        let Some(plan) = &order.plan else { return Ok(states) };
        let notes = self.redact_notes(row, plan, marks)?;
        let mut texts = false;
        if let Some(new) = row.title.as_deref().and_then(|t| plan.redactor().text(t, marks)) {
            row.title = Some(new);
            texts = true;
        }
        let mut doc = parts::doc(self.connection, row)?;
        if let Some(new) = doc.system.as_deref().and_then(|t| plan.redactor().text(t, marks)) {
            doc.system = Some(new);
            texts = true;
        }
        let metadata = parts::to_text(&doc.metadata)?;
        let found = json::clean(&metadata, NONE_KEPT, &mut |t| plan.redactor().text(t, marks));
        if let Some(Ok(new)) = found.map(|text| serde_json::from_str(&text)) {
            doc.metadata = new;
            texts = true;
        }
        if texts {
            parts::save_doc(self.connection, row, &doc, usize::MAX)?;
            crate::rows::ctx::save_head(self.connection, row)?;
        }
        Ok(states || notes || texts)
    }

    /// Redacts notes, and what was noted with checkpoints.
    fn redact_notes(&self, row: &Row, plan: &RedactPlan, marks: &mut Marks) -> Result<bool, Fault> {
        let notes = (
            "SELECT no, body FROM note WHERE n = ?1",
            "UPDATE note SET body = ?3 WHERE n = ?1 AND no = ?2",
        );
        let found = self.rewrite_texts(row, notes, &mut |text| {
            json::clean(text, NONE_KEPT, &mut |text| plan.redactor().text(text, marks))
        })?;
        let checkpoints = (
            "SELECT name, note FROM checkpoint WHERE n = ?1 AND note IS NOT NULL",
            "UPDATE checkpoint SET note = ?3 WHERE n = ?1 AND name = ?2",
        );
        let more =
            self.rewrite_texts(row, checkpoints, &mut |text| plan.redactor().text(text, marks))?;
        Ok(found || more)
    }

    /// Redacts the state, and the states that checkpoints and branches keep.
    fn redact_states(
        &self,
        row: &Row,
        order: &RedactOrder,
        marks: &mut Marks,
    ) -> Result<bool, Fault> {
        let mut any = false;
        for pair in [
            (
                "SELECT n, state FROM ctx_state WHERE n = ?1",
                "UPDATE ctx_state SET state = ?3 WHERE n = ?1 AND n = ?2",
            ),
            (
                "SELECT no, state FROM view WHERE n = ?1 AND state IS NOT NULL",
                "UPDATE view SET state = ?3 WHERE n = ?1 AND no = ?2",
            ),
            (
                "SELECT name, state FROM checkpoint WHERE n = ?1",
                "UPDATE checkpoint SET state = ?3 WHERE n = ?1 AND name = ?2",
            ),
            (
                "SELECT n, state FROM fork_state WHERE n = ?1",
                "UPDATE fork_state SET state = ?3 WHERE n = ?1 AND n = ?2",
            ),
        ] {
            any |= self.rewrite_texts(row, pair, &mut |text| order.state(text, marks))?;
        }
        Ok(any)
    }

    /// Reads texts by the first statement and writes those that `change` gives by the second.
    fn rewrite_texts(
        &self,
        row: &Row,
        (read, write): (&str, &str),
        change: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<bool, Fault> {
        let mut statement = self.connection.prepare_cached(read).stored()?;
        let found = statement
            .query_map([row.n], |found| {
                let text: Opened = found.get(1)?;
                Ok((found.get::<_, storage::rusqlite::types::Value>(0)?, text.0))
            })
            .stored()?;
        let found: Vec<(_, String)> = found.collect::<Result<_, _>>().stored()?;
        let mut any = false;
        for (place, text) in found {
            if let Some(new) = change(&text) {
                let values = params![row.n, place, seal::text(row.owner(), &new)?];
                self.connection.prepare_cached(write).stored()?.execute(values).stored()?;
                any = true;
            }
        }
        Ok(any)
    }
}

/// A branch that a rollback left: its number, and the messages that only it shows.
type Alone = (u32, u32, u32);

impl Contexts {
    /// Redacts the messages that only branches show which were left; says how many were looked at.
    pub(super) async fn redact_left(
        &self,
        key: &Key,
        order: &Arc<RedactOrder>,
        (changed, marks): (&mut u64, &mut Marks),
    ) -> Result<u64, Fault> {
        let (wanted, first) = (key.clone(), order.first);
        let last = order.last.unwrap_or(u32::MAX);
        let alone: Vec<Alone> = self
            .read(move |connection| {
                let row = crate::rows::ctx::live(connection, &wanted, crate::clock::now())?;
                let views = branches::views(connection, &row)?.into_iter().map(|view| {
                    let shared = super::branches::shared(&row, &view.row);
                    (view.no, first.max(shared.saturating_add(1)), last.min(view.row.head))
                });
                Ok(views.filter(|(_, from, to)| from <= to).collect())
            })
            .await?;
        let mut looked_at = 0_u64;
        for (no, first, last) in alone {
            let mut from = first;
            while from <= last {
                let to = last.min(from.saturating_add(super::redaction::SLICE - 1));
                let (wanted, order) = (key.clone(), Arc::clone(order));
                let part = self
                    .write(super::manage::CLEANING, move |job| {
                        job.watched(&wanted, What::Redacted, || {
                            seal::thoroughly(job.connection, || {
                                job.redact_view(&wanted, &order, (no, from, to))
                            })
                        })
                    })
                    .await?;
                looked_at = looked_at.saturating_add(u64::from(to - from) + 1);
                *changed = changed.saturating_add(part.0);
                for (name, count) in part.1 {
                    *marks.entry(name).or_default() += count;
                }
                from = to.saturating_add(1);
            }
        }
        Ok(looked_at)
    }
}

impl Job<'_> {
    fn redact_view(
        &self,
        key: &Key,
        order: &RedactOrder,
        (no, from, to): Alone,
    ) -> Result<(u64, Marks), Fault> {
        let mut row = self.live(key)?;
        row.idle()?;
        let views = branches::views(self.connection, &row)?;
        // One that came back meanwhile is redacted as what the context shows.
        let Some(view) = views.into_iter().find(|view| view.no == no) else {
            return Ok((0, Marks::new()));
        };
        let (changed, marks) = self.redact_log(&view.row, order, (from, to))?;
        if changed > 0 {
            self.forget_written(&view.row, from)?;
            row.touch(self.now);
            crate::rows::ctx::save(self.connection, &row)?;
        }
        Ok((changed, marks))
    }
}
