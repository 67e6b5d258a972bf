//! Google Cloud: a service account's key signs a note that buys a token for an hour.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use wire::{Code, Fault};

use super::{Ask, secret_value};
use crate::settings::{ProviderSettings, Secret};

/// What a token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Limit: how long the signed note counts, in seconds; Google takes no more.
const NOTE_SECONDS: i64 = 3600;

/// A token this close to its end is replaced.
const MARGIN: SignedDuration = SignedDuration::from_secs(120);

/// What a service account's file says.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    project_id: Option<String>,
    #[serde(default = "token_uri")]
    token_uri: String,
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// What a token endpoint answers.
#[derive(Deserialize)]
struct Bought {
    access_token: String,
    expires_in: i64,
}

/// A request for a token.
#[derive(Clone)]
pub struct TokenAsk {
    /// The whole address to send it to.
    pub uri: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, a secret.
    pub body: Bytes,
}

impl std::fmt::Debug for TokenAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAsk").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A bought token.
#[derive(Clone, Debug)]
pub struct Token {
    /// The value of `Authorization`.
    pub value: HeaderValue,
    /// When it has to be replaced.
    pub until: Timestamp,
}

impl Token {
    /// Reads the answer of a token endpoint.
    ///
    /// # Errors
    /// `upstream_invalid` when it is no token.
    pub fn read(provider: &str, body: &[u8], now: Timestamp) -> Result<Self, Fault> {
        let bought: Bought = serde_json::from_slice(body).map_err(|cause| {
            let text = format!("the token endpoint of provider `{provider}` answered no token");
            Fault::new(Code::UpstreamInvalid, text).because(cause)
        })?;
        let value = secret_value(provider, &format!("Bearer {}", bought.access_token))?;
        let life = SignedDuration::from_secs(bought.expires_in.clamp(0, 86_400));
        let until = now.checked_add(life).and_then(|end| end.checked_sub(MARGIN));
        Ok(Self { value, until: until.unwrap_or(now) })
    }

    /// Puts it on a request.
    pub fn put(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.value.clone());
    }
}

fn account(settings: &ProviderSettings, key: &Secret) -> Result<Account, Fault> {
    let provider = &settings.name;
    // The cause is not kept: it may repeat a part of the file.
    let read = serde_json::from_str(key.expose().trim()).ok();
    read.ok_or_else(|| {
        Fault::new(
            Code::ConfigurationError,
            format!("the key of provider `{provider}` is not a service account's JSON file"),
        )
        .hint(format!("set `providers.{provider}.credentials` to the path of that file"))
    })
}

/// The request that buys a token.
///
/// # Errors
/// `configuration_error` when the key is not a service account's.
pub(super) fn ask(
    settings: &ProviderSettings,
    key: &Secret,
    now: Timestamp,
) -> Result<TokenAsk, Fault> {
    let account = account(settings, key)?;
    let note = note(settings, &account, now)?;
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={note}"
    );
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    Ok(TokenAsk { uri: account.token_uri, headers, body: body.into() })
}

/// The signed note: a JSON Web Token.
fn note(settings: &ProviderSettings, account: &Account, now: Timestamp) -> Result<String, Fault> {
    let wrong = |what: &str| {
        let provider = &settings.name;
        let text = format!("the private key of provider `{provider}` {what}");
        Fault::new(Code::ConfigurationError, text)
            .hint("make a new JSON key for the service account")
    };
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let at = now.as_second();
    let claims = json!({
        "iss": account.client_email, "scope": SCOPE, "aud": account.token_uri,
        "iat": at, "exp": at.saturating_add(NOTE_SECONDS),
    });
    let part = |value: &serde_json::Value| base64url(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&head), part(&claims));
    // The causes are not kept: they may repeat a part of the key.
    let der = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.as_bytes())
        .ok()
        .ok_or_else(|| wrong("is no PEM"))?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .ok()
        .ok_or_else(|| wrong("is no RSA key"))?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .ok()
        .ok_or_else(|| wrong("cannot sign"))?;
    Ok(format!("{text}.{}", base64url(&signature)))
}

/// The path of a request: models of Google and of others lie below a project and a region.
pub(super) fn route(settings: &ProviderSettings, key: Option<&Secret>, ask: Ask<'_>) -> String {
    let own = key.and_then(|key| account(settings, key).ok()).and_then(|a| a.project_id);
    let project = settings.project.clone().or(own).unwrap_or_default();
    let region = settings.region.as_deref().unwrap_or("global");
    let (publisher, verb) = if settings.dialect == "anthropic" {
        let verb = if ask.path.ends_with("count_tokens") {
            "rawPredict"
        } else if ask.stream {
            "streamRawPredict"
        } else {
            "rawPredict"
        };
        ("anthropic", verb)
    } else {
        // The dialect's own path ends in `MODEL:VERB`, with its query.
        ("google", ask.path.rsplit_once(':').map_or("generateContent", |(_, verb)| verb))
    };
    let model = if ask.path.ends_with("count_tokens") { "count-tokens" } else { ask.model };
    format!(
        "/v1/projects/{project}/locations/{region}/publishers/{publisher}/models/{model}:{verb}"
    )
}

/// Base64 for addresses, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            let six = (bits >> (18 - 6 * at)) & 63;
            let letter = usize::try_from(six).ok().and_then(|six| ALPHABET.get(six));
            out.push(letter.map_or('A', |letter| char::from(*letter)));
        }
    }
    out
}
