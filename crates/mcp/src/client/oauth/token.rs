//! Where tokens are given: what is asked there, and what is made of the answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::failure::shown;
use super::super::web::Web;
use super::challenge::words;
use super::discover::Authority;
use super::fetch::{place, post_form};
use super::form::{Form, encoded};
use super::kept::{Identity, Method, Tokens};
use super::settings::Secret;
use super::{Trouble, random, sign};
use crate::clock;

/// Limit: a token.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// A token is replaced this long before its end, or a tenth of its life where that is shorter.
const MARGIN_SECONDS: i64 = 60;
/// Limit: how long what a client signed counts, in seconds.
const SIGNED_SECONDS: i64 = 300;
/// What a signature in place of a secret is called.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whom we ask, and who we are to it.
pub(super) struct Counter<'a> {
    pub(super) web: &'a Arc<dyn Web>,
    pub(super) authority: &'a Authority,
    pub(super) identity: &'a Identity,
    pub(super) key: Option<&'a Secret>,
}

/// Why no token was given.
#[derive(Debug)]
pub(super) enum Denied {
    /// It says no, with one of the words of RFC 6749, and perhaps why.
    No(String, String),
    /// It could not be asked, or its answer is none.
    Trouble(Trouble),
}

impl From<Trouble> for Denied {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::No(code, why) => Self::Login(format!("it gives no token: {code}{why}")),
            Denied::Trouble(trouble) => trouble,
        }
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

impl Counter<'_> {
    /// Asks for tokens; `asked` are the rights that are meant where the answer names none.
    pub(super) async fn ask(&self, form: Form, asked: &[String]) -> Result<Tokens, Denied> {
        let uri: Uri = self.authority.token_endpoint.parse().map_err(|_bad| {
            Trouble::Refused(format!("`{}` is no address", self.authority.token_endpoint))
        })?;
        let said = post_form(self.web, &uri, self.shown(form)?).await?;
        let place = place(&uri);
        if said.status.is_success() {
            let given = serde_json::from_slice::<Given>(&said.body);
            let given = given.map_err(|_bad| {
                // The body is not repeated: it may hold a token.
                Trouble::Later(format!("`{place}` answers {} and no token", said.status))
            })?;
            return Ok(read(given, asked, &place)?);
        }
        let object = said.object();
        let text = |name: &str| object.as_ref()?.get(name)?.as_str().map(shown);
        match text("error").filter(|_| said.status.is_client_error()) {
            Some(code) => {
                let why = text("error_description").map_or(String::new(), |why| format!(": {why}"));
                Err(Denied::No(code, why))
            }
            None => {
                let text = format!("`{place}` answers {}{}", said.status, said.words());
                Err(Trouble::Later(text).into())
            }
        }
    }

    /// Takes a token back; nobody waits for more than the answer.
    pub(super) async fn revoke(&self, token: &Secret, kind: &str) -> Result<(), Trouble> {
        let Some(endpoint) = &self.authority.revocation_endpoint else { return Ok(()) };
        let uri: Uri = endpoint
            .parse()
            .map_err(|_bad| Trouble::Refused(format!("`{endpoint}` is no address")))?;
        let form = Form::default().with("token", token.expose()).with("token_type_hint", kind);
        let said = post_form(self.web, &uri, self.shown(form)?).await?;
        if said.status.is_success() {
            return Ok(());
        }
        let text = format!("`{}` answers {}{}", place(&uri), said.status, said.words());
        Err(Trouble::Later(text))
    }

    /// The form with who we are in it, or beside it.
    fn shown(&self, form: Form) -> Result<(String, Option<HeaderValue>), Trouble> {
        let Identity { id, secret, method, .. } = self.identity;
        let secret = secret.as_ref().map_or("", Secret::expose);
        Ok(match method {
            Method::None => (form.with("client_id", id).text(), None),
            Method::Post => (form.with("client_id", id).with("client_secret", secret).text(), None),
            Method::Basic => {
                let both = format!("{}:{}", encoded(id), encoded(secret));
                let text = format!("Basic {}", STANDARD.encode(both));
                let mut value = HeaderValue::try_from(text)
                    .map_err(|_bad| Trouble::Refused("no credential".to_owned()))?;
                value.set_sensitive(true);
                (form.text(), Some(value))
            }
            Method::Signed => {
                let key = self.key.ok_or_else(|| {
                    let text = "it wants a signature: set `oauth.private_key`";
                    Trouble::Refused(text.to_owned())
                })?;
                let now = clock::seconds();
                let claims = json!({
                    "iss": id, "sub": id, "aud": self.authority.issuer, "jti": random()?,
                    "iat": now, "exp": now + SIGNED_SECONDS,
                });
                let signed = sign::signed(key, &claims)?;
                let form = form.with("client_id", id);
                let form = form.with("client_assertion_type", ASSERTION);
                (form.with("client_assertion", &signed).text(), None)
            }
        })
    }
}

fn read(given: Given, asked: &[String], place: &str) -> Result<Tokens, Trouble> {
    let wrong = |why: &str| Trouble::Refused(format!("`{place}` gives a token that {why}"));
    let plain = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
    let usable = |token: &str| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && plain(token);
    if !usable(&given.access_token) {
        return Err(wrong("cannot stand in a header"));
    }
    let kind = given.token_type.as_deref().unwrap_or("Bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(wrong(&format!("is of the kind `{}`: only `Bearer` is known", shown(kind))));
    }
    // Limit: a year; some write the number as a text.
    let life = given.expires_in.as_ref().and_then(|value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    #[expect(clippy::cast_possible_truncation, reason = "it was clamped")]
    let life = life.map(|life: f64| life.clamp(0.0, 31_536_000.0) as i64);
    let now = clock::seconds();
    Ok(Tokens {
        access: Secret::new(given.access_token),
        refresh: given.refresh_token.filter(|token| usable(token)).map(Secret::new),
        renew: life.map(|life| now + life - MARGIN_SECONDS.min(life / 10)),
        until: life.map(|life| now + life),
        scopes: given.scope.map_or_else(|| asked.to_vec(), |scope| words(&scope)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: Value) -> Result<Tokens, Trouble> {
        read(serde_json::from_value(value).unwrap(), &["a".to_owned()], "https://i.example/t")
    }

    #[test]
    fn a_token_is_replaced_before_its_end_and_refused_when_it_is_none() {
        let hour = given(json!({"access_token": "x", "token_type": "bearer", "expires_in": 3600}));
        let hour = hour.unwrap();
        assert_eq!(hour.until.unwrap() - hour.renew.unwrap(), 60);
        assert_eq!(hour.scopes, ["a"], "what is not said is as asked");
        let short =
            given(json!({"access_token": "x", "expires_in": "20", "scope": "b c"})).unwrap();
        assert_eq!(short.until.unwrap() - short.renew.unwrap(), 2);
        assert_eq!(short.scopes, ["b", "c"]);
        let endless = given(json!({"access_token": "x", "refresh_token": "a\nb"})).unwrap();
        assert_eq!((endless.renew, endless.refresh), (None, None));
        assert!(given(json!({"access_token": "x", "expires_in": 1e300})).is_ok());
        for bad in [
            json!({"access_token": ""}),
            json!({"access_token": "a b"}),
            json!({"access_token": "x\r\nSet-Cookie: y"}),
            json!({"access_token": "x", "token_type": "DPoP"}),
        ] {
            assert!(matches!(given(bad.clone()), Err(Trouble::Refused(_))), "{bad}");
        }
    }
}
