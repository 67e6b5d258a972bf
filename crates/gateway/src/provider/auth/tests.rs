//! Signatures meet AWS's published vectors; Google's note is a signed token that says what it must.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::sigv4::{Scope, Signed, authorization};
use super::*;
use crate::client::Request;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const AT: &str = "20150830T123600Z";

#[test]
fn signatures_meet_the_published_vectors() {
    let vector = |method, query, service, more: Option<(&'static str, &'static str)>| {
        let host = if service == "iam" { "iam.amazonaws.com" } else { "example.amazonaws.com" };
        let mut headers = vec![("x-amz-date", AT), ("host", host)];
        headers.extend(more);
        let signed = Signed { method, path: "/", query, headers, body: b"" };
        let scope = Scope { region: "us-east-1", service };
        let text = authorization("AKIDEXAMPLE", SECRET, (AT, scope), signed);
        text.rsplit('=').next().unwrap().to_owned()
    };
    assert_eq!(
        vector("GET", "", "service", None),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    assert_eq!(
        vector("POST", "", "service", None),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    );
    assert_eq!(
        vector("GET", "Param2=value2&Param1=value1", "service", None),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    );
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(
        vector("GET", "Action=ListUsers&Version=2010-05-08", "iam", Some(form)),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

fn request(uri: &str) -> Request {
    Request {
        uri: uri.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        until: tokio::time::Instant::now(),
    }
}

fn settings(name: &str) -> ProviderSettings {
    ProviderSettings::of(crate::provider::Providers::embedded().find(name).unwrap())
}

#[tokio::test]
async fn a_request_to_aws_is_signed_for_its_region_and_a_plain_key_is_shown_as_it_is() {
    let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
    let mut bedrock = settings("bedrock");
    let uri = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a.b%3A0/converse";
    let mut signed = request(uri);
    let key = KeySettings::new(Secret::new(format!("AKIDEXAMPLE:{SECRET}:session")), "a test");
    sign(&bedrock, &key, &mut signed, now).unwrap();
    let value = signed.headers["authorization"].to_str().unwrap();
    assert!(value.contains("AKIDEXAMPLE/20150830/eu-west-1/bedrock/aws4_request"), "{value}");
    assert!(value.contains("host;x-amz-date;x-amz-security-token"), "{value}");
    assert_eq!(signed.headers["x-amz-security-token"], "session");
    let shown = format!("{signed:?} {:?}", signed.headers);
    assert!(!shown.contains("session\"") && !shown.contains("AKID"), "{shown}");

    let mut plain = request(uri);
    sign(&bedrock, &KeySettings::new(Secret::new("abc"), "a test"), &mut plain, now).unwrap();
    assert_eq!(plain.headers["authorization"], "Bearer abc");

    let mut nowhere = request("http://127.0.0.1:1/model/x/converse");
    let fault = sign(&bedrock, &key, &mut nowhere, now).unwrap_err();
    assert!(fault.text().contains("needs its region"));
    bedrock.region = Some("us-east-1".to_owned());
    sign(&bedrock, &key, &mut nowhere, now).unwrap();
}

#[test]
fn every_form_of_a_key_is_known_as_a_secret() {
    let mut settings = settings("bedrock");
    settings.keys = vec![KeySettings::new(Secret::new(" AKID:abc/def:session "), "a test")];
    settings.headers = vec![("x".to_owned(), "value".to_owned())];
    assert_eq!(secrets(&settings), ["value", "AKID:abc/def:session", "abc/def", "session"]);
    settings.auth = AuthKind::Query("key".to_owned());
    assert!(secrets(&settings).contains(&"AKID%3Aabc%2Fdef%3Asession".to_owned()));
}

fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = (0, 0);
    let mut out = Vec::new();
    for letter in text.chars() {
        bits = (bits.0 << 6 | ALPHABET.find(letter).unwrap(), bits.1 + 6);
        if bits.1 >= 8 {
            bits.1 -= 8;
            out.push(u8::try_from(bits.0 >> bits.1).unwrap());
            bits.0 &= (1 << bits.1) - 1;
        }
    }
    out
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    for chunk in der.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let six = (bits >> (18 - 6 * at)) & 63;
            let letter = if at > chunk.len() { '=' } else { char::from(ALPHABET[six as usize]) };
            out.push(letter);
        }
    }
    out + "\n-----END PRIVATE KEY-----\n"
}

#[test]
fn a_service_account_signs_a_note_that_its_public_key_confirms() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let account = json!({
        "client_email": "robot@p.example", "private_key": pem(der.as_ref()),
        "private_key_id": "k1", "project_id": "proj", "token_uri": "http://127.0.0.1:1/token",
    });
    let key = KeySettings::new(Secret::new(account.to_string()), "a test");
    let mut vertex = settings("vertex");
    vertex.region = Some("europe-west4".to_owned());
    let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let asked = token(&vertex, &key, now).unwrap();
    assert_eq!(asked.uri, "http://127.0.0.1:1/token");
    let body = std::str::from_utf8(&asked.body).unwrap();
    let note = body.rsplit_once("assertion=").unwrap().1;
    let parts: Vec<&str> = note.split('.').collect();
    let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
    assert_eq!(claims["iss"], "robot@p.example");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let signed = format!("{}.{}", parts[0], parts[1]);
    public.verify(signed.as_bytes(), &decode(parts[2])).unwrap();
    assert!(!format!("{asked:?} {key:?}").contains("PRIVATE"));

    let stream =
        Ask { path: "/v1beta/models/g:streamGenerateContent?alt=sse", model: "g", stream: true };
    let place = "/v1/projects/proj/locations/europe-west4/publishers/google/models";
    let path = format!("{place}/g:streamGenerateContent?alt=sse");
    assert_eq!(route(&vertex, Some(&key), "", stream), path);
    let mut claude = settings("vertex-anthropic");
    claude.project = Some("other".to_owned());
    let ask = Ask { path: "/v1/messages", model: "c", stream: false };
    assert_eq!(
        route(&claude, Some(&key), "", ask),
        "/v1/projects/other/locations/global/publishers/anthropic/models/c:rawPredict"
    );
}

#[test]
fn a_token_is_replaced_before_it_ends_and_a_wrong_file_is_named() {
    let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    let body = br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#;
    let token = Token::read("vertex", body, now).unwrap();
    assert_eq!(token.until.to_string(), "2026-11-21T00:57:59Z");
    assert!(!format!("{token:?}").contains("ya29"));
    assert!(Token::read("vertex", b"<html>", now).is_err());
    let key = KeySettings::new(Secret::new("not json"), "a test");
    let fault = super::token(&settings("vertex"), &key, now).unwrap_err();
    assert!(fault.hint_text().unwrap().contains("credentials"));
}
