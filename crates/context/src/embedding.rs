//! Vectors of messages: who makes them, and how they are compared.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wire::Fault;

/// What an [`Embedder`] gives back later.
pub type Embedding = Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, Fault>> + Send>>;

/// What a text is turned into a vector for; some models tell these apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// It is kept and looked for.
    Message,
    /// It looks for what is kept.
    Question,
}

/// A model that turns texts into vectors.
pub trait Embedder: Debug + Send + Sync {
    /// The model in force; `None` while there is none, or while it rests after a failure.
    fn model(&self) -> Option<Arc<str>>;

    /// One vector for each text, in its order, all of one length.
    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Embedding;
}

/// How messages are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// By their words, and by their vectors where there are any.
    #[default]
    Both,
    /// By their words only.
    Words,
    /// By their vectors only.
    Vectors,
}

impl By {
    /// Every way with its name.
    pub const WORDS: [(&'static str, Self); 3] =
        [("both", Self::Both), ("words", Self::Words), ("vectors", Self::Vectors)];

    /// Reads `both`, `words` or `vectors`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(name, _)| *name == text).map(|(_, by)| by)
    }
}

/// How many messages of a context have a vector of the model in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectorised {
    /// The model.
    pub model: Arc<str>,
    /// Messages that were turned into vectors, or that have no words.
    pub done: u64,
    /// Messages that wait for it.
    pub waiting: u64,
}

/// Limit: numbers of one vector.
pub(crate) const DIMENSIONS_MAX: usize = 16_384;

/// A vector as it is stored: its length is taken out, and each number is one byte, after the
/// four bytes of their common scale. Orders by likeness hardly change, and it takes a quarter.
pub(crate) fn pack(vector: &[f32]) -> Option<Vec<u8>> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let largest = vector.iter().fold(0.0_f64, |most, x| most.max(f64::from(x.abs())));
    let sound = length.is_finite() && length > 0.0 && vector.len() <= DIMENSIONS_MAX;
    if !sound {
        return None;
    }
    let scale = largest / length / 127.0;
    let mut out = Vec::with_capacity(vector.len() + 4);
    #[expect(clippy::cast_possible_truncation, reason = "a scale below one needs no more")]
    out.extend_from_slice(&(scale as f32).to_le_bytes());
    for x in vector {
        let small = (f64::from(*x) / largest * 127.0).round();
        #[expect(clippy::cast_possible_truncation, reason = "it lies between -127 and 127")]
        out.extend_from_slice(&(small as i8).to_le_bytes());
    }
    Some(out)
}

/// How alike a question and a stored vector are, from -1 to 1; `None` for one of another length.
pub(crate) fn alike(question: &[f32], packed: &[u8]) -> Option<f32> {
    let (scale, numbers) = packed.split_first_chunk::<4>()?;
    if numbers.len() != question.len() {
        return None;
    }
    let pairs = question.iter().zip(numbers);
    let sum: f32 = pairs.map(|(x, byte)| x * f32::from(i8::from_le_bytes([*byte]))).sum();
    Some(sum * f32::from_le_bytes(*scale))
}

/// The vector with the length 1; `None` when it has no direction.
pub(crate) fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_finite() || length <= 0.0 || vector.len() > DIMENSIONS_MAX {
        return None;
    }
    for x in &mut vector {
        *x /= length;
    }
    Some(vector)
}

/// What makes the first of a list not much better than the second (reciprocal rank fusion).
const SMOOTH: f64 = 60.0;

/// What a place in a list, from 0, is worth.
pub(crate) fn worth(place: usize) -> f64 {
    1.0 / (SMOOTH + 1.0 + f64::from(u32::try_from(place).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_vector_is_as_alike_as_it_was() {
        let vector: Vec<f32> = (0..300_u16).map(|n| f32::from(n % 17) - 8.0).collect();
        let other: Vec<f32> = (0..300_u16).map(|n| f32::from(n % 13) - 6.0).collect();
        let (a, b) = (unit(vector.clone()).unwrap(), unit(other).unwrap());
        let exact: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        let packed = pack(&vector).unwrap();
        assert!((alike(&b, &packed).unwrap() - exact).abs() < 0.01);
        assert!((alike(&a, &packed).unwrap() - 1.0).abs() < 0.01);
        assert_eq!(alike(&[1.0], &packed), None);
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for bad in [vec![], vec![0.0; 8], vec![f32::NAN; 8], vec![f32::INFINITY, 1.0]] {
            assert_eq!(pack(&bad), None, "{bad:?}");
            assert_eq!(unit(bad.clone()), None, "{bad:?}");
        }
        assert_eq!(alike(&[1.0], b"ab"), None);
    }
}
