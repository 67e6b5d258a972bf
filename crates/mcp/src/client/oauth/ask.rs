//! What a person is asked in a browser, and whether what comes back answers it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::super::failure::shown;
use super::discover::{Authority, Resource};
use super::form::{Form, extended, fields};
use super::kept::Identity;
use super::{Settled, Trouble, WAITS, random};

/// Limit: answers that are looked at; a right one ends the question.
const TRIES_MAX: u32 = 10;
/// Limit: an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) resource: Resource,
    pub(super) authority: Authority,
    pub(super) identity: Identity,
    pub(super) redirect: String,
    pub(super) scopes: Vec<String>,
    /// Proves that whoever brings the code is who asked for it.
    pub(super) verifier: String,
    state: String,
    asked: Instant,
    tries: u32,
}

impl Question {
    /// A question, and the address where a person is asked it.
    pub(super) fn new(
        settled: Settled,
        identity: Identity,
        (redirect, scopes): (&str, Vec<String>),
    ) -> Result<(Self, String), Trouble> {
        let Settled { resource, authority } = settled;
        let issuer = &authority.issuer;
        if !authority.code_challenge_methods_supported.iter().any(|known| known == "S256") {
            return Err(Trouble::Refused(format!(
                "the authorization server `{issuer}` does not say that it knows PKCE with S256: a \
                 code that it gives could be used by whoever steals it"
            )));
        }
        let Some(endpoint) = authority.authorization_endpoint.clone() else {
            let text = format!("the authorization server `{issuer}` asks nobody in a browser");
            return Err(Trouble::Refused(text));
        };
        let (verifier, state) = (random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let scope = Some(scopes.join(" ")).filter(|scope| !scope.is_empty());
        let offline = scopes.iter().any(|scope| scope == "offline_access");
        let query = Form::default()
            .with("response_type", "code")
            .with("client_id", &identity.id)
            .with("redirect_uri", redirect)
            .with("state", &state)
            .with("code_challenge", &challenge)
            .with("code_challenge_method", "S256")
            .with_some("scope", scope.as_deref())
            .with_some("resource", resource.name.as_deref())
            // Without being asked again, nobody agrees to a log-in that stays.
            .with_some("prompt", offline.then_some("consent"))
            .text();
        let address = extended(&endpoint, &query);
        let redirect = redirect.to_owned();
        let asked = Instant::now();
        let question = Self {
            resource,
            authority,
            identity,
            redirect,
            scopes,
            verifier,
            state,
            asked,
            tries: 0,
        };
        Ok((question, address))
    }

    /// Whether nobody will answer it any more.
    pub(super) fn is_over(&self) -> bool {
        self.asked.elapsed() > WAITS || self.tries >= TRIES_MAX
    }

    /// The code in an answer: the address that the browser was sent to, with its query.
    ///
    /// # Errors
    /// When this is not the answer to this question, or the answer is no.
    pub(super) fn code(&mut self, address: &str) -> Result<String, Wrong> {
        self.tries += 1;
        let address = address.trim();
        let not = |why: &str| Wrong::Other(format!("this is no answer to the log-in: {why}"));
        if address.len() > ANSWER_BYTES_MAX {
            return Err(not(&format!("it is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        let (place, query) = match address.split_once('?') {
            Some((place, query)) => (Some(place), query),
            None => (None, address),
        };
        if place.is_some_and(|place| !is_same_place(place, &self.redirect)) {
            return Err(not(&format!("it must begin with `{}?`", self.redirect)));
        }
        let query = query.split('#').next().unwrap_or_default();
        let all = fields(query);
        let field = |name: &str| {
            let mut found = all.iter().filter(|(known, _)| known == name);
            // Twice is a trick.
            found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.as_str())
        };
        let state = field("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err(not("its `state` is of another question"));
        }
        self.issued_by(field("iss"))?;
        if let Some(error) = field("error") {
            let why = field("error_description").map_or(String::new(), |why| format!(": {why}"));
            return Err(Wrong::No(format!(
                "nobody was let in: {}",
                shown(&format!("{error}{why}"))
            )));
        }
        let code = field("code").filter(|code| !code.is_empty());
        code.map(ToOwned::to_owned).ok_or_else(|| not("it has no `code`"))
    }

    /// Whether the answer is of whoever was asked (RFC 9207): else it may be meant for another.
    fn issued_by(&self, iss: Option<&str>) -> Result<(), Wrong> {
        let issuer = self.authority.issuer.as_str();
        match iss {
            // Letter by letter: what only looks the same is not the same.
            Some(iss) if iss == issuer => Ok(()),
            Some(iss) => Err(Wrong::No(format!(
                "the answer is of `{}`, and `{issuer}` was asked: it is not used",
                shown(iss)
            ))),
            None if self.authority.authorization_response_iss_parameter_supported => {
                Err(Wrong::No(format!(
                    "the answer does not say whose it is, and `{issuer}` always says so: it is not \
                     used"
                )))
            }
            None => Ok(()),
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It answers another question; the right answer may still come.
    Other(String),
    /// It answers this one, and the answer is no.
    No(String),
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Other(text) => Self::Answer(text),
            Wrong::No(text) => Self::Login(text),
        }
    }
}

/// Whether a browser that was sent to one address shows the other.
fn is_same_place(shown: &str, redirect: &str) -> bool {
    let parts = |text: &str| {
        let uri: Uri = text.parse().ok()?;
        let host = uri.host()?.to_ascii_lowercase();
        Some((uri.scheme_str()?.to_owned(), host, uri.port_u16(), uri.path().to_owned()))
    };
    shown == redirect || (parts(shown).is_some() && parts(shown) == parts(redirect))
}
