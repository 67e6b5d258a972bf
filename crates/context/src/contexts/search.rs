//! Finding messages by their words, over all contexts of a tenant.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use wire::Fault;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::ctx::{self, Row};
use crate::rows::entry;
use crate::rows::rank;
use crate::rows::search;
use crate::{Hit, Key, Tenant, clock, refuse};

/// Limit: slices that one search puts into the index before it looks; more wait for the sweep.
pub(super) const SLICES_MAX: u32 = 20;
/// Limit: hits of one search.
const HITS_MAX: u32 = 100;
/// Limit: characters of the part of a message that a hit shows.
const EXCERPT_CHARACTERS: usize = 240;

impl Contexts {
    /// Finds messages that hold every word of `text`, the best first. Where every word is in more
    /// than 2,000 messages, only the newest 500 that hold them all are looked at.
    ///
    /// # Errors
    /// `invalid_input` for a text without words or a limit that is none, `storage_error`.
    pub async fn search(&self, tenant: Tenant, text: &str, limit: u32) -> Result<Vec<Hit>, Fault> {
        if limit == 0 || limit > HITS_MAX {
            return Err(refuse::invalid("limit", "must be a number from 1 to 100"));
        }
        let asked = search::words(text, true);
        if asked.is_empty() {
            return Err(refuse::invalid("q", "must hold at least one word"));
        }
        let words = text.to_owned();
        self.index(SLICES_MAX).await?;
        self.read(move |connection| {
            let found = rank::ranked(connection, tenant, &asked)?;
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
                // Of another tenant, or of a context that is gone.
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
