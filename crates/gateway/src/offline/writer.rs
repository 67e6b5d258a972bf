//! Summaries and writing prompts without any model.

use std::collections::HashMap;
use std::ops::Range;

/// How much of a text a summary keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// About one sentence.
    Short,
    /// About three sentences.
    Medium,
    /// About seven sentences.
    Long,
}

impl Length {
    /// Reads `short`, `medium` or `long`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "short" => Some(Self::Short),
            "medium" => Some(Self::Medium),
            "long" => Some(Self::Long),
            _ => None,
        }
    }

    /// Sentences, and characters in all.
    fn budget(self) -> (usize, usize) {
        match self {
            Self::Short => (1, 280),
            Self::Medium => (3, 800),
            Self::Long => (7, 2_000),
        }
    }
}

/// Below this many words there is nothing to leave out.
const WORDS_MIN: usize = 4;

/// Words that carry structure, not content.
const STOP_WORDS: &[&str] = &[
    "about", "after", "again", "also", "and", "any", "are", "because", "been", "before", "but",
    "can", "could", "did", "does", "each", "for", "from", "had", "has", "have", "her", "here",
    "him", "his", "how", "into", "its", "just", "may", "more", "most", "not", "now", "one", "only",
    "other", "our", "out", "over", "said", "she", "should", "some", "such", "than", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "those", "through", "too", "under",
    "very", "was", "were", "what", "when", "where", "which", "while", "who", "will", "with",
    "would", "you", "your",
];

/// Picks the sentences whose words are most frequent in the text, in their own order.
///
/// Never empty; shorter than the text unless that has hardly any words. Time is linear in the text
/// but for the sorting of its sentences.
#[must_use]
pub fn summarize(text: &str, length: Length) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "The text is empty.".to_owned();
    }
    if text.split_whitespace().nth(WORDS_MIN - 1).is_none() && text.chars().nth(24).is_none() {
        return text.to_owned();
    }
    let (count, chars) = length.budget();
    let sentences = sentences(text);
    let out = if sentences.len() < 2 { String::new() } else { pick(text, &sentences, count) };
    // Limit: half the text, so that a summary is always one.
    let room = chars.min(text.chars().count() / 2).max(1);
    if out.is_empty() || out.len() >= text.len() { cut(text, room) } else { cut(&out, chars) }
}

/// The chosen sentences, joined; at most half of all, so that something is left out.
fn pick(text: &str, sentences: &[Range<usize>], count: usize) -> String {
    let frequency = frequencies(text);
    let mut ranked: Vec<(u64, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(i, range)| (score(text.get(range.clone()).unwrap_or(""), &frequency, i), i))
        .collect();
    ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.truncate(count.min(sentences.len() / 2).max(1));
    ranked.sort_unstable_by_key(|&(_, i)| i);
    let chosen = ranked.iter().filter_map(|&(_, i)| sentences.get(i));
    let words: Vec<&str> =
        chosen.flat_map(|r| text.get(r.clone()).unwrap_or("").split_whitespace()).collect();
    words.join(" ")
}

/// How often each content word occurs.
fn frequencies(text: &str) -> HashMap<String, u64> {
    let mut out = HashMap::new();
    for word in content_words(text) {
        *out.entry(word).or_insert(0) += 1;
    }
    out
}

fn content_words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(str::to_lowercase)
        .filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_err())
}

/// The mean frequency of a sentence's words; the first sentence usually says what it is about.
fn score(sentence: &str, frequency: &HashMap<String, u64>, place: usize) -> u64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for word in content_words(sentence) {
        sum += frequency.get(&word).copied().unwrap_or(0);
        count += 1;
    }
    // A sentence of one frequent word says little: count it as five words.
    let mean = sum.saturating_mul(1_000).checked_div(count.max(5)).unwrap_or(0);
    if place == 0 { mean.saturating_mul(3) / 2 + 1 } else { mean }
}

/// The byte ranges of the sentences, without the white space around them.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        let closes = match c {
            '.' | '!' | '?' | '…' => chars.peek().is_none_or(|(_, next)| next.is_whitespace()),
            '。' | '！' | '？' => true,
            '\n' => chars.peek().is_some_and(|(_, next)| *next == '\n'),
            _ => false,
        };
        if closes {
            push_trimmed(&mut out, text, start..end);
            start = end;
        }
    }
    push_trimmed(&mut out, text, start..text.len());
    out
}

fn push_trimmed(out: &mut Vec<Range<usize>>, text: &str, range: Range<usize>) {
    let part = text.get(range.clone()).unwrap_or("");
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    if end > start {
        out.push(start..end);
    }
}

/// The text up to `chars` characters, ended at a word with an ellipsis when something is missing.
fn cut(text: &str, chars: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars) else {
        return text.split_whitespace().collect::<Vec<_>>().join(" ");
    };
    let head = text.get(..end).unwrap_or(text);
    // A language without spaces is cut where it is.
    let head = match head.rfind(char::is_whitespace) {
        Some(space) if space > head.len() / 2 => head.get(..space).unwrap_or(head),
        _ => head,
    };
    let mut out = head.split_whitespace().collect::<Vec<_>>().join(" ");
    out.push('…');
    out
}

const TEMPLATES: &[&str] = &[
    "Write a {theme} story about somebody who finds a message that was meant for another time.",
    "Describe a {theme} world in which one everyday thing no longer works, and who profits.",
    "Write a {theme} dialogue between two strangers who share a secret and do not know it yet.",
    "Write the opening scene of a {theme} novel that begins one minute after everything changed.",
    "Invent a {theme} place with three rules. Tell what happens on the day one of them is broken.",
    "Write a {theme} letter from a character who knows that it will be read too late.",
];

/// A creative writing prompt that names both arguments; the same arguments give the same prompt.
#[must_use]
pub fn generate_prompt(theme: &str, difficulty: &str) -> String {
    let theme = words_or(theme, "free");
    let difficulty = words_or(difficulty, "medium");
    // FNV-1a: the choice must never change with the compiler or the machine.
    let hash = theme.bytes().chain([0]).chain(difficulty.bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
    let place = usize::try_from(hash % TEMPLATES.len() as u64).unwrap_or(0);
    let task = TEMPLATES.get(place).copied().unwrap_or("Write a {theme} story.");
    let frame = match difficulty.to_lowercase().as_str() {
        "easy" => "Use 150 to 300 words and one character.",
        "medium" => "Use 300 to 600 words, two characters and one change of mind.",
        "hard" => "Use 600 to 1,000 words, an unreliable narrator and no adverbs.",
        _ => "Choose length and form to match.",
    };
    format!("{} Difficulty: {difficulty}. {frame}", task.replace("{theme}", &theme))
}

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn words_or(text: &str, other: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { other.to_owned() } else { words }
}
