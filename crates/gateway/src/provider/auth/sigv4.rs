//! AWS: Signature Version 4 over the whole request; a key without a colon is a bearer key.

use aws_lc_rs::{digest, hmac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use wire::{Code, Fault};

use super::plain::encode;
use super::{bearer, secret_value};
use crate::client::Request;
use crate::settings::{ProviderSettings, Secret};

/// The name of the algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The service that a signature is for.
const SERVICE: &str = "bedrock";

/// The parts of a key, `ID:SECRET` or `ID:SECRET:SESSION`.
struct Credentials<'a> {
    id: &'a str,
    secret: &'a str,
    session: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    fn read(key: &'a Secret) -> Option<Self> {
        let (id, rest) = key.expose().trim().split_once(':')?;
        let (secret, session) = match rest.split_once(':') {
            Some((secret, session)) => (secret, Some(session)),
            None => (rest, None),
        };
        Some(Self { id, secret, session })
    }
}

/// What is signed of a request.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    /// The query as it is sent, without its question mark.
    pub(super) query: &'a str,
    /// Names in lower case with their values, `host` among them, in any order.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) body: &'a [u8],
}

/// For which region and service a signature counts.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// Adds the headers that sign the request as it is now.
///
/// # Errors
/// `configuration_error` when the key or the region is not usable.
pub(super) fn sign(
    settings: &ProviderSettings,
    key: &Secret,
    request: &mut Request,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(credentials) = Credentials::read(key) else {
        return bearer(settings, key, &mut request.headers);
    };
    let region = region(settings, &request.uri)?;
    let at = moment(now);
    put(&mut request.headers, settings, "x-amz-date", &at)?;
    if let Some(session) = credentials.session {
        put(&mut request.headers, settings, "x-amz-security-token", session)?;
    }
    let host = request.uri.authority().map_or_else(String::new, ToString::to_string);
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let mut headers = vec![("host", host.as_str())];
    for name in [CONTENT_TYPE.as_str(), "x-amz-date", "x-amz-security-token"] {
        headers.extend(text(name).map(|value| (name, value)));
    }
    let signed = Signed {
        method: if request.body.is_empty() { "GET" } else { "POST" },
        path: request.uri.path(),
        query: request.uri.query().unwrap_or_default(),
        headers,
        body: &request.body,
    };
    let scope = Scope { region: &region, service: SERVICE };
    let value = authorization(credentials.id, credentials.secret, (&at, scope), signed);
    let value = secret_value(&settings.name, &value)?;
    request.headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn put(
    headers: &mut HeaderMap,
    settings: &ProviderSettings,
    name: &'static str,
    value: &str,
) -> Result<HeaderName, Fault> {
    let name = HeaderName::from_static(name);
    let mut value = HeaderValue::from_str(value).map_err(|cause| {
        let text = format!("the key of provider `{}` cannot be sent in a header", settings.name);
        Fault::new(Code::ConfigurationError, text).because(cause)
    })?;
    value.set_sensitive(true);
    headers.insert(name.clone(), value);
    Ok(name)
}

/// The region that is configured, or that the address names: `bedrock-runtime.eu-west-1.…`.
fn region(settings: &ProviderSettings, uri: &http::Uri) -> Result<String, Fault> {
    if let Some(region) = &settings.region {
        return Ok(region.clone());
    }
    let named = uri.host().and_then(|host| host.split('.').nth(1));
    named.filter(|part| part.contains('-')).map(ToOwned::to_owned).ok_or_else(|| {
        let name = &settings.name;
        Fault::new(Code::ConfigurationError, format!("provider `{name}` needs its region"))
            .hint(format!("set `providers.{name}.region`, such as `eu-west-1`"))
    })
}

/// The time as signatures write it: `20150830T123600Z`.
fn moment(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The value of `Authorization`.
pub(super) fn authorization(
    id: &str,
    secret: &str,
    (at, scope): (&str, Scope<'_>),
    signed: Signed<'_>,
) -> String {
    let (canonical, names) = canonical(signed);
    let day = at.get(..8).unwrap_or(at);
    let scope_text = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!("{ALGORITHM}\n{at}\n{scope_text}\n{}", hash(canonical.as_bytes()));
    let mut key = mac(format!("AWS4{secret}").as_bytes(), day);
    for part in [scope.region, scope.service, "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    let signature = hex(mac(key.as_ref(), &text).as_ref());
    format!(
        "{ALGORITHM} Credential={id}/{scope_text}, SignedHeaders={names}, Signature={signature}"
    )
}

/// The request in the one form that both sides hash, and the names of its headers.
fn canonical(mut signed: Signed<'_>) -> (String, String) {
    // A path that is already encoded is encoded once more, segment by segment.
    let mut path = String::new();
    for (at, segment) in signed.path.split('/').enumerate() {
        if at > 0 {
            path.push('/');
        }
        encode(segment, &mut path);
    }
    let mut query: Vec<String> = signed
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort();
    signed.headers.sort_unstable();
    let names: Vec<&str> = signed.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut text = format!("{}\n{path}\n{}\n", signed.method, query.join("&"));
    for (name, value) in &signed.headers {
        let value: Vec<&str> = value.split_ascii_whitespace().collect();
        text.push_str(&format!("{name}:{}\n", value.join(" ")));
    }
    text.push_str(&format!("\n{names}\n{}", hash(signed.body)));
    (text, names)
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
