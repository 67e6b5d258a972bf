//! Turning messages into vectors in the background; no turn waits for it.

use std::sync::{Arc, PoisonError};

use wire::{Blame, Fault};

use super::Contexts;
use super::manage::CLEANING;
use crate::embedding::Purpose;
use crate::rows::{ctx, vectors};
use crate::{Embedder, Entry, Key, Vectorised, clock};

/// Messages that are handed to the model together.
const BATCH: u32 = 64;
/// Limit: bytes of one message that count.
const TEXT_BYTES_MAX: usize = 8 * 1024;

impl Contexts {
    /// Sets who turns messages into vectors; nobody unless set.
    pub fn set_embedder(&self, embedder: Arc<dyn Embedder>) {
        let mut place = self.inner.embedder.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(embedder);
    }

    /// Who makes vectors now, and by which model.
    pub(super) fn embedder(&self) -> Option<(Arc<dyn Embedder>, Arc<str>)> {
        let place = self.inner.embedder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        place.and_then(|embedder| embedder.model().map(|model| (embedder, model)))
    }

    /// Turns the next messages of a context that wait for it into vectors; says whether there were
    /// any. What the model refuses is left without.
    ///
    /// # Errors
    /// What the model fails with, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn vectorise(&self, key: &Key) -> Result<bool, Fault> {
        let Some((embedder, model)) = self.embedder() else { return Ok(false) };
        let (wanted, name) = (key.clone(), Arc::clone(&model));
        let found = self
            .read(move |connection| {
                let row = ctx::live(connection, &wanted, clock::now())?;
                vectors::gap(connection, &row, &name, BATCH)
            })
            .await?;
        let Some(gap) = found else { return Ok(false) };
        let settings = self.get(key).await?.settings;
        let texts: Vec<Option<String>> = gap
            .entries
            .iter()
            .map(|entry| self.rendered_text(&settings, clipped(entry)))
            .map(|text| Some(text).filter(|text| !text.trim().is_empty()))
            .collect();
        let made = made(&*embedder, &texts).await?;
        let wanted = key.clone();
        self.write(CLEANING, move |job| {
            let row = job.live(&wanted)?;
            vectors::fill(job.connection, &row, (&gap, &model), &made)
        })
        .await
    }

    /// How far the vectors of a context are; `None` without a model.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn vectorised(&self, key: &Key) -> Result<Option<Vectorised>, Fault> {
        let Some((_, model)) = self.embedder() else { return Ok(None) };
        let (key, name) = (key.clone(), Arc::clone(&model));
        let (done, waiting) = self
            .read(move |connection| {
                let row = ctx::live(connection, &key, clock::now())?;
                vectors::progress(connection, &row, &name)
            })
            .await?;
        Ok(Some(Vectorised { model, done, waiting }))
    }
}

/// The vectors of texts; where the model refuses them together, it is asked for each.
async fn made(
    embedder: &dyn Embedder,
    texts: &[Option<String>],
) -> Result<Vec<Option<Vec<f32>>>, Fault> {
    let given: Vec<String> = texts.iter().flatten().cloned().collect();
    let answers = match whole(embedder, given.clone()).await {
        Ok(vectors) => vectors.into_iter().map(Some).collect(),
        Err(fault) if fault.blame() == Blame::Caller && given.len() > 1 => {
            let mut out = Vec::with_capacity(given.len());
            for text in given {
                out.push(match whole(embedder, vec![text]).await {
                    Ok(mut one) => one.pop(),
                    Err(fault) if fault.blame() == Blame::Caller => None,
                    Err(fault) => return Err(fault),
                });
            }
            out
        }
        Err(fault) if fault.blame() == Blame::Caller => vec![None; given.len()],
        Err(fault) => return Err(fault),
    };
    let mut answers = answers.into_iter();
    Ok(texts.iter().map(|text| text.as_ref().and_then(|_| answers.next().flatten())).collect())
}

async fn whole(embedder: &dyn Embedder, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
    let wanted = texts.len();
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let made = embedder.embed(texts, Purpose::Message).await?;
    if made.len() != wanted {
        let text = format!("the model made {} vectors of {wanted} texts", made.len());
        return Err(Fault::new(wire::Code::UpstreamInvalid, text));
    }
    Ok(made)
}

/// As much of a message as counts.
fn clipped(entry: &Entry) -> String {
    if entry.meta.contains_key("damaged") {
        return String::new();
    }
    let mut plain = entry.content.plain().into_owned();
    let end = (0..=TEXT_BYTES_MAX.min(plain.len())).rev().find(|at| plain.is_char_boundary(*at));
    plain.truncate(end.unwrap_or(0));
    plain
}
