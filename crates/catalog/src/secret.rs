//! The text of a key: how it is made, told from a typing error, and kept out of logs.

use std::fmt;

use wire::Fault;
use zeroize::Zeroize;

/// What every key begins with, so that scanners of source code find it.
pub(crate) const MARK: &str = "rap_";
/// Random characters of a key: 32 of 62, that is 190 bits.
const RANDOM_CHARACTERS: usize = 32;
/// Characters that are computed from the ones before them.
const CHECK_CHARACTERS: usize = 6;
/// Characters of the key that may be shown to recognise it.
const SHOWN_CHARACTERS: usize = 8;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key in clear. It is shown once, by [`Secret::expose`], and wiped when it drops.
pub struct Secret(String);

impl Secret {
    /// Makes a new key from the system's randomness.
    pub(crate) fn fresh() -> Result<Self, Fault> {
        let mut text = String::with_capacity(MARK.len() + RANDOM_CHARACTERS + CHECK_CHARACTERS);
        text.push_str(MARK);
        let mut pool = [0_u8; 64];
        let mut left = RANDOM_CHARACTERS;
        while left > 0 {
            getrandom::fill(&mut pool).map_err(|error| {
                Fault::internal("the system gives no random numbers").because(error.to_string())
            })?;
            // Bytes from 248 on would make the first characters of the alphabet more likely.
            for byte in pool.iter().filter(|byte| **byte < 248).take(left) {
                text.push(character(u64::from(*byte)));
                left -= 1;
            }
        }
        pool.zeroize();
        let check = checksum(&text);
        text.push_str(&check);
        Ok(Self(text))
    }

    /// The key in clear, to be shown to its owner once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The beginning of the key, by which its owner recognises it.
    pub(crate) fn prefix(&self) -> String {
        self.0.chars().take(MARK.len() + SHOWN_CHARACTERS).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Whether `text` can be a key at all: length, alphabet and check characters fit.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let body = MARK.len() + RANDOM_CHARACTERS;
    if text.len() != body + CHECK_CHARACTERS || !text.starts_with(MARK) {
        return false;
    }
    let (Some(head), Some(check)) = (text.get(..body), text.get(body..)) else { return false };
    checksum(head) == check
}

/// What is stored and compared instead of the key.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn checksum(head: &str) -> String {
    let digest = blake3::hash(head.as_bytes());
    let mut number = digest.as_bytes().iter().take(8).fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let mut out = String::with_capacity(CHECK_CHARACTERS);
    for _ in 0..CHECK_CHARACTERS {
        out.push(character(number));
        number /= 62;
    }
    out
}

fn character(number: u64) -> char {
    let index = usize::try_from(number % 62).unwrap_or(0);
    ALPHABET.get(index).copied().map_or('0', char::from)
}
