//! Finding the messages of one context that have to do with a question: by words, by vectors, or
//! by both.

use std::collections::HashMap;
use std::sync::Arc;

use storage::rusqlite::Connection;
use wire::Fault;
use wire::prompt::Role;

use super::Contexts;
use super::search::SLICES_MAX;
use crate::embedding::{self, Purpose};
use crate::rows::ctx::{self, Row};
use crate::rows::{entry, search, vectors};
use crate::weigh::{Found, weigh};
use crate::{By, Entry, Key, Recalled, clock};

/// Limit: hits that are weighed with their neighbours, those with the rarest words first.
const WEIGHED: u32 = 300;
/// Limit: messages that vectors bring in.
const NEAREST: usize = 100;

/// What is looked for.
struct Asked {
    text: String,
    /// In the words of the index.
    words: Option<String>,
    /// With the model that made it.
    vector: Option<(Arc<str>, Vec<f32>)>,
}

/// A message with its places in the two lists, from 0.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    words: Option<usize>,
    vectors: Option<usize>,
}

impl Places {
    fn worth(self) -> f64 {
        self.words.map_or(0.0, embedding::worth) + self.vectors.map_or(0.0, embedding::worth)
    }
}

impl Contexts {
    /// Finds the messages of one context that have to do with `text`, the best first, each with
    /// the message before and after it. `before` leaves out what lies from there on.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`. A model of vectors that fails is
    /// no error: words are looked for alone.
    pub async fn recall(
        &self,
        key: &Key,
        text: &str,
        most: u32,
        before: Option<u32>,
    ) -> Result<Vec<Recalled>, Fault> {
        self.recall_by(key, text, (most, before), By::Both).await
    }

    /// As [`Contexts::recall`], in one way only.
    ///
    /// # Errors
    /// As [`Contexts::recall`].
    pub async fn recall_by(
        &self,
        key: &Key,
        text: &str,
        (most, before): (u32, Option<u32>),
        by: By,
    ) -> Result<Vec<Recalled>, Fault> {
        let words = search::words(text, false);
        let words = (by != By::Vectors && !words.is_empty()).then(|| search::any(&words));
        let vector = if by == By::Words { None } else { self.asked_vector(text).await };
        if words.is_none() && vector.is_none() {
            return Ok(Vec::new());
        }
        self.index(SLICES_MAX).await?;
        let (key, asked) = (key.clone(), Asked { text: text.to_owned(), words, vector });
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let last = before.map_or(row.head, |before| before.saturating_sub(1).min(row.head));
            let order = order(connection, &row, &asked, last)?;
            told(connection, &row, order, (most, last))
        })
        .await
    }

    /// The vector of a question; none without a model, and none from one that fails.
    async fn asked_vector(&self, text: &str) -> Option<(Arc<str>, Vec<f32>)> {
        let (embedder, model) = self.embedder()?;
        if text.trim().is_empty() {
            return None;
        }
        match embedder.embed(vec![text.to_owned()], Purpose::Question).await {
            Ok(mut vectors) => Some((model, embedding::unit(vectors.pop()?)?)),
            Err(fault) => {
                tracing::warn!(%model, "recall goes on without vectors: {}", fault.chain());
                None
            }
        }
    }
}

/// The messages that have to do with the question, the best first.
fn order(
    connection: &Connection,
    row: &Row,
    asked: &Asked,
    last: u32,
) -> Result<Vec<(u32, f64, Places)>, Fault> {
    let by_words = match &asked.words {
        None => Vec::new(),
        Some(words) => weighed(connection, row, (words, &asked.text), last)?,
    };
    let Some((model, vector)) = &asked.vector else {
        let places = by_words.into_iter().enumerate();
        let place = |at| Places { words: Some(at), vectors: None };
        return Ok(places.map(|(at, (seq, score))| (seq, score, place(at))).collect());
    };
    let near = (&**model, vector.as_slice());
    let by_vectors = vectors::nearest(connection, &row.chain, near, (last, NEAREST))?;
    let mut places: HashMap<u32, Places> = HashMap::new();
    for (at, (seq, _)) in by_words.into_iter().enumerate() {
        places.entry(seq).or_default().words = Some(at);
    }
    for (at, (seq, _)) in by_vectors.into_iter().enumerate() {
        places.entry(seq).or_default().vectors = Some(at);
    }
    let mut out: Vec<_> =
        places.into_iter().map(|(seq, places)| (seq, places.worth(), places)).collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    Ok(out)
}

/// The messages that hold words of the question, with their scores.
fn weighed(
    connection: &Connection,
    row: &Row,
    (words, text): (&str, &str),
    last: u32,
) -> Result<Vec<(u32, f64)>, Fault> {
    let best = search::best(connection, words, &row.chain.ranges(1, last), WEIGHED)?;
    let mut found = Vec::with_capacity(best.len());
    for (place, _) in best {
        let seq = entry::seq_of(place);
        let Some(entry) = entry::one(connection, &row.chain, seq)? else { continue };
        found.push(Found { seq, text: entry.content.plain().into_owned() });
    }
    Ok(weigh(text, &found, last))
}

/// The first of them with their neighbours, no message twice.
fn told(
    connection: &Connection,
    row: &Row,
    order: Vec<(u32, f64, Places)>,
    (most, last): (u32, u32),
) -> Result<Vec<Recalled>, Fault> {
    let mut out = Vec::new();
    let mut told: Vec<u32> = Vec::new();
    let rank = |place: Option<usize>| place.and_then(|at| u32::try_from(at + 1).ok());
    for (seq, score, places) in order {
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
        let (words, vectors) = (rank(places.words), rank(places.vectors));
        out.push(Recalled { seq, score, words, vectors, entries });
    }
    Ok(out)
}
