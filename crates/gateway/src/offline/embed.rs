//! A built-in embedding: words and their pieces hashed into a vector, without network or model.

/// The name under which it is asked.
pub const EMBED: &str = "hash-embed";

/// How long its vectors are unless the caller says otherwise.
pub const DIMENSIONS: usize = 256;

/// Limit: the longest vector that is made.
pub const DIMENSIONS_MAX: usize = 4_096;

/// A vector of length 1 for a text: the same text gives the same vector, always, and texts that
/// share words, or pieces of words, lie near one another. It knows no meaning.
#[must_use]
pub fn embed(text: &str, dimensions: usize) -> Vec<f32> {
    let mut out = vec![0.0_f32; dimensions.clamp(1, DIMENSIONS_MAX)];
    for word in words(text) {
        add(&mut out, &format!("w {word}"), 1.0);
        let marked: Vec<char> = format!("<{word}>").chars().collect();
        for piece in marked.windows(3) {
            let piece: String = piece.iter().collect();
            add(&mut out, &format!("p {piece}"), 0.4);
        }
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
        assert!(same > 0.999 && like > 0.3 && other < 0.2, "{same} {like} {other}");
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
