//! Messages become vectors in the background: no turn waits for it, and no failure reaches one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use context::{Embedder, Embedding, Key, Purpose};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::{Blame, Code, Fault};

use crate::gate::{Faint, Gateway};

/// Limit: how long the vector of a question may take; a turn waits for it.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit: how long the vectors of one batch of messages may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a model that failed is left alone: words are looked for without it meanwhile.
const REST: Duration = Duration::from_secs(30);
/// Limit: contexts whose messages become vectors at once.
const AT_ONCE: usize = 2;
/// Limit: contexts that wait for it; further ones wait for their next turn.
const WAITING_MAX: usize = 1000;

/// The contexts that are being looked after.
#[derive(Debug)]
pub(crate) struct Vectorising {
    busy: Mutex<HashSet<Key>>,
    places: Semaphore,
}

impl Default for Vectorising {
    fn default() -> Self {
        Self { busy: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }
}

/// The configured model, asked on behalf of the contexts.
#[derive(Debug)]
pub(crate) struct ByModel {
    gate: Faint,
    rests: Arc<Mutex<Option<Instant>>>,
}

impl ByModel {
    pub(crate) fn new(gate: Faint) -> Self {
        Self { gate, rests: Arc::default() }
    }
}

impl Embedder for ByModel {
    fn model(&self) -> Option<Arc<str>> {
        if self.rests.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let found = self.gate.get()?.now().models.vectoriser();
        found.ok().flatten().map(|model| model.name().into())
    }

    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Embedding {
        let (gate, rests) = (self.gate.clone(), Arc::clone(&self.rests));
        Box::pin(async move {
            let made = made(&gate, texts, purpose).await;
            if let Err(fault) = &made
                && fault.blame() != Blame::Caller
            {
                *rests.lock() = Some(Instant::now() + REST);
            }
            made
        })
    }
}

async fn made(gate: &Faint, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, Fault> {
    let gone = || Fault::new(Code::ConfigurationError, "no model makes vectors");
    let gate = gate.get().ok_or_else(gone)?;
    let model = gate.now().models.vectoriser()?.ok_or_else(gone)?;
    let (word, within) = match purpose {
        Purpose::Message => ("search_document", BATCH_TIMEOUT),
        Purpose::Question => ("search_query", QUESTION_TIMEOUT),
    };
    let waited = tokio::time::timeout(within, model.vectors(texts, word)).await;
    waited.map_err(|late| {
        let text = format!("the vectors took longer than {} s", within.as_secs());
        Fault::new(Code::Timeout, text).because(late)
    })?
}

/// Looks after the vectors of a context in the background, if a model for them is configured.
pub(crate) fn consider(gate: &Gateway, key: &Key) {
    if gate.now().settings.models.embed.is_none() {
        return;
    }
    {
        let mut busy = gate.vectorising().busy.lock();
        if busy.len() >= WAITING_MAX || !busy.insert(key.clone()) {
            return;
        }
    }
    let (gate, key) = (gate.clone(), key.clone());
    gate.clone().tasks().spawn("vectors", async move {
        let done = look_after(&gate, &key).await;
        gate.vectorising().busy.lock().remove(&key);
        if let Err(fault) = done {
            tracing::warn!(context = %key.id, "messages have no vectors yet: {}", fault.chain());
        }
    });
}

async fn look_after(gate: &Gateway, key: &Key) -> Result<(), Fault> {
    let Ok(_place) = gate.vectorising().places.acquire().await else { return Ok(()) };
    while !gate.tasks().is_draining() && gate.contexts().vectorise(key).await? {}
    Ok(())
}
