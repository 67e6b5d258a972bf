//! The key that everything secret in the store is sealed with, and sealing itself: AES-256-GCM.

use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use wire::{Code, Fault};

/// A key of 256 bits.
pub type KeyBytes = [u8; 32];

/// Where the master key comes from; asked once, when something is to be sealed or opened.
pub type KeySource = Box<dyn Fn() -> Result<KeyBytes, Fault> + Send + Sync>;

/// Keeps the master key, which seals the keys of tenants and the secrets of webhooks.
pub struct Vault {
    source: KeySource,
    master: OnceLock<Seal>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// A vault whose master key is asked for when it is first needed.
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self { source, master: OnceLock::new() }
    }

    /// Seals bytes; `place` says where they belong, and they open nowhere else.
    ///
    /// # Errors
    /// When there is no master key, or it cannot be read.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        self.master()?.seal(place, plain)
    }

    /// Opens what was sealed for this place; `None` when it was changed, or sealed otherwise.
    ///
    /// # Errors
    /// When there is no master key, or it cannot be read.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.master()?.open(place, sealed))
    }

    /// The master key.
    pub(crate) fn master(&self) -> Result<&Seal, Fault> {
        if let Some(master) = self.master.get() {
            return Ok(master);
        }
        let fresh = Seal::new(&(self.source)()?)?;
        Ok(self.master.get_or_init(|| fresh))
    }
}

/// One key, ready to seal and to open.
#[derive(Debug)]
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    pub(crate) fn new(key: &KeyBytes) -> Result<Self, Fault> {
        let key = UnboundKey::new(&AES_256_GCM, key);
        let key = key.map_err(|_key| Fault::internal("a key of the vault cannot be used"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals bytes; `place` says where they belong, and they open nowhere else.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut out = plain.to_vec();
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut out,
            )
            .map_err(|_seal| Fault::internal("something cannot be sealed"))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut out);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for this place; `None` when it was changed, or sealed otherwise.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut out = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), &mut out).ok()?;
        let length = plain.len();
        out.truncate(length);
        Some(out)
    }
}

/// A fresh random key.
///
/// # Errors
/// `internal_error` when the system gives no random bytes.
pub fn fresh_key() -> Result<KeyBytes, Fault> {
    let mut key = [0; 32];
    fill(&mut key)?;
    Ok(key)
}

/// Fresh random bytes.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Fault> {
    rand::fill(bytes).map_err(|_rand| Fault::internal("the system gives no random bytes"))
}

/// Something needs a vault, and there is none.
pub(crate) fn missing() -> Fault {
    Fault::new(Code::ConfigurationError, "this store was opened without a key of its own")
        .hint("give it one: the file `vault.key` in the data folder, or `contexts.vault_key`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_in_its_place_and_unchanged() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let mut sealed = seal.seal("here", b"a secret").unwrap();
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_ne!(sealed, seal.seal("here", b"a secret").unwrap());
        assert_eq!(seal.open("here", &sealed).unwrap(), b"a secret");
        assert!(seal.open("there", &sealed).is_none());
        assert!(Seal::new(&[8; 32]).unwrap().open("here", &sealed).is_none());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(seal.open("here", &sealed).is_none());
        assert!(seal.open("here", b"short").is_none());
    }
}
