//! A built-in ranking of documents by the words they share with a question.

use std::collections::HashMap;

use super::embed::words;

/// The name under which it is asked.
pub const RERANK: &str = "lexical-rerank";

/// How fast the weight of a repeated word levels off, and how much a document's length counts:
/// the usual values of Okapi BM25. This is the first, [`B`] the second.
const K: f64 = 1.2;
/// How much a long document is held back, see [`K`].
const B: f64 = 0.75;

/// How well each document answers the question, from 0 to 1: BM25 over these documents alone, as a
/// share of what a document that is the question itself would get. It knows no meaning.
#[must_use]
pub fn rerank(query: &str, documents: &[String]) -> Vec<f64> {
    let counted: Vec<HashMap<String, f64>> = documents.iter().map(|text| count(text)).collect();
    let lengths: Vec<f64> = counted.iter().map(|words| words.values().sum()).collect();
    let total = documents.len().max(1) as f64;
    let mean = (lengths.iter().sum::<f64>() / total).max(1.0);
    let query: Vec<(String, f64)> = count(query)
        .into_keys()
        .map(|word| {
            let having = counted.iter().filter(|words| words.contains_key(&word)).count() as f64;
            let rare = (1.0 + (total - having + 0.5) / (having + 0.5)).ln();
            (word, rare)
        })
        .collect();
    let best: f64 =
        query.iter().map(|(_, rare)| rare * (K + 1.0)).sum::<f64>().max(f64::MIN_POSITIVE);
    let score = |(words, length): (&HashMap<String, f64>, &f64)| {
        let sum: f64 = query
            .iter()
            .map(|(word, rare)| {
                let times = words.get(word).copied().unwrap_or(0.0);
                rare * times * (K + 1.0) / (times + K * (1.0 - B + B * length / mean))
            })
            .sum();
        (sum / best).clamp(0.0, 1.0)
    };
    counted.iter().zip(&lengths).map(score).collect()
}

fn count(text: &str) -> HashMap<String, f64> {
    let mut out = HashMap::new();
    for word in words(text) {
        *out.entry(word).or_insert(0.0) += 1.0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_with_the_rare_words_comes_first() {
        let documents = [
            "The capital of France is Paris.",
            "The sky is blue.",
            "Washington is the capital of the United States.",
        ]
        .map(str::to_owned);
        let scores = rerank("capital of the United States", &documents);
        assert!(scores[2] > scores[0] && scores[0] > scores[1], "{scores:?}");
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{scores:?}");
        assert_eq!(rerank("x", &[]), Vec::<f64>::new());
        assert_eq!(rerank("", &documents), [0.0, 0.0, 0.0]);
    }
}
