//! JSON Web Tokens that a client signs with its own key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{Secret, Trouble};

/// A private key, of one of the kinds that authorization servers take.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    fn read(pem: &Secret) -> Result<Self, Trouble> {
        // The causes are not kept: they may repeat a part of the key.
        let wrong =
            |why: &str| Trouble::Refused(format!("the private key `oauth.private_key` {why}"));
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_bad| wrong("is no PEM of the kind `PRIVATE KEY` (PKCS #8)"))?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::P256(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(pair));
        }
        let rsa = RsaKeyPair::from_pkcs8(der).map(|pair| Self::Rsa(Box::new(pair)));
        rsa.map_err(|_other| wrong("is of another kind than P-256, Ed25519 or RSA"))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) => Some(pair.sign(&random, text).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(text).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut out).ok()?;
                Some(out)
            }
        }
    }
}

/// Signs what a client says.
///
/// # Errors
/// When the key is none that can be used.
pub(super) fn signed(pem: &Secret, claims: &Value) -> Result<String, Trouble> {
    let key = Key::read(pem)?;
    let head = json!({"alg": key.name(), "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&head), part(claims));
    let signature = key
        .sign(text.as_bytes())
        .ok_or_else(|| Trouble::Refused("the private key cannot sign".to_owned()))?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
