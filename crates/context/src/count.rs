//! How many tokens a text has, estimated in one pass without any tokeniser.
//!
//! A weighted sum of what can be counted in a text: linear, so that the sum over messages is the
//! estimate of a window and running sums give any window at once. The weights are fitted against
//! the published tokens of OpenAI's models (`cargo run -p context --example fit` prints and
//! checks); what providers report corrects them for every other model (see `scale` in the rows).

/// How many things are counted.
pub const FEATURES: usize = 15;

/// A thousandth of a token is the unit of the weights, so that the sum is exact.
const UNIT: u64 = 1000;
/// What a message costs beside its content.
const MESSAGE: u64 = 4 * UNIT;
/// Letters of a word that fit into its first token.
const WORD_LETTERS: u32 = 6;

/// Their names, in their order.
pub const NAMES: [&str; FEATURES] = [
    "words",
    "letters",
    "letters past the sixth",
    "digits",
    "spaces",
    "spaces after spaces",
    "line ends",
    "indented lines",
    "marks",
    "runs of marks",
    "capitals",
    "capitals after small letters",
    "characters of two bytes",
    "characters of three bytes",
    "characters of four bytes",
];

/// What each weighs, in thousandths of a token. The last one is no fit: texts with such characters
/// are too few for one.
pub const WEIGHTS: [u32; FEATURES] =
    [646, 6, 52, 615, 303, 0, 488, 620, 53, 876, 55, 654, 290, 618, 2000];

/// Counts what the estimate is made of.
#[must_use]
pub fn features(text: &str) -> [u32; FEATURES] {
    let mut out = [0_u32; FEATURES];
    let [
        words,
        letters,
        long,
        digits,
        spaces,
        gaps,
        lines,
        indented,
        marks,
        runs,
        capitals,
        humps,
        accented,
        ideographs,
        rare,
    ] = &mut out;
    let mut length = 0_u32;
    let mut before = b'\n';
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphabetic() {
            length += 1;
            *letters += 1;
            *words += u32::from(length == 1);
            *long += u32::from(length > WORD_LETTERS);
            *capitals += u32::from(byte.is_ascii_uppercase());
            *humps += u32::from(byte.is_ascii_uppercase() && before.is_ascii_lowercase());
            before = byte;
            continue;
        }
        length = 0;
        match byte {
            b'0'..=b'9' => *digits += 1,
            b'\n' => *lines += 1,
            b' ' | b'\t' => {
                let follows = matches!(before, b' ' | b'\t');
                *gaps += u32::from(follows);
                *spaces += u32::from(!follows);
                *indented += u32::from(before == b'\n');
            }
            0x80..=0xBF => {}
            // The first byte of a longer character stands for all of it.
            0xC0..=0xDF => *accented += 1,
            0xE0..=0xEF => *ideographs += 1,
            0xF0..=0xFF => *rare += 1,
            _ => {
                *marks += 1;
                *runs += u32::from(!before.is_ascii_punctuation());
            }
        }
        before = byte;
    }
    out
}

/// Estimates the tokens of a message with the content `text`.
#[must_use]
pub fn tokens(text: &str) -> u32 {
    let pairs = features(text).into_iter().zip(WEIGHTS);
    let sum: u64 = pairs.map(|(count, weight)| u64::from(count) * u64::from(weight)).sum();
    u32::try_from(sum.saturating_add(MESSAGE).div_ceil(UNIT)).unwrap_or(u32::MAX)
}
#[cfg(test)]
mod tests {
    use super::*;

    fn characters_per_token(text: &str) -> f64 {
        let characters = u32::try_from(text.chars().count()).unwrap();
        f64::from(characters) / f64::from(tokens(text) - 4)
    }

    #[test]
    fn english_has_about_five_characters_a_token() {
        let text = "The committee met on Tuesday to discuss the new timetable, and after a long \
                    debate it decided to keep the early train. Several members asked whether the \
                    decision could be reviewed in spring, when the figures are known.";
        let ratio = characters_per_token(text);
        assert!((4.4..5.8).contains(&ratio), "{ratio}");
    }

    #[test]
    fn code_and_chinese_have_fewer_characters_a_token_than_prose() {
        let code =
            "fn main() { let mut totalCount: usize = 0; for i in 0..10 { totalCount += i; } }";
        assert!((2.4..4.2).contains(&characters_per_token(code)));
        assert!((1.2..1.9).contains(&characters_per_token("今天天气很好,我们去公园散步吧。")));
    }

    #[test]
    fn the_estimate_grows_with_the_text() {
        let mut last = tokens("");
        for n in 1..50 {
            let now = tokens(&"some words and 42 numbers; ".repeat(n));
            assert!(now > last);
            last = now;
        }
    }
}
