//! A whole answer that is kept while it goes by.

use bytes::Bytes;

/// A whole answer; one that comes in one piece is not copied.
#[derive(Debug, Default)]
pub(super) struct Held {
    first: Bytes,
    /// All of it, once there was a second piece.
    all: Vec<u8>,
}

impl Held {
    /// What came.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    /// How many bytes came.
    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// The next piece.
    pub(super) fn add(&mut self, bytes: &Bytes) {
        if self.len() == 0 {
            self.first = bytes.clone();
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_are_put_together() {
        let mut held = Held::default();
        assert_eq!((held.bytes(), held.len()), (&b""[..], 0));
        let piece = Bytes::from_static(b"one");
        held.add(&piece);
        assert_eq!(held.bytes().as_ptr(), piece.as_ptr());
        held.add(&Bytes::new());
        held.add(&Bytes::from_static(b", two"));
        held.add(&Bytes::from_static(b", three"));
        assert_eq!((held.bytes(), held.len()), (&b"one, two, three"[..], 15));
    }
}
