//! A built-in embedding: words and their pieces hashed into a vector, without network or model.
//!
//! Five things say what a word is: the word itself, its beginning, its consonants, and its pieces
//! of three letters and of two. A slip of the pen changes some of them and never all: an ending
//! leaves the beginning, a vowel or a doubled letter leaves the consonants, anything else most
//! pieces.

/// The name under which it is asked.
pub const EMBED: &str = "hash-embed";

/// The name under which its vectors are kept: those that were made in another way do not fit, and
/// are made anew.
pub const KEPT_AS: &str = "hash-embed-2";

/// How long its vectors are unless the caller says otherwise.
pub const DIMENSIONS: usize = 512;

/// Limit: the longest vector that is made.
pub const DIMENSIONS_MAX: usize = 4_096;

/// What each thing that is known of a word weighs; the pieces together as much as one of them.
const WORD: f32 = 0.5;
const BEGINNING: f32 = 0.5;
const CONSONANTS: f32 = 0.6;
const PIECES: f32 = 1.0;
const PAIRS: f32 = 0.8;
/// What a word weighs that every text holds: it joins texts, and says nothing of them.
const FILLER: f32 = 0.12;
/// Letters of a beginning.
const BEGINNING_LETTERS: usize = 5;
/// Words of so few letters have no other shape than themselves.
const SHORT: usize = 3;

/// Words that say nothing of what a text is about.
const FILLERS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "been", "but", "by", "can", "did", "do", "does", "for", "from", "had", "has", "have", "he",
    "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "me", "my",
    "no", "not", "of", "on", "or", "our", "she", "so", "some", "than", "that", "the", "their",
    "them", "then", "there", "they", "this", "to", "too", "up", "us", "was", "we", "were", "what",
    "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your",
];

/// A vector of length 1 for a text: the same text gives the same vector, always, and texts that
/// share words, or most of their letters, lie near one another. It knows no meaning.
#[must_use]
pub fn embed(text: &str, dimensions: usize) -> Vec<f32> {
    let mut out = vec![0.0_f32; dimensions.clamp(1, DIMENSIONS_MAX)];
    for word in words(text) {
        add_word(&mut out, &word);
    }
    let length = out.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in &mut out {
            *x /= length;
        }
    } else if let Some(first) = out.first_mut() {
        // A text without words still has a direction, so that nobody divides by zero.
        *first = 1.0;
    }
    out
}

fn add_word(out: &mut [f32], word: &str) {
    if FILLERS.binary_search(&word).is_ok() {
        add(out, &format!("w {word}"), FILLER);
        return;
    }
    let letters: Vec<char> = word.chars().collect();
    if letters.len() <= SHORT || letters.iter().any(char::is_ascii_digit) {
        // A number with one other digit is another number.
        add(out, &format!("w {word}"), WORD + BEGINNING + CONSONANTS);
        return;
    }
    add(out, &format!("w {word}"), WORD);
    let beginning: String = letters.iter().take(BEGINNING_LETTERS).collect();
    add(out, &format!("b {beginning}"), BEGINNING);
    add(out, &format!("c {}", consonants(&letters)), CONSONANTS);
    let marked: Vec<char> =
        std::iter::once('<').chain(letters.iter().copied()).chain(std::iter::once('>')).collect();
    for (size, weight) in [(3, PIECES), (2, PAIRS)] {
        let pieces: Vec<String> =
            marked.windows(size).map(|piece| piece.iter().collect()).collect();
        // Each so heavy that a long word is no heavier than a short one.
        let count = u16::try_from(pieces.len()).unwrap_or(u16::MAX);
        let share = weight / f32::from(count.max(1)).sqrt();
        for piece in pieces {
            add(out, &format!("{size} {piece}"), share);
        }
    }
}

/// The first letter and the consonants after it, each once where it stands twice; those that two
/// hands in a hurry exchange stand in one order.
fn consonants(letters: &[char]) -> String {
    let mut out: Vec<char> = Vec::with_capacity(letters.len());
    for (at, letter) in letters.iter().enumerate() {
        let is_vowel = "aeiouyäöüáéíóúàèìòùâêîôûåøæœ".contains(*letter);
        if (at == 0 || !is_vowel) && out.last() != Some(letter) {
            out.push(*letter);
        }
    }
    if let Some(rest) = out.get_mut(1..) {
        rest.sort_unstable();
    }
    out.into_iter().collect()
}

/// The words of a text in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// Adds a feature at the place and with the sign that its hash says.
fn add(out: &mut [f32], feature: &str, weight: f32) {
    let hash = blake3::hash(feature.as_bytes());
    let [a, b, c, d, sign, ..] = *hash.as_bytes();
    let place = u32::from_le_bytes([a, b, c, d]) as usize % out.len().max(1);
    if let Some(x) = out.get_mut(place) {
        *x += if sign & 1 == 0 { weight } else { -weight };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &str, b: &str) -> f32 {
        embed(a, DIMENSIONS).iter().zip(embed(b, DIMENSIONS)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let (same, like, other) = (
            near("the red house", "The red house!"),
            near("the red house", "red houses"),
            near("the red house", "quantum chromodynamics"),
        );
        assert!(same > 0.999 && like > 0.5 && other < 0.2, "{same} {like} {other}");
    }

    /// Slips of the pen as people make them: letters exchanged, left out, doubled, wrong ones.
    const SLIPS: &[(&str, &str)] = &[
        ("restaurant", "restaurnat"),
        ("restaurant", "resturant"),
        ("appointment", "apointment"),
        ("accommodation", "acommodation"),
        ("separate", "seperate"),
        ("definitely", "definately"),
        ("tomorrow", "tommorow"),
        ("necessary", "neccesary"),
        ("government", "goverment"),
        ("beginning", "begining"),
        ("receive", "recieve"),
        ("library", "libary"),
        ("wednesday", "wensday"),
        ("dentist", "dentsit"),
        ("garden", "gardne"),
        ("invoice", "invioce"),
        ("lisbon", "lisabon"),
        ("vaccination", "vacination"),
        ("marathon", "maraton"),
        ("gearbox", "gaerbox"),
    ];

    #[test]
    fn a_misspelt_word_is_nearer_to_its_own_than_to_any_other() {
        for (right, wrong) in SLIPS {
            let own = near(right, wrong);
            let others = SLIPS.iter().map(|(other, _)| *other).filter(|other| other != right);
            let next = others.map(|other| near(other, wrong)).fold(f32::MIN, f32::max);
            assert!(own > 0.3 && own > next + 0.1, "{right} {wrong}: {own}, the next {next}");
        }
    }

    #[test]
    fn a_question_with_slips_finds_its_message_among_others() {
        let messages: Vec<String> =
            SLIPS.iter().map(|(word, _)| format!("I wrote about the {word} on that day")).collect();
        for (place, (_, wrong)) in SLIPS.iter().enumerate() {
            let question = format!("what did you write about the {wrong}?");
            let best = (0..messages.len())
                .max_by(|a, b| {
                    near(&question, &messages[*a]).total_cmp(&near(&question, &messages[*b]))
                })
                .unwrap();
            // Compared by the word: one stands in two messages.
            assert_eq!(SLIPS[best].0, SLIPS[place].0, "{question}");
        }
    }

    #[test]
    fn numbers_are_not_forgiven_and_fillers_join_nothing() {
        assert!(near("invoice 4711", "invoice 4711") > near("invoice 4711", "invoice 4712") + 0.3);
        let filler = near("what did you do about it", "what do you think of that");
        let about = near("what did the dentist say", "the dentist was kind");
        assert!(about > 0.3 && about > filler + 0.1, "{about} {filler}");
        assert!(FILLERS.is_sorted());
    }

    #[test]
    fn vectors_have_the_wanted_length_and_size_one() {
        for (text, dimensions) in [("hello", 8), ("hello world", 1_024), ("", 4), ("!?", 4)] {
            let vector = embed(text, dimensions);
            assert_eq!(vector.len(), dimensions);
            let size: f32 = vector.iter().map(|x| x * x).sum();
            assert!((size - 1.0).abs() < 1e-4, "{text}: {size}");
        }
    }
}
