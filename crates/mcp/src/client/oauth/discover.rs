//! Who knows a server's users: its own word first, then that of its authorization server.

use std::sync::Arc;

use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::web::Web;
use super::address::{is_part_of, is_same_origin, origin, safe, well_known};
use super::fetch::{Said, get, place};
use super::{Settled, Trouble};

/// Limit: authorization servers that one server may name.
const ISSUERS_MAX: usize = 20;

/// What a server says of itself, as far as a log-in is concerned (RFC 9728).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    /// What it calls itself, letter by letter; tokens are asked for it.
    pub(super) name: Option<String>,
    /// Who knows its users.
    pub(super) issuers: Vec<String>,
    /// The rights it knows.
    pub(super) scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// What a server says of itself; `named` is where it said that this stands. Nothing, where it says
/// nothing, as servers of the revision 2025-03-26 do.
pub(super) async fn resource(
    web: &Arc<dyn Web>,
    server: &Uri,
    named: Option<&str>,
) -> Result<Option<Resource>, Trouble> {
    let places = match named {
        Some(named) => vec![described_at(named, server)?],
        None => candidates(server)?,
    };
    for at in places {
        let said = get(web, &at).await?;
        if let Some(document) = document(&said, &at)? {
            return read(document, server, &at).map(Some);
        }
        if named.is_some() {
            let text = format!(
                "`{}`, where the server says that it describes itself, answers {}{}",
                place(&at),
                said.status,
                said.words()
            );
            return Err(Trouble::Refused(text));
        }
    }
    Ok(None)
}

/// The server's own origin is as good as the server is.
fn described_at(named: &str, server: &Uri) -> Result<Uri, Trouble> {
    if let Ok(uri) = named.parse::<Uri>()
        && is_same_origin(&uri, server)
    {
        return Ok(uri);
    }
    safe(named, server, "the server's `resource_metadata`")
}

fn candidates(server: &Uri) -> Result<Vec<Uri>, Trouble> {
    const NAME: &str = "oauth-protected-resource";
    let mut all = vec![well_known(server, NAME)];
    let root = format!("{}/.well-known/{NAME}", origin(server));
    if all.first() != Some(&root) {
        all.push(root);
    }
    let parsed = all.iter().map(|text| text.parse());
    parsed.collect::<Result<_, _>>().map_err(|_bad| Trouble::Refused("no address".to_owned()))
}

/// The object in an answer. A page for people, or an error of the client's kind, is none.
fn document(said: &Said, at: &Uri) -> Result<Option<Value>, Trouble> {
    if said.status.is_success() {
        return Ok(said.object());
    }
    if said.status.is_server_error() {
        let text = format!("`{}` answers {}{}", place(at), said.status, said.words());
        return Err(Trouble::Later(text));
    }
    Ok(None)
}

fn read(document: Value, server: &Uri, at: &Uri) -> Result<Resource, Trouble> {
    let wrong = |why: String| Trouble::Refused(format!("`{}` {why}", place(at)));
    let document: Document = serde_json::from_value(document)
        .map_err(|error| wrong(format!("is not usable: {error}")))?;
    // A server that speaks in another's name wants tokens that are not its own.
    let name = document.resource.parse::<Uri>().ok().filter(|name| is_part_of(server, name));
    if name.is_none() {
        let shown: String = document.resource.chars().take(200).collect();
        return Err(wrong(format!("describes `{shown}`, and the server is `{}`", place(server))));
    }
    let issuers: Vec<String> =
        document.authorization_servers.into_iter().take(ISSUERS_MAX).collect();
    Ok(Resource { name: Some(document.resource), issuers, scopes: document.scopes_supported })
}

/// An authorization server, as it describes itself (RFC 8414 or `OpenID` Connect).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Authority {
    /// Its name, letter by letter.
    pub(super) issuer: String,
    /// Where a person agrees.
    #[serde(default)]
    pub(super) authorization_endpoint: Option<String>,
    /// Where tokens are given.
    pub(super) token_endpoint: String,
    /// Where clients register themselves.
    #[serde(default)]
    pub(super) registration_endpoint: Option<String>,
    /// Where tokens are taken back.
    #[serde(default)]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    #[serde(default)]
    pub(super) code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) client_id_metadata_document_supported: bool,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Authority {
    /// The same as JSON, to be kept; nothing in it is secret.
    pub(super) fn json(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": self.authorization_endpoint,
            "token_endpoint": self.token_endpoint,
            "registration_endpoint": self.registration_endpoint,
            "revocation_endpoint": self.revocation_endpoint,
            "scopes_supported": self.scopes_supported,
            "code_challenge_methods_supported": self.code_challenge_methods_supported,
            "token_endpoint_auth_methods_supported": self.token_endpoint_auth_methods_supported,
            "client_id_metadata_document_supported": self.client_id_metadata_document_supported,
            "authorization_response_iss_parameter_supported":
                self.authorization_response_iss_parameter_supported,
        })
    }

    /// Whether it takes a client's word in this way; silence means what RFC 8414 says it means.
    pub(super) fn takes(&self, method: &str) -> bool {
        match &self.token_endpoint_auth_methods_supported {
            Some(all) => all.iter().any(|known| known == method),
            None => method == "client_secret_basic",
        }
    }

    /// One that says nothing: its addresses are those of the revision 2025-03-26.
    fn silent(origin: &str) -> Self {
        Self {
            issuer: origin.to_owned(),
            authorization_endpoint: Some(format!("{origin}/authorize")),
            token_endpoint: format!("{origin}/token"),
            registration_endpoint: Some(format!("{origin}/register")),
            code_challenge_methods_supported: vec!["S256".to_owned()],
            ..Self::default()
        }
    }
}

/// The authorization server that is to be asked, and what for: what the server named, or its own
/// origin where it named none. `bound` is the one that credentials are meant for.
pub(super) async fn settle(
    web: &Arc<dyn Web>,
    server: &Uri,
    (named, bound): (Option<&str>, Option<&str>),
) -> Result<Settled, Trouble> {
    let resource = resource(web, server, named).await?.unwrap_or_default();
    let own = origin(server);
    let Some(first) = resource.issuers.first() else {
        let told = authority(web, server, &own).await?;
        let authority = told.unwrap_or_else(|| Authority::silent(&own));
        return Ok(Settled { resource, authority });
    };
    let known = resource.issuers.iter().find(|issuer| bound == Some(issuer.as_str()));
    let issuer = known.unwrap_or(first);
    let Some(authority) = authority(web, server, issuer).await? else {
        let text = format!("the authorization server `{}` does not describe itself", cut(issuer));
        return Err(Trouble::Refused(text));
    };
    Ok(Settled { resource, authority })
}

/// How an authorization server describes itself, in one of the three places where it may.
async fn authority(
    web: &Arc<dyn Web>,
    server: &Uri,
    issuer: &str,
) -> Result<Option<Authority>, Trouble> {
    // The origin of the server itself is where we are already.
    let uri = match issuer.parse::<Uri>() {
        Ok(uri) if is_same_origin(&uri, server) => uri,
        _ => safe(issuer, server, "the authorization server")?,
    };
    let mut places = vec![
        well_known(&uri, "oauth-authorization-server"),
        well_known(&uri, "openid-configuration"),
    ];
    let path = uri.path().trim_end_matches('/');
    if !path.is_empty() {
        places.push(format!("{}{path}/.well-known/openid-configuration", origin(&uri)));
    }
    for at in places {
        let at: Uri =
            at.parse().map_err(|_bad| Trouble::Refused(format!("`{at}` is no address")))?;
        let said = get(web, &at).await?;
        if let Some(document) = document(&said, &at)? {
            return checked(document, issuer, (server, &at)).map(Some);
        }
    }
    Ok(None)
}

fn checked(
    document: Value,
    issuer: &str,
    (server, at): (&Uri, &Uri),
) -> Result<Authority, Trouble> {
    let wrong = |why: String| Trouble::Refused(format!("`{}` {why}", place(at)));
    let found: Authority = serde_json::from_value(document)
        .map_err(|error| wrong(format!("is not usable: {error}")))?;
    // Whoever answers here may be one tenant of many: only the exact name is the one we asked for.
    if found.issuer != issuer {
        let (says, asked) = (cut(&found.issuer), cut(issuer));
        return Err(wrong(format!("is of the issuer `{says}`, and `{asked}` was asked")));
    }
    let others = [
        ("authorization_endpoint", found.authorization_endpoint.as_deref()),
        ("registration_endpoint", found.registration_endpoint.as_deref()),
        ("revocation_endpoint", found.revocation_endpoint.as_deref()),
        ("token_endpoint", Some(found.token_endpoint.as_str())),
    ];
    for (name, address) in others {
        let Some(address) = address else { continue };
        let own = address.parse::<Uri>().is_ok_and(|uri| is_same_origin(&uri, server));
        if !own {
            safe(address, server, &format!("the `{name}` of `{}`", cut(issuer)))?;
        }
    }
    Ok(found)
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}
