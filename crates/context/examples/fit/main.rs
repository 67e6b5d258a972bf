//! Fits the weights of the token estimate against the tokens that OpenAI has published.
//!
//! `cargo run -p context --example fit [-- FOLDER]` reads the texts of a checkout (this one unless
//! a folder is named) and those made here, cuts them into messages, fits on four fifths of them
//! and judges by the last one, for each fifth. It prints the weights, and the errors of what ships
//! beside those of the best fit; it fails when what ships is more than a point worse than it
//! could be.

mod corpus;
mod solve;

use std::collections::BTreeMap;

use context::count::{FEATURES, NAMES, WEIGHTS, features};
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

/// Parts of the corpus: one judges what the others fitted.
const FOLDS: usize = 5;
/// Messages of a window.
const WINDOW: usize = 100;
/// How much worse than the best fit what ships may be, in points of percent.
const SLACK: f64 = 1.0;

/// A message: of what kind it is, what is counted in it, and its tokens.
pub(crate) struct Sample {
    kind: &'static str,
    counts: [f64; FEATURES],
    tokens: f64,
}

type Weights = [f64; FEATURES];

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let texts =
        corpus::read(folder.as_ref()).map_err(|e| format!("cannot read `{folder}`: {e}"))?;
    let (o200k, cl100k) =
        (measured(&texts, o200k_base_singleton()), measured(&texts, cl100k_base_singleton()));
    let shipped: Weights = WEIGHTS.map(|weight| f64::from(weight) / 1000.0);
    let best = solve::fit(o200k.iter());
    say("weights of o200k, in thousandths:");
    for ((name, weight), ships) in NAMES.iter().zip(best).zip(WEIGHTS) {
        say(&format!("  {name:<30} {:>6.0}   ships {ships}", weight * 1000.0));
    }
    let mut worst = 0.0_f64;
    for (name, samples) in [("o200k", &o200k), ("cl100k", &cl100k)] {
        let own = folded(samples);
        say(&format!(
            "\n{name}: mean error of a message in percent, over {} of them",
            samples.len()
        ));
        say(&format!("  {:<12}{:>9}{:>9}{:>12}", "", "ships", "fitted", "of o200k*"));
        for (kind, part) in kinds(samples) {
            let fitted = own.get(kind).copied().unwrap_or_default();
            let scaled = error(&part, |s| estimate(&shipped, s) * ratio(&shipped, &part));
            let ships = error(&part, |s| estimate(&shipped, s));
            say(&format!("  {kind:<12}{ships:>9.1}{fitted:>9.1}{scaled:>12.1}"));
        }
        let all: Vec<&Sample> = samples.iter().collect();
        let ships = error(&all, |s| estimate(&shipped, s));
        let fitted = error(&all, |s| estimate(&solve::fit(samples.iter()), s).max(0.0));
        say(&format!("  {:<12}{ships:>9.1}{fitted:>9.1}", "all"));
        let (mean, p95) = windows(samples, &shipped);
        let (own_mean, own_p95) = windows(samples, &solve::fit(samples.iter()));
        say(&format!("  windows of {WINDOW}, after the ratio of the one before:"));
        say(&format!(
            "    ships {mean:.2} (p95 {p95:.2}), fitted {own_mean:.2} (p95 {own_p95:.2})"
        ));
        if name == "o200k" {
            worst = ships - fitted;
        }
    }
    say("\n* what ships, times one number for each kind: what a context learns of its model");
    if worst > SLACK {
        return Err(format!(
            "what ships is {worst:.1} points worse than the best fit: take the weights above"
        ));
    }
    Ok(())
}

fn measured(texts: &[(&'static str, String)], tables: &CoreBPE) -> Vec<Sample> {
    let sample = |(kind, text): &(&'static str, String)| Sample {
        kind,
        counts: features(text).map(f64::from),
        #[expect(clippy::cast_precision_loss, reason = "messages are short")]
        tokens: tables.encode_ordinary(text).len() as f64,
    };
    texts.iter().map(sample).filter(|sample| sample.tokens >= 4.0).collect()
}

fn estimate(weights: &Weights, sample: &Sample) -> f64 {
    weights.iter().zip(sample.counts).map(|(weight, count)| weight * count).sum()
}

/// Tokens there are for one that is estimated.
fn ratio(weights: &Weights, samples: &[&Sample]) -> f64 {
    let real: f64 = samples.iter().map(|sample| sample.tokens).sum();
    let told: f64 = samples.iter().map(|sample| estimate(weights, sample)).sum();
    real / told.max(1.0)
}

/// The mean error of a message, in percent.
fn error(samples: &[&Sample], estimate: impl Fn(&Sample) -> f64) -> f64 {
    let off = samples.iter().map(|s| 100.0 * (estimate(s) - s.tokens).abs() / s.tokens);
    mean(&off.collect::<Vec<_>>())
}

fn kinds(samples: &[Sample]) -> BTreeMap<&'static str, Vec<&Sample>> {
    let mut out: BTreeMap<&'static str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        out.entry(sample.kind).or_default().push(sample);
    }
    out
}

/// The mean error of each kind, every message judged by weights that have not seen it.
fn folded(samples: &[Sample]) -> BTreeMap<&'static str, f64> {
    let mut off: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for fold in 0..FOLDS {
        let others = samples.iter().enumerate().filter(|(at, _)| at % FOLDS != fold);
        let weights = solve::fit(others.map(|(_, sample)| sample));
        for (_, sample) in samples.iter().enumerate().filter(|(at, _)| at % FOLDS == fold) {
            let error = 100.0 * (estimate(&weights, sample) - sample.tokens).abs() / sample.tokens;
            off.entry(sample.kind).or_default().push(error);
        }
    }
    off.into_iter().map(|(kind, list)| (kind, mean(&list))).collect()
}

/// Windows of messages of one kind, each judged by the ratio that the window before it taught: the
/// mean error of the whole, and that of the worst twentieth.
fn windows(samples: &[Sample], weights: &Weights) -> (f64, f64) {
    let mut off = Vec::new();
    for part in kinds(samples).values() {
        let windows: Vec<&[&Sample]> = part.chunks_exact(WINDOW).collect();
        for pair in windows.windows(2) {
            let [before, now] = pair else { continue };
            off.push(100.0 * (ratio(weights, now) / ratio(weights, before) - 1.0).abs());
        }
    }
    off.sort_by(f64::total_cmp);
    let late = off.get(off.len() * 95 / 100).copied().unwrap_or_default();
    (mean(&off), late)
}

fn mean(list: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = list.len().max(1) as f64;
    list.iter().sum::<f64>() / count
}

#[expect(clippy::print_stdout, reason = "the figures are the purpose")]
fn say(line: &str) {
    println!("{line}");
}
