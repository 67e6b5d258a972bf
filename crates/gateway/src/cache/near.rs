//! The second look: a question asked before in other words.

use std::sync::Arc;

use parking_lot::Mutex;

use super::alike::Wording;
use super::{CacheSettings, Name};

/// Limit: wordings remembered per frame; the oldest goes first.
const WORDINGS_MAX: usize = 256;
/// The share of `cache.bytes` that wordings may take.
const SHARE: u64 = 8;

/// A question, split: what must be the same to the byte, and how it is worded.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    frame: Name,
    wording: Wording,
}

impl Question {
    /// `frame` names everything but the last message's text. `None` when the text says too little
    /// to be compared.
    pub(crate) fn new(frame: Name, text: &str) -> Option<Self> {
        let wording = Wording::of(text);
        wording.is_telling().then_some(Self { frame, wording })
    }
}

type Wordings = Arc<Mutex<Vec<(Wording, Name)>>>;

/// The wordings that were answered, by their frames.
#[derive(Debug)]
pub(super) struct Near {
    frames: moka::sync::Cache<Name, Wordings>,
    threshold: f32,
}

impl Near {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        let weigh = |_: &Name, wordings: &Wordings| {
            let bytes: usize = wordings.lock().iter().map(|(wording, _)| wording.weight()).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let frames = moka::sync::Cache::builder()
            .weigher(weigh)
            .max_capacity(settings.bytes as u64 / SHARE)
            .time_to_idle(settings.ttl)
            .build();
        Self { frames, threshold: f32::from(settings.threshold.min(1000)) / 1000.0 }
    }

    /// The most alike of the remembered questions, if it is alike enough.
    pub(super) fn find(&self, question: &Question) -> Option<(Name, f32)> {
        let wordings = self.frames.get(&question.frame)?;
        let wordings = wordings.lock();
        let scored = wordings.iter().map(|(other, name)| (*name, question.wording.alike(other)));
        let best = scored.max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.filter(|(_, alike)| *alike >= self.threshold)
    }

    pub(super) fn keep(&self, question: &Question, name: Name) {
        let wordings = self.frames.get(&question.frame).unwrap_or_default();
        {
            let mut list = wordings.lock();
            list.retain(|(wording, _)| *wording != question.wording);
            if list.len() >= WORDINGS_MAX {
                list.remove(0);
            }
            list.push((question.wording.clone(), name));
        }
        // Inserted again so that it is weighed again.
        self.frames.insert(question.frame, wordings);
    }
}
