//! What a client signs; the ways of a log-in are tested from outside, where there are servers.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

fn pem(der: &[u8]) -> Secret {
    let begin = "-----BEGIN PRIVATE KEY-----";
    Secret::new(format!("{begin}\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)))
}

#[track_caller]
fn check(name: &str, der: &[u8], (public, way): (&[u8], &'static dyn VerificationAlgorithm)) {
    let token = sign::signed(&pem(der), &json!({"iss": "me"})).unwrap();
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(way, public).verify(text.as_bytes(), &signature).unwrap();
    let parts: Vec<Value> = text
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts, [json!({"alg": name, "typ": "JWT"}), json!({"iss": "me"})]);
}

#[test]
fn what_a_client_signs_is_confirmed_by_its_public_key() {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    check("ES256", der.as_ref(), (pair.public_key().as_ref(), &ECDSA_P256_SHA256_FIXED));
    let der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    check("EdDSA", der.as_ref(), (pair.public_key().as_ref(), &ED25519));
}

#[test]
fn a_key_that_is_none_is_named_and_not_repeated() {
    for bad in [Secret::new("hunter2"), pem(b"hunter2")] {
        let trouble = sign::signed(&bad, &json!({})).unwrap_err();
        let text = trouble.to_string();
        assert!(text.contains("oauth.private_key") && !text.contains("hunter2"), "{text}");
    }
}
