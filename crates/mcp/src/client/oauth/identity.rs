//! Who we are to an authorization server: by hand, by a document of our own, or by registering.

use std::sync::Arc;

use http::Uri;
use serde::Deserialize;
use serde_json::json;

use super::super::web::Web;
use super::discover::Authority;
use super::fetch::post_json;
use super::kept::{Identity, Kept, Method};
use super::settings::{Grant, OAuthSettings, Secret};
use super::{Trouble, address};

/// Limit: what a server may call us, and give us as a secret.
const NAME_BYTES_MAX: usize = 4096;

/// Whom a log-in is for, and what is known.
pub(super) struct Asked<'a> {
    pub(super) authority: &'a Authority,
    pub(super) settings: &'a OAuthSettings,
    pub(super) kept: &'a Kept,
    /// What people see when they are asked to agree.
    pub(super) name: &'a str,
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

/// Who we are to this authorization server; `redirect` is where it sends people back to.
pub(super) async fn identity(
    web: &Arc<dyn Web>,
    asked: &Asked<'_>,
    redirect: Option<&str>,
) -> Result<Identity, Trouble> {
    if let Some(given) = given(asked)? {
        return Ok(given);
    }
    if asked.settings.grant == Grant::Client {
        let text = "the client's own credentials are wanted: set `oauth.client_id` and \
                    `oauth.client_secret` or `oauth.private_key`";
        return Err(Trouble::Refused(text.to_owned()));
    }
    if asked.authority.client_id_metadata_document_supported
        && let Some(url) = &asked.settings.client_metadata_url
    {
        return Ok(Identity { id: url.clone(), ..Identity::default() });
    }
    let known = asked.kept.identities.get(&asked.authority.issuer);
    if let Some(known) = known.filter(|known| known.redirect.as_deref() == redirect) {
        return Ok(known.clone());
    }
    register(web, asked, redirect).await
}

/// The client that was registered by hand. It is shown to the authorization server that it was
/// registered with, and to no other that a server may name one day.
fn given(asked: &Asked<'_>) -> Result<Option<Identity>, Trouble> {
    let (settings, issuer) = (asked.settings, asked.authority.issuer.as_str());
    let Some(id) = settings.client_id.clone() else { return Ok(None) };
    let bound = settings.issuer.as_deref().or(asked.kept.issuer());
    if let Some(bound) = bound.filter(|bound| *bound != issuer) {
        return Err(Trouble::Refused(format!(
            "`oauth.client_id` was registered with `{bound}`, and the server names `{issuer}` now: \
             if that is right, set `oauth.issuer` and the client that is known there"
        )));
    }
    let takes = |method: Method| asked.authority.takes(method.name());
    let method = if settings.private_key.is_some() {
        Method::Signed
    } else if settings.client_secret.is_none() {
        Method::None
    } else if takes(Method::Basic) || !takes(Method::Post) {
        Method::Basic
    } else {
        Method::Post
    };
    let secret = settings.client_secret.clone();
    Ok(Some(Identity { id, secret, method, redirect: None }))
}

async fn register(
    web: &Arc<dyn Web>,
    asked: &Asked<'_>,
    redirect: Option<&str>,
) -> Result<Identity, Trouble> {
    let authority = asked.authority;
    let (Some(endpoint), Some(redirect)) = (&authority.registration_endpoint, redirect) else {
        return Err(Trouble::Refused(format!(
            "`{}` lets no client register itself: register one there by hand and set \
             `oauth.client_id`",
            authority.issuer
        )));
    };
    let wanted = [Method::None, Method::Basic, Method::Post];
    let method = wanted.into_iter().find(|method| authority.takes(method.name()));
    let silent = authority.token_endpoint_auth_methods_supported.is_none();
    let method = method.filter(|_| !silent).unwrap_or(Method::None);
    let body = json!({
        "client_name": asked.name,
        "application_type": "native",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.name(),
    });
    let uri: Uri = endpoint
        .parse()
        .map_err(|_bad| Trouble::Refused(format!("`{endpoint}` is no address to register at")))?;
    let said = post_json(web, &uri, &body).await?;
    if said.status.is_server_error() {
        let text = format!("`{}` answers {}{}", address::origin(&uri), said.status, said.words());
        return Err(Trouble::Later(text));
    }
    let answer: Option<Registered> =
        serde_json::from_slice(&said.body).ok().filter(|_| said.status.is_success());
    let known = answer.filter(|known| {
        let secret = known.client_secret.as_deref().unwrap_or_default();
        !known.client_id.is_empty() && known.client_id.len() + secret.len() <= NAME_BYTES_MAX
    });
    let Some(known) = known else {
        return Err(Trouble::Refused(format!(
            "`{}` does not register us ({}){}: register a client there by hand and set \
             `oauth.client_id`",
            authority.issuer,
            said.status,
            said.words()
        )));
    };
    let secret = known.client_secret.filter(|secret| !secret.is_empty());
    let told = known.token_endpoint_auth_method.as_deref().and_then(Method::parse);
    // Some give a secret unasked, and want to see it.
    let method = match told {
        Some(told) => told,
        None if silent && secret.is_some() => Method::Basic,
        None => method,
    };
    let secret = secret.map(Secret::new);
    Ok(Identity { id: known.client_id, secret, method, redirect: Some(redirect.to_owned()) })
}
