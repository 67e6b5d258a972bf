//! Step 2: who calls, and what may they do. Everything that is not listed as open is closed.

mod models;
mod origin;

use catalog::{ModelLimit, Rejection, Scopes};
use context::Tenant;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use wire::{Code, Fault};

pub(crate) use models::{may_ask, may_name, may_use, may_use_all_of, shown_as, shown_models};
pub use origin::check as check_origin;
pub(crate) use origin::{allows, no_host};

use crate::about::Peer;
use crate::gate::Gateway;
use crate::limits::Counted;
use crate::settings::AuthMode;

/// The paths that are answered without a caller: whether we live, and pages without data.
pub const OPEN_PATHS: &[&str] = &["/", "/health", "/ready", "/openapi.json", "/docs"];

/// The folders below which everything is open: the console's and the docs' own files, and shared
/// contexts, whose handlers ask for the token of the share instead of a key.
pub const OPEN_FOLDERS: &[&str] = &["/console/", "/docs/", "/api/v1/shared/"];

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant whose objects it may touch.
    pub tenant: Tenant,
    /// The key it showed; `None` for a local caller of an open port.
    pub key: Option<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// The models it may use.
    pub models: ModelLimit,
    /// The other end of the connection.
    pub peer: Peer,
}

/// What a request needs its caller to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To look at things.
    Read,
    /// To change things.
    Write,
    /// To manage keys.
    Admin,
}

impl Scope {
    /// The scope as it is written in keys and errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Caller {
    /// Refuses a caller without the scope.
    ///
    /// # Errors
    /// `forbidden`, naming the scope.
    pub fn must(&self, scope: Scope) -> Result<(), Fault> {
        let has = match scope {
            Scope::Read => self.scopes.read || self.scopes.write || self.scopes.admin,
            Scope::Write => self.scopes.write || self.scopes.admin,
            Scope::Admin => self.scopes.admin,
        };
        if has {
            return Ok(());
        }
        let text = format!("this key lacks the scope `{}`", scope.as_str());
        Err(Fault::new(Code::Forbidden, text)
            .hint(format!(
                "use another key, or have one made: rapport key create NAME --scope {}",
                scope.as_str()
            ))
            .details(serde_json::json!({"reason": "insufficient", "scope": scope.as_str()})))
    }

    /// How the audit of changes names it.
    #[must_use]
    pub fn name(&self) -> std::sync::Arc<str> {
        match &self.key {
            Some(key) => format!("key {key}").into(),
            None => format!("{} without a key", self.peer.addr.ip()).into(),
        }
    }

    /// Who is counted by the rate limit.
    #[must_use]
    pub fn counted(&self) -> Counted {
        match &self.key {
            Some(key) => Counted::Key(key.clone()),
            None => Counted::Address(self.peer.addr.ip()),
        }
    }
}

/// Tells whether callers have to show a key now.
#[must_use]
pub fn required(gate: &Gateway) -> bool {
    if !gate.keys().is_empty() {
        return true;
    }
    match gate.now().settings.auth {
        AuthMode::Required => true,
        AuthMode::Auto => !gate.about().is_local(),
        AuthMode::AutoDev => false,
    }
}

/// Finds out who calls, from the credential it showed.
///
/// # Errors
/// `unauthorized`; `details.reason` is `missing`, `malformed`, `unknown`, `expired` or `revoked`.
pub fn caller(gate: &Gateway, shown: Option<&str>, peer: Peer) -> Result<Caller, Fault> {
    if !required(gate) {
        let (scopes, models) = (Scopes::ALL, ModelLimit::default());
        return Ok(Caller { tenant: Tenant::default(), key: None, scopes, models, peer });
    }
    let Some(secret) = shown else {
        return Err(refuse("missing", "this port needs an API key"));
    };
    match gate.keys().verify(secret.trim()) {
        Ok(key) => {
            let (scopes, models) = (key.scopes, key.models);
            Ok(Caller { tenant: Tenant::default(), key: Some(key.id), scopes, models, peer })
        }
        Err(rejection) => Err(rejected(rejection)),
    }
}

/// Looks again at a caller whose connection stays open: keys end and change while sockets live.
/// Says which models it may use now.
///
/// # Errors
/// `unauthorized`; `details.reason` is `unknown`, `expired` or `revoked`, or `missing` when the
/// first key was made since.
pub fn still(gate: &Gateway, caller: &Caller) -> Result<ModelLimit, Fault> {
    match &caller.key {
        Some(key) => gate.keys().still(key).map_err(rejected),
        None if required(gate) => Err(refuse("missing", "this port needs an API key now")),
        None => Ok(ModelLimit::default()),
    }
}

fn rejected(rejection: Rejection) -> Fault {
    match rejection {
        Rejection::Malformed => refuse(
            "malformed",
            "the API key is malformed: it begins with `rap_` and has 38 more characters",
        ),
        Rejection::Unknown => refuse("unknown", "nobody has this API key"),
        Rejection::Expired => refuse("expired", "the API key has expired"),
        Rejection::Revoked => refuse("revoked", "the API key was revoked"),
    }
}

fn refuse(reason: &'static str, text: &'static str) -> Fault {
    Fault::new(Code::Unauthorized, text)
        .hint(
            "send `Authorization: Bearer KEY` or `x-api-key: KEY`; make one: rapport key create \
             NAME",
        )
        .details(serde_json::json!({"reason": reason}))
}

/// The headers beside `Authorization` in which applications of other vendors' APIs put their key.
const KEY_HEADERS: &[&str] = &["x-api-key", "x-goog-api-key", "api-key"];

/// The credential of a request: `Authorization: Bearer`, else a key in a header of its own, else,
/// on the paths of Gemini's API only, `?key=`, where some of its applications put it.
///
/// # Errors
/// `unauthorized` (`malformed`) for an `Authorization` header of another scheme.
pub fn shown<'a>(headers: &'a HeaderMap, uri: &'a http::Uri) -> Result<Option<&'a str>, Fault> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        return if scheme.eq_ignore_ascii_case("bearer") && !rest.trim().is_empty() {
            Ok(Some(rest.trim()))
        } else {
            Err(refuse("malformed", "the header must read `Authorization: Bearer KEY`"))
        };
    }
    let header = KEY_HEADERS.iter().find_map(|name| headers.get(*name));
    if let Some(value) = header {
        return Ok(value.to_str().ok());
    }
    let is_gemini = uri.path().starts_with("/v1beta/") || uri.path().starts_with("/v1/models");
    let query = uri.query().filter(|_| is_gemini).unwrap_or_default();
    Ok(query.split('&').find_map(|pair| pair.strip_prefix("key=")))
}

/// Tells whether a path is answered without a caller.
#[must_use]
pub fn is_open(path: &str) -> bool {
    OPEN_PATHS.contains(&path) || OPEN_FOLDERS.iter().any(|folder| path.starts_with(folder))
}
