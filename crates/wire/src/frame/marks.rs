//! Where the quotes, backslashes and control characters of JSON texts are, 64 bytes at a time.
//!
//! Most of a request is the inside of long strings, and every level of its reading steps over
//! them. A bit for each byte makes that as fast for texts full of line ends and quotes, such as
//! programs, as for plain ones; where an escape begins is found without a branch for each
//! backslash, as in "Parsing Gigabytes of JSON per Second" (Langdale and Lemire, 2019).

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// Which bytes of a block are of a kind; the lowest bit is the first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Quotes.
    pub(crate) quotes: u64,
    /// Backslashes.
    pub(crate) slashes: u64,
    /// Control characters, which no string may hold as they are.
    pub(crate) controls: u64,
}

impl Marks {
    /// Finds the marks of a block.
    #[inline]
    pub(crate) fn of(block: &[u8; BLOCK]) -> Self {
        lane::marks(block)
    }

    /// Everything that has to be escaped in a string.
    pub(crate) fn any(self) -> u64 {
        self.quotes | self.slashes | self.controls
    }
}

/// The marks of the first bytes, at most a block; `None` when there are no bytes.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> Option<Marks> {
    if let Some(block) = bytes.first_chunk() {
        return Some(Marks::of(block));
    }
    // What is behind the end is no mark.
    let mut block = [b' '; BLOCK];
    block.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(bytes).filter(|bytes| !bytes.is_empty()).map(|_| Marks::of(&block))
}

/// The blocks of some bytes that have marks, each with where it begins, and those that begin behind
/// a backslash.
pub(crate) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    Blocks { bytes, at: 0, is_behind: false }
}

/// See [`blocks`].
#[derive(Clone, Debug)]
pub(crate) struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last byte was a backslash: what it hides is told, whatever it is.
    is_behind: bool,
}

impl Iterator for Blocks<'_> {
    type Item = (usize, Marks);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begin = self.at;
            let marks = first(self.bytes.get(begin..)?)?;
            self.at = begin.checked_add(BLOCK)?;
            if self.is_behind || marks != Marks::default() {
                self.is_behind = marks.slashes >> 63_u32 == 1;
                return Some((begin, marks));
            }
        }
    }
}

/// Which bytes are hidden behind a backslash, block by block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hidden {
    /// The place of a byte that is, at the beginning of a block to come.
    next: Option<usize>,
}

impl Hidden {
    /// The hidden bytes of the block that begins here, by its backslashes. Blocks without any mark
    /// may be left out, but for one that begins behind a backslash.
    #[inline]
    pub(crate) fn of(&mut self, (begin, slashes): (usize, u64)) -> u64 {
        /// The bytes at even places.
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let before = u64::from(self.next.take() == Some(begin));
        if slashes == 0 {
            return before;
        }
        // A backslash that is hidden itself hides nothing.
        let slashes = slashes & !before;
        let follows = (slashes << 1_u32) | before;
        let odd_starts = slashes & !EVEN & !follows;
        let (even_ends, over) = odd_starts.overflowing_add(slashes);
        self.next = over.then(|| begin.saturating_add(BLOCK));
        (EVEN ^ (even_ends << 1_u32)) & follows
    }
}

#[cfg(target_arch = "x86_64")]
mod lane {
    //! By the vector instructions that every processor of this architecture has.

    use super::{BLOCK, Marks};
    use safe_arch::{
        bitor_m128i, cmp_eq_mask_i8_m128i, m128i, min_u8_m128i, move_mask_i8_m128i,
        set_splat_i8_m128i,
    };

    #[inline]
    pub(super) fn marks(block: &[u8; BLOCK]) -> Marks {
        let all = |byte: u8| set_splat_i8_m128i(byte.cast_signed());
        let (quote, slash, control) = (all(b'"'), all(b'\\'), all(0x1f));
        let mut found = [[m128i::default(); 3]; 4];
        let mut any = m128i::default();
        for (found, part) in found.iter_mut().zip(block.as_chunks::<16>().0) {
            let bytes = m128i::from(*part);
            *found = [
                cmp_eq_mask_i8_m128i(bytes, quote),
                cmp_eq_mask_i8_m128i(bytes, slash),
                cmp_eq_mask_i8_m128i(min_u8_m128i(bytes, control), bytes),
            ];
            any = found.iter().fold(any, |any, one| bitor_m128i(any, *one));
        }
        // Most blocks of most texts have none.
        if move_mask_i8_m128i(any) == 0 {
            return Marks::default();
        }
        let mut marks = Marks::default();
        let bits = |found| u64::from(move_mask_i8_m128i(found).cast_unsigned());
        for (at, [quotes, slashes, controls]) in (0_u32..).step_by(16).zip(found) {
            marks.quotes |= bits(quotes) << at;
            marks.slashes |= bits(slashes) << at;
            marks.controls |= bits(controls) << at;
        }
        marks
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    //! Eight bytes as one number.

    use super::{BLOCK, Marks};

    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const LOWS: u64 = u64::from_le_bytes([0x7f; 8]);

    pub(super) fn marks(block: &[u8; BLOCK]) -> Marks {
        let mut marks = Marks::default();
        for (at, part) in (0_u32..).step_by(8).zip(block.as_chunks::<8>().0) {
            let word = u64::from_le_bytes(*part);
            let is = |byte: u8| zeros(word ^ ONES.wrapping_mul(u64::from(byte)));
            marks.quotes |= is(b'"') << at;
            marks.slashes |= is(b'\\') << at;
            marks.controls |= zeros(word & ONES.wrapping_mul(0xe0)) << at;
        }
        marks
    }

    /// A bit for each byte that is zero.
    fn zeros(word: u64) -> u64 {
        let highs = !((word & LOWS).wrapping_add(LOWS) | word | LOWS);
        // Gathers the highest bits of the bytes in the highest byte.
        (highs >> 7_u32).wrapping_mul(0x0102_0408_1020_4080) >> 56_u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_what_it_is() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let bit = |is: bool| u64::from(is) << at;
                let expected = Marks {
                    quotes: bit(byte == b'"'),
                    slashes: bit(byte == b'\\'),
                    controls: bit(byte < 0x20),
                };
                assert_eq!(Marks::of(&block), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn what_is_hidden_is_what_follows_an_odd_number_of_backslashes() {
        let mut seed = 1_u64;
        for _ in 0..2_000 {
            let mut text = Vec::new();
            for _ in 0..4 * BLOCK {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push(if seed >> 62 == 0 { b'a' } else { b'\\' });
            }
            let mut expected = vec![false; text.len()];
            for at in 1..text.len() {
                expected[at] = text[at - 1] == b'\\' && !expected[at - 1];
            }
            let mut hidden = Hidden::default();
            let mut found = vec![false; text.len()];
            for (begin, marks) in blocks(&text) {
                let bits = hidden.of((begin, marks.slashes));
                for at in 0..BLOCK {
                    found[begin + at] = bits >> at & 1 == 1;
                }
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn blocks_without_marks_are_left_out_and_the_last_bytes_are_not() {
        let mut text = vec![b'a'; 4 * BLOCK + 5];
        assert_eq!(blocks(&text).count(), 0);
        text[2 * BLOCK - 1] = b'\\';
        text[4 * BLOCK + 4] = b'"';
        let found: Vec<_> = blocks(&text).collect();
        let last = Marks { quotes: 1 << 4, ..Marks::default() };
        // What follows the backslash is hidden, and has no mark of its own.
        let begins: Vec<usize> = found.iter().map(|(begin, _)| *begin).collect();
        assert_eq!(begins, [BLOCK, 2 * BLOCK, 4 * BLOCK]);
        assert_eq!((found[0].1.slashes, found[2].1), (1 << 63, last));
        let mut hidden = Hidden::default();
        let bits: Vec<u64> =
            found.iter().map(|(begin, marks)| hidden.of((*begin, marks.slashes))).collect();
        assert_eq!(bits, [0, 1, 0]);
        assert_eq!(blocks(b"").count(), 0);
    }
}
