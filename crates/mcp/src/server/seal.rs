//! State that a client carries for us between two requests, sealed so that it comes back as it was.

use subtle::ConstantTimeEq as _;

use crate::rpc::Refusal;

/// Limit: the state a client carries.
const STATE_BYTES_MAX: usize = 64 * 1024;

/// Seals and opens.
pub(crate) struct Seal([u8; 32]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal([hidden])")
    }
}

impl Seal {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(blake3::derive_key("rapport mcp request state 1", &secret))
    }

    /// Seals a state for one purpose: the same state opens for no other.
    pub(crate) fn close(&self, purpose: &str, state: &str) -> String {
        format!("{}.{}", self.mark(purpose, state.as_bytes()), hex(state.as_bytes()))
    }

    /// Opens a state.
    ///
    /// # Errors
    /// Invalid params when it was not sealed here for this purpose.
    pub(crate) fn open(&self, purpose: &str, sealed: &str) -> Result<String, Refusal> {
        let broken = || Refusal::params("`requestState` is not what this server gave out");
        if sealed.len() > 2 * STATE_BYTES_MAX {
            return Err(broken());
        }
        let (mark, state) = sealed.split_once('.').ok_or_else(broken)?;
        let state = unhex(state).ok_or_else(broken)?;
        let own = self.mark(purpose, &state);
        if !bool::from(own.as_bytes().ct_eq(mark.as_bytes())) {
            return Err(broken());
        }
        String::from_utf8(state).map_err(|_no_text| broken())
    }

    fn mark(&self, purpose: &str, state: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes()).update(state);
        hasher.finalize().to_hex().to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _written = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_here_for_the_same_purpose_opens() {
        let seal = Seal::new([7; 32]);
        let sealed = seal.close("tools/call x", "{\"round\":1}");
        assert_eq!(seal.open("tools/call x", &sealed).as_deref(), Ok("{\"round\":1}"));
        assert!(seal.open("tools/call y", &sealed).is_err());
        assert!(Seal::new([8; 32]).open("tools/call x", &sealed).is_err());
        let tampered = sealed.replace(".7b", ".7c");
        for broken in ["", ".", "a.b", "é.é", tampered.as_str()] {
            assert!(seal.open("tools/call x", broken).is_err(), "{broken}");
        }
    }
}
