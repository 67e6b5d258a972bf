//! Finding messages by their words: over all contexts of a tenant, and inside one.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use wire::Fault;
use wire::prompt::Role;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::ctx::{self, Row};
use crate::rows::entry;
use crate::rows::search;
use crate::weigh::{Found, weigh};
use crate::{Entry, Hit, Key, Recalled, Tenant, clock, refuse};

/// Limit: slices that one search puts into the index before it looks; more wait for the sweep.
const SLICES_MAX: u32 = 20;
/// Limit: hits of one search.
const HITS_MAX: u32 = 100;
/// Limit: hits that are weighed with their neighbours, those with the rarest words first.
const WEIGHED: u32 = 300;
/// Limit: characters of the part of a message that a hit shows.
const EXCERPT_CHARACTERS: usize = 240;

impl Contexts {
    /// Finds messages that hold every word of `text`, the best first.
    ///
    /// # Errors
    /// `invalid_input` for a text without words or a limit that is none, `storage_error`.
    pub async fn search(&self, tenant: Tenant, text: &str, limit: u32) -> Result<Vec<Hit>, Fault> {
        if limit == 0 || limit > HITS_MAX {
            return Err(refuse::invalid("limit", "must be a number from 1 to 100"));
        }
        let question = search::question(text, tenant, true)
            .ok_or_else(|| refuse::invalid("q", "must hold at least one word"))?;
        let words = text.to_owned();
        self.index(SLICES_MAX).await?;
        self.read(move |connection| {
            let all = [(i64::MIN, i64::MAX)];
            // Entries of contexts that are gone may still be in the index: look further.
            let found = search::best(connection, &question, &all, limit.saturating_mul(4))?;
            let mut hits = Vec::new();
            let mut rows: HashMap<i64, Option<Row>> = HashMap::new();
            for (place, score) in found {
                if hits.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                    break;
                }
                let log = place >> 32;
                let seq = entry::seq_of(place);
                let row = match rows.entry(log) {
                    Slot::Occupied(known) => known.into_mut(),
                    Slot::Vacant(free) => free.insert(shown_by(connection, tenant, log)?),
                };
                let Some(row) = row else { continue };
                let on = seq <= row.head && row.chain.segment_of(seq) == log;
                let Some(entry) = entry::one(connection, &row.chain, seq)?.filter(|_| on) else {
                    continue;
                };
                hits.push(Hit {
                    context: std::sync::Arc::clone(&row.key.id),
                    title: row.title.clone(),
                    seq,
                    role: entry.role,
                    at: entry.at,
                    excerpt: excerpt(&entry.content.plain(), &words),
                    score,
                });
            }
            Ok(hits)
        })
        .await
    }

    /// Finds the messages of one context that have to do with `text`, the best first, each with
    /// the message before and after it. `before` leaves out what lies from there on.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn recall(
        &self,
        key: &Key,
        text: &str,
        most: u32,
        before: Option<u32>,
    ) -> Result<Vec<Recalled>, Fault> {
        let Some(question) = search::question(text, key.tenant, false) else {
            return Ok(Vec::new());
        };
        self.index(SLICES_MAX).await?;
        let (key, text) = (key.clone(), text.to_owned());
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let last = before.map_or(row.head, |before| before.saturating_sub(1).min(row.head));
            let ranges = row.chain.ranges(1, last);
            let best = search::best(connection, &question, &ranges, WEIGHED)?;
            let mut found = Vec::with_capacity(best.len());
            for (place, _) in best {
                let seq = entry::seq_of(place);
                let Some(entry) = entry::one(connection, &row.chain, seq)? else { continue };
                found.push(Found { seq, text: entry.content.plain().into_owned() });
            }
            let mut out = Vec::new();
            let mut told: Vec<u32> = Vec::new();
            for (seq, score) in weigh(&text, &found, last) {
                if out.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                    break;
                }
                if told.contains(&seq) {
                    continue;
                }
                let (from, to) = (seq.saturating_sub(1).max(1), seq.saturating_add(1).min(last));
                let around = entry::shown(connection, &row.chain, from, to)?;
                let entries: Vec<Entry> = around
                    .into_iter()
                    .filter(|entry| !told.contains(&entry.seq) && entry.role != Role::System)
                    .collect();
                if !entries.iter().any(|entry| entry.seq == seq) {
                    continue;
                }
                told.extend(entries.iter().map(|entry| entry.seq));
                out.push(Recalled { seq, score, entries });
            }
            Ok(out)
        })
        .await
    }

    /// Puts what is waiting into the index of words; at most `slices` slices.
    pub(super) async fn index(&self, slices: u32) -> Result<(), Fault> {
        if !self.read(search::is_behind).await? {
            return Ok(());
        }
        for _ in 0..slices {
            if !self.write(CLEANING, |job| search::index(job.connection)).await? {
                break;
            }
        }
        Ok(())
    }
}

/// The context that owns a log.
fn shown_by(
    connection: &storage::rusqlite::Connection,
    tenant: Tenant,
    log: i64,
) -> Result<Option<Row>, Fault> {
    let Some((id, _)) = search::owner(connection, tenant, log, clock::now())? else {
        return Ok(None);
    };
    ctx::find(connection, &Key { tenant, id: id.into() })
}

/// The part of a text around the first of the words.
fn excerpt(text: &str, words: &str) -> String {
    let lower = text.to_lowercase();
    let first = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .filter_map(|word| lower.find(&word.to_lowercase()))
        .min();
    let at = lower.get(..first.unwrap_or(0)).map_or(0, |before| before.chars().count());
    let begin = at.saturating_sub(EXCERPT_CHARACTERS / 3);
    let part: String = text.chars().skip(begin).take(EXCERPT_CHARACTERS).collect();
    let more = text.chars().nth(begin + EXCERPT_CHARACTERS).is_some();
    format!("{}{}{}", if begin > 0 { "…" } else { "" }, part.trim(), if more { "…" } else { "" })
}
