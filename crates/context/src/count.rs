//! How many tokens a text has, estimated in one pass without any tokeniser.
//!
//! A weighted sum of simple features; about four characters a token in English prose, fewer in
//! code, numbers and scripts without spaces. What providers report corrects it (see `scale` in the
//! rows).

/// A thousandth of a token is the unit of the weights, so that the sum is exact.
const UNIT: u64 = 1000;
/// A word of ASCII letters.
const WORD: u64 = 1150;
/// Letters of a word that fit into its first token.
const WORD_LETTERS: u64 = 6;
/// Every further letter.
const LETTER: u64 = 270;
/// A capital inside a word, as in `camelCase`.
const HUMP: u64 = 600;
/// A digit.
const DIGIT: u64 = 400;
/// A punctuation mark.
const MARK: u64 = 650;
/// A line end; blank lines and indentation mostly join it.
const LINE: u64 = 500;
/// A tab, or a space after a space.
const GAP: u64 = 60;
/// A letter beyond ASCII of two bytes (accents, Greek, Cyrillic, Hebrew, Arabic).
const ACCENTED: u64 = 550;
/// A character of three bytes (Chinese, Japanese, Korean, Thai, Devanagari).
const IDEOGRAPH: u64 = 900;
/// A character of four bytes (emoji, rare scripts).
const RARE: u64 = 2000;
/// What a message costs beside its content.
const MESSAGE: u64 = 4 * UNIT;

/// Estimates the tokens of a message with the content `text`.
#[must_use]
pub fn tokens(text: &str) -> u32 {
    let mut sum = MESSAGE;
    let mut letters = 0_u64;
    let mut before = b'\n';
    for &byte in text.as_bytes() {
        let is_letter = byte.is_ascii_alphabetic();
        if is_letter {
            letters += 1;
            if letters == 1 {
                sum += WORD;
            } else if byte.is_ascii_uppercase() && before.is_ascii_lowercase() {
                sum += HUMP;
            }
            if letters > WORD_LETTERS {
                sum += LETTER;
            }
        } else {
            letters = 0;
            sum += other(byte, before);
        }
        before = byte;
    }
    u32::try_from(sum.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// The weight of a byte that is no ASCII letter. The first byte of a longer character carries the
/// weight of all of it.
fn other(byte: u8, before: u8) -> u64 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'\n' => LINE,
        b' ' if before != b' ' => 0,
        b' ' | b'\t' => GAP,
        0x80..=0xBF => 0,
        0xC0..=0xDF => ACCENTED,
        0xE0..=0xEF => IDEOGRAPH,
        0xF0..=0xFF => RARE,
        _ => MARK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters_per_token(text: &str) -> f64 {
        let characters = u32::try_from(text.chars().count()).unwrap();
        f64::from(characters) / f64::from(tokens(text) - 4)
    }

    #[test]
    fn english_has_about_four_characters_a_token() {
        let text = "The committee met on Tuesday to discuss the new timetable, and after a long \
                    debate it decided to keep the early train. Several members asked whether the \
                    decision could be reviewed in spring, when the figures are known.";
        let ratio = characters_per_token(text);
        assert!((3.6..4.6).contains(&ratio), "{ratio}");
    }

    #[test]
    fn code_and_chinese_have_fewer_characters_a_token_than_prose() {
        let code =
            "fn main() { let mut totalCount: usize = 0; for i in 0..10 { totalCount += i; } }";
        assert!((1.8..3.4).contains(&characters_per_token(code)));
        assert!((0.9..1.6).contains(&characters_per_token("今天天气很好,我们去公园散步吧。")));
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
