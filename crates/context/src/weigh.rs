//! Which older messages have to do with a question: BM25 over messages with their neighbours.
//!
//! A message counts three times, its two neighbours on each side once: an answer is often told
//! without the words of its question. The stretch of conversation around it counts a little too.
//! The index only hands in messages that hold a word of the question; nothing else can win.

use std::collections::{BTreeMap, HashMap};

/// How often a message counts in its own document.
const OWN: f64 = 3.0;
/// How far neighbours count.
const REACH: u32 = 2;
/// How soon more of the same word says no more.
const K1: f64 = 1.5;
/// How much long documents are held back.
const B: f64 = 0.35;
/// Messages that make one stretch of conversation.
const STRETCH: u32 = 20;
/// What the stretch adds, as a part of the best document's score.
const STRETCH_SHARE: f64 = 0.25;

/// A message that holds a word of the question.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) seq: u32,
    pub(crate) text: String,
}

/// The words of one message.
#[derive(Debug, Default)]
struct Words {
    /// Those of the question, by their place in it.
    counts: HashMap<usize, f64>,
    length: f64,
}

/// Orders messages by how much they have to do with the question, the best first. `all` is how
/// many messages there are to choose from.
pub(crate) fn weigh(question: &str, found: &[Found], all: u32) -> Vec<(u32, f64)> {
    let mut asked: Vec<String> = Vec::new();
    for word in stems(question) {
        if !asked.contains(&word) {
            asked.push(word);
        }
    }
    let words: BTreeMap<u32, Words> =
        found.iter().map(|one| (one.seq, read(&one.text, &asked))).collect();
    let mean = mean(words.values().map(|one| one.length));
    let rarity: Vec<f64> = (0..asked.len())
        .map(|word| {
            let holding = words.values().filter(|one| one.counts.contains_key(&word)).count();
            idf(f64::from(u32::try_from(holding).unwrap_or(u32::MAX)), f64::from(all))
        })
        .collect();
    let documents: Vec<(u32, f64)> =
        words.keys().map(|seq| (*seq, document(*seq, &words, &rarity, mean))).collect();
    let best = documents.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    let stretches = stretches(&words, &rarity, mean);
    let highest = stretches.values().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let mut out: Vec<(u32, f64)> = documents
        .into_iter()
        .map(|(seq, score)| {
            let around = stretches.get(&(seq / STRETCH)).copied().unwrap_or(0.0) / highest;
            (seq, score + STRETCH_SHARE * best * around)
        })
        .collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    out
}

/// How much each text has to do with the question, without its neighbours. Every word counts the
/// same.
pub(crate) fn alone(question: &str, texts: &[String]) -> Vec<f64> {
    let asked: Vec<String> = stems(question).collect();
    let words: Vec<Words> = texts.iter().map(|text| read(text, &asked)).collect();
    let mean = mean(words.iter().map(|one| one.length));
    let rarity = vec![1.0; asked.len()];
    words.iter().map(|one| score(&one.counts, one.length / mean, &rarity)).collect()
}

fn read(text: &str, asked: &[String]) -> Words {
    let mut out = Words::default();
    for word in stems(text) {
        out.length += 1.0;
        if let Some(place) = asked.iter().position(|known| *known == word) {
            *out.counts.entry(place).or_default() += 1.0;
        }
    }
    out
}

/// The score of a message with its neighbours as one document.
fn document(seq: u32, words: &BTreeMap<u32, Words>, rarity: &[f64], mean: f64) -> f64 {
    let mut counts: HashMap<usize, f64> = HashMap::new();
    // Neighbours without a word of the question are of usual length.
    let mut length = mean * f64::from(2 * REACH);
    let near = words.range(seq.saturating_sub(REACH)..=seq.saturating_add(REACH));
    for (at, one) in near {
        let weight = if *at == seq { OWN } else { 1.0 };
        length += if *at == seq { OWN * one.length } else { one.length - mean };
        for (word, count) in &one.counts {
            *counts.entry(*word).or_default() += weight * count;
        }
    }
    score(&counts, length / (mean * (OWN + f64::from(2 * REACH))), rarity)
}

/// The score of each stretch of conversation.
fn stretches(words: &BTreeMap<u32, Words>, rarity: &[f64], mean: f64) -> HashMap<u32, f64> {
    let mut counts: HashMap<u32, (HashMap<usize, f64>, f64)> = HashMap::new();
    for (seq, one) in words {
        let (held, length) = counts.entry(seq / STRETCH).or_default();
        *length += one.length;
        for (word, count) in &one.counts {
            *held.entry(*word).or_default() += count;
        }
    }
    let usual = mean * f64::from(STRETCH);
    counts
        .into_iter()
        .map(|(stretch, (held, length))| (stretch, score(&held, length / usual, rarity)))
        .collect()
}

/// BM25. `length` is relative to the usual one.
fn score(counts: &HashMap<usize, f64>, length: f64, rarity: &[f64]) -> f64 {
    let held_back = K1 * B.mul_add(length, 1.0 - B);
    // In the order of the question, so that equal documents get equal sums.
    let words = rarity.iter().enumerate();
    words
        .filter_map(|(word, rare)| counts.get(&word).map(|count| (rare, count)))
        .map(|(rare, count)| rare * count * (K1 + 1.0) / (count + held_back))
        .sum()
}

fn idf(holding: f64, all: f64) -> f64 {
    ((all - holding + 0.5).max(0.5) / (holding + 0.5) + 1.0).ln()
}

fn mean(lengths: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for length in lengths {
        sum += length;
        count += 1.0;
    }
    if count > 0.0 { (sum / count).max(1.0) } else { 1.0 }
}

/// The words of a text that say something, without their endings.
pub(crate) fn stems(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 1)
        .map(str::to_lowercase)
        .filter(|word| !crate::summary::is_common(word))
        .map(|word| stem(&word).to_owned())
}

/// A word without the commonest endings of English; others keep theirs.
fn stem(word: &str) -> &str {
    if !word.is_ascii() {
        return word;
    }
    for ending in ["ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y"] {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.len() >= 3
        {
            // `running` and `run`, `stopped` and `stop`.
            let doubled =
                rest.as_bytes().windows(2).last().is_some_and(|pair| pair.first() == pair.last());
            let may_drop = doubled && !rest.ends_with("ll") && !rest.ends_with("ss");
            return if may_drop { rest.get(..rest.len() - 1).unwrap_or(rest) } else { rest };
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(list: &[(u32, &str)]) -> Vec<Found> {
        list.iter().map(|(seq, text)| Found { seq: *seq, text: (*text).to_owned() }).collect()
    }

    #[test]
    fn a_rare_word_decides_and_a_common_one_does_not() {
        let mut list: Vec<(u32, String)> =
            (1..60).map(|n| (n * 3, format!("the weather in town, day {n}"))).collect();
        list.push((200, "the weather over Reykjavik".to_owned()));
        let list: Vec<Found> = list.into_iter().map(|(seq, text)| Found { seq, text }).collect();
        assert_eq!(weigh("weather in Reykjavik?", &list, 300)[0].0, 200);
    }

    #[test]
    fn the_neighbours_of_a_message_speak_for_it() {
        let list = found(&[
            (10, "where did you buy the violin"),
            (11, "the violin? at the market in Ghent"),
            (90, "a violin is an instrument"),
        ]);
        let order: Vec<u32> = weigh("violin market", &list, 100).iter().map(|w| w.0).collect();
        assert_eq!(order, [11, 10, 90]);
    }

    #[test]
    fn endings_do_not_matter() {
        for (a, b) in [
            ("running", "runs"),
            ("stopped", "stop"),
            ("cities", "city"),
            ("moved", "moving"),
            ("dogs", "dog"),
        ] {
            assert_eq!(stem(a), stem(b), "{a} {b}");
        }
        assert_eq!(stem("straße"), "straße");
    }

    #[test]
    fn nothing_that_comes_in_makes_it_fail() {
        assert!(weigh("", &found(&[(1, "x")]), 0).iter().all(|(_, score)| *score == 0.0));
        assert!(weigh("a b c", &[], 10).is_empty());
        let huge = "word ".repeat(100_000);
        assert_eq!(weigh("word", &found(&[(u32::MAX, &huge)]), 1).len(), 1);
    }
}
