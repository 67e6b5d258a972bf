//! Weights that are not negative and err least, relative to the size of each message.

use context::count::FEATURES;

use super::{Sample, Weights};

/// Limit: rounds over all weights; they have settled long before.
const ROUNDS: u32 = 400;

/// The weights that fit the samples best, by descent along one weight at a time.
pub(crate) fn fit<'a>(samples: impl Iterator<Item = &'a Sample>) -> Weights {
    // Every row is divided by its tokens, so that the target is 1 and a long message is no more
    // than a short one.
    let rows: Vec<Weights> = samples.map(|s| s.counts.map(|count| count / s.tokens)).collect();
    let mut product = [[0.0_f64; FEATURES]; FEATURES];
    let mut target = [0.0_f64; FEATURES];
    for row in &rows {
        for (line, a) in product.iter_mut().zip(row) {
            for (cell, b) in line.iter_mut().zip(row) {
                *cell += a * b;
            }
        }
        for (sum, a) in target.iter_mut().zip(row) {
            *sum += a;
        }
    }
    let mut weights = [0.0_f64; FEATURES];
    for _ in 0..ROUNDS {
        for (at, (line, wanted)) in product.iter().zip(target).enumerate() {
            let own = line.get(at).copied().unwrap_or_default();
            let told: f64 = line.iter().zip(weights).map(|(a, b)| a * b).sum();
            if let Some(weight) = weights.get_mut(at).filter(|_| own > 0.0) {
                *weight = (*weight + (wanted - told) / own).max(0.0);
            }
        }
    }
    weights
}
