//! Summaries without a model: the sentences of a conversation that say most, in their order.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use wire::prompt::Role;

use crate::{Entry, Key};

/// What stands for older messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its number in the context.
    pub number: u32,
    /// The first entry it stands for.
    pub first_seq: u32,
    /// The last entry it stands for.
    pub upto: u32,
    /// What it says.
    pub text: String,
    /// Who wrote it: a model, or `offline`.
    pub model: String,
    /// When it was written.
    pub at: Timestamp,
    /// In a tree of summaries: 0 for a leaf, which stands for messages, else the height.
    pub level: Option<u32>,
}

/// Messages that want a summary.
#[derive(Debug)]
pub struct Task {
    /// The context.
    pub key: Key,
    /// The summary of what came before them.
    pub previous: Option<String>,
    /// The messages, oldest first.
    pub entries: Vec<Entry>,
    /// The largest summary, in bytes.
    pub bytes_max: usize,
    pub(crate) n: i64,
    pub(crate) log: i64,
    pub(crate) first: u32,
    pub(crate) upto: u32,
    pub(crate) start: u32,
    pub(crate) hash: [u8; 32],
    /// In a tree of summaries: how high.
    pub(crate) level: Option<u32>,
    /// Held while the task lives, so that a context is summarised once at a time.
    pub(crate) _seat: Seat,
}

/// A place among the contexts that are being summarised; given back when it drops.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) busy: std::sync::Arc<std::sync::Mutex<HashSet<i64>>>,
    pub(crate) n: i64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.n);
    }
}

/// Limit: sentences that are weighed.
const SENTENCES_MAX: usize = 4000;
/// Limit: characters of one sentence; what is longer is clipped.
const SENTENCE_CHARACTERS_MAX: usize = 300;
/// Words that say nothing about the subject.
const STOP_WORDS: &[&str] = &[
    "the", "and", "for", "that", "this", "with", "you", "your", "are", "was", "were", "have",
    "has", "not", "but", "can", "will", "would", "could", "should", "what", "when", "where",
    "which", "who", "how", "why", "from", "they", "them", "then", "than", "there", "here", "its",
    "our", "about", "into", "just", "also", "some", "any", "all", "been", "being", "does", "did",
];

impl Task {
    /// Writes the summary without a model. It always ends, and always fits.
    #[must_use]
    pub fn extract(&self) -> String {
        extract(self.previous.as_deref(), &self.entries, self.bytes_max)
    }

    /// Whether a text that a model wrote can stand for the messages: it says something, fits,
    /// and does not turn in circles.
    #[must_use]
    pub fn accepts(&self, text: &str) -> bool {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() < 5 || text.len() > self.bytes_max {
            return false;
        }
        let threes: HashSet<&[&str]> = words.windows(3).collect();
        // A text in circles has few different runs of three words.
        threes.len().saturating_mul(3) >= words.len()
    }

    /// The names and numbers that a summary must not lose: those that are said at least twice.
    #[must_use]
    pub fn identifiers(&self) -> Vec<String> {
        identifiers(&self.entries)
    }
}

struct Sentence<'t> {
    role: Role,
    order: usize,
    text: &'t str,
    score: u64,
}

fn extract(previous: Option<&str>, entries: &[Entry], bytes_max: usize) -> String {
    let said: Vec<(Role, String)> =
        entries.iter().map(|entry| (entry.role, entry.content.plain().into_owned())).collect();
    let mut sentences: Vec<Sentence<'_>> = Vec::new();
    if let Some(previous) = previous {
        // What was worth keeping once is worth keeping again.
        push(&mut sentences, Role::System, previous);
    }
    for (role, text) in &said {
        push(&mut sentences, *role, text);
    }
    let over = sentences.len().saturating_sub(SENTENCES_MAX);
    sentences.drain(..over);
    weigh(&mut sentences);
    sentences.sort_by(|a, b| b.score.cmp(&a.score).then(a.order.cmp(&b.order)));

    let appendix = appendix(&identifiers(entries), bytes_max / 4);
    let mut room = bytes_max.saturating_sub(appendix.len());
    let mut kept: Vec<Sentence<'_>> = Vec::new();
    let mut seen = HashSet::new();
    for sentence in sentences {
        let bytes = sentence.text.len().saturating_add(12);
        if bytes <= room && seen.insert(sentence.text) {
            room -= bytes;
            kept.push(sentence);
        }
    }
    kept.sort_by_key(|sentence| sentence.order);
    let mut out = String::new();
    let mut speaker = None;
    for sentence in kept {
        if sentence.role != Role::System && speaker != Some(sentence.role) {
            out.push_str(sentence.role.as_str());
            out.push_str(": ");
        }
        speaker = Some(sentence.role);
        out.push_str(sentence.text);
        out.push('\n');
    }
    out.push_str(&appendix);
    out.trim_end().to_owned()
}

fn push<'t>(out: &mut Vec<Sentence<'t>>, role: Role, text: &'t str) {
    let parts = text.split_inclusive(['.', '!', '?', '\n', '。', '！', '？']);
    for part in parts.map(str::trim).filter(|part| part.chars().count() > 3) {
        let end = part.char_indices().nth(SENTENCE_CHARACTERS_MAX).map_or(part.len(), |(at, _)| at);
        let text = part.get(..end).unwrap_or(part);
        out.push(Sentence { role, order: out.len(), text, score: 0 });
    }
}

/// A sentence is worth what its words are worth: those that come often, but not everywhere.
fn weigh(sentences: &mut [Sentence<'_>]) {
    let mut often: HashMap<String, u64> = HashMap::new();
    let words: Vec<Vec<String>> = sentences.iter().map(|s| words(s.text)).collect();
    for list in &words {
        for word in list {
            *often.entry(word.clone()).or_default() += 1;
        }
    }
    let most = often.values().copied().max().unwrap_or(1);
    let all = sentences.len().max(1);
    for (sentence, list) in sentences.iter_mut().zip(&words) {
        let sum: u64 = list
            .iter()
            .map(|word| often.get(word).copied().unwrap_or(0))
            .map(|count| if count.saturating_mul(2) > most && all > 8 { count / 2 } else { count })
            .sum();
        let length = u64::try_from(list.len()).unwrap_or(u64::MAX).max(4);
        let facts = sentence.text.chars().any(|c| c.is_ascii_digit());
        let mut score = sum.saturating_mul(100) / length;
        if facts {
            score = score.saturating_mul(3) / 2;
        }
        // What the user wants decides the conversation; what was summarised was important.
        if matches!(sentence.role, Role::User | Role::System) {
            score = score.saturating_mul(3) / 2;
        }
        sentence.score = score;
    }
}

/// Whether a word says nothing about a subject.
pub(crate) fn is_common(word: &str) -> bool {
    STOP_WORDS.contains(&word)
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2)
        .map(str::to_lowercase)
        .filter(|word| !is_common(word))
        .collect()
}

/// Numbers, addresses, paths and names in code that at least two messages hold.
fn identifiers(entries: &[Entry]) -> Vec<String> {
    let mut held: HashMap<String, (usize, usize)> = HashMap::new();
    for (order, entry) in entries.iter().enumerate() {
        let text = entry.content.plain();
        let found: HashSet<&str> = text
            .split(|c: char| c.is_whitespace() || "\"'`()<>,;{}[]".contains(c))
            .map(|word| word.trim_matches(|c: char| ".:!?".contains(c)))
            .filter(|word| is_identifier(word))
            .collect();
        for word in found {
            let count = held.entry(word.to_owned()).or_insert((0, order));
            count.0 += 1;
        }
    }
    let mut out: Vec<_> = held.into_iter().filter(|(_, (count, _))| *count >= 2).collect();
    out.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.1.1.cmp(&b.1.1)).then(a.0.cmp(&b.0)));
    out.into_iter().map(|(word, _)| word).collect()
}

fn is_identifier(word: &str) -> bool {
    let length = word.chars().count();
    if !(2..=120).contains(&length) {
        return false;
    }
    let digits = word.chars().any(|c| c.is_ascii_digit());
    let marks = word.contains("::") || word.contains('/') || word.contains('_');
    let dotted = word.split('.').filter(|part| !part.is_empty()).count() > 1;
    let letters = word.chars().any(char::is_alphabetic);
    digits || (letters && (marks || dotted))
}

fn appendix(identifiers: &[String], bytes_max: usize) -> String {
    let mut out = String::new();
    for word in identifiers {
        if out.len().saturating_add(word.len()).saturating_add(20) > bytes_max {
            break;
        }
        out.push_str(if out.is_empty() { "identifiers: " } else { ", " });
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Content, EntryStatus, Map, Tenant};

    fn entry(seq: u32, role: Role, text: &str) -> Entry {
        Entry {
            seq,
            role,
            content: Content::Text(text.to_owned()),
            at: Timestamp::UNIX_EPOCH,
            model: None,
            status: EntryStatus::Complete,
            meta: Map::new(),
            tokens: 1,
        }
    }

    fn task(entries: Vec<Entry>, bytes_max: usize) -> Task {
        let busy = Arc::default();
        Task {
            key: Key { tenant: Tenant(0), id: "c".into() },
            previous: None,
            entries,
            bytes_max,
            n: 1,
            log: 1,
            first: 1,
            upto: 1,
            start: 1,
            hash: [0; 32],
            level: None,
            _seat: Seat { busy, n: 1 },
        }
    }

    #[test]
    fn a_summary_keeps_the_subject_and_what_is_named_twice() {
        let mut entries = vec![
            entry(1, Role::User, "The pump P-417 leaks oil at the flange. What should we do?"),
            entry(2, Role::Assistant, "Close the valve first. Then replace the flange of P-417."),
        ];
        for seq in 3..40 {
            entries.push(entry(seq, Role::User, "Thanks, that is fine. Well."));
        }
        let text = task(entries, 400).extract();
        assert!(text.len() <= 400, "{}", text.len());
        assert!(text.contains("The pump P-417 leaks oil at the flange."), "{text}");
        assert!(text.ends_with("identifiers: P-417"), "{text}");
    }

    #[test]
    fn a_summary_fits_whatever_it_stands_for() {
        for text in ["", "ä", &"x".repeat(100_000), &"字".repeat(50_000), &"a. ".repeat(50_000)] {
            let entries = (1..4).map(|seq| entry(seq, Role::User, text)).collect();
            let summary = task(entries, 500).extract();
            assert!(summary.len() <= 500);
        }
    }

    #[test]
    fn a_text_that_is_empty_too_long_or_in_circles_is_not_accepted() {
        let task = task(vec![], 2000);
        assert!(task.accepts("The user wants a quiet hotel in Oslo for two nights in May."));
        assert!(!task.accepts("  "));
        assert!(!task.accepts(&"word and another word. ".repeat(80)));
        assert!(!task.accepts(&"long ".repeat(1000)));
    }
}
