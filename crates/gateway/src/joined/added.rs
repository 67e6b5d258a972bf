//! Servers that are added by the API: what may be said of one, and who keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::settings::{Reach, ServerSettings};
pub use crate::provider::Kept;

/// Limit: the name of a server; with it the names of its tools still fit.
const NAME_MAX: usize = 24;

/// The body of `POST /api/v1/mcp/servers`: an address, a program, or an `OpenAPI` document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddedServer {
    /// The name that comes before those of its tools.
    #[serde(default, skip_serializing)]
    pub name: String,
    /// The address of a server behind HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `auto`, `http` or `sse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The program to start; only with a key, or by `rapport mcp add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The address of an `OpenAPI` document, whose operations become tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<String>,
    /// Where that API is, instead of where the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How we log in there, where that does not find itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<AddedOAuth>,
    /// Only these of its tools are offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// These are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<String>,
    /// Only callers with these keys see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Tools that a model may not use by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approve: Vec<String>,
    /// Other descriptions than the server's own, by tool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<String, String>,
}

/// How we log in to a server: for authorization servers that do not register us by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddedOAuth {
    /// `authorization_code`, with a person who agrees, or `client_credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The id of a client that was registered by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The authorization server that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Rights that are always asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl AddedServer {
    /// Refuses what cannot be a server, and what a caller could read our environment with.
    ///
    /// # Errors
    /// `invalid_input` or `missing_field` with the field in its details.
    pub fn check(&self) -> Result<(), Fault> {
        check_name(&self.name)?;
        let ways = [&self.url, &self.command, &self.openapi];
        if ways.iter().filter(|way| way.is_some()).count() != 1 {
            let text = "a server has exactly one of `url`, `command` and `openapi`";
            return Err(wrong("url", text.to_owned()));
        }
        for (field, url) in [("url", &self.url), ("openapi", &self.openapi)] {
            let Some(url) = url else { continue };
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                let shown: String = url.chars().take(100).collect();
                return Err(wrong(field, format!("`{shown}` is no address"))
                    .hint("write it with http:// or https://"));
            }
        }
        if let Some(transport) = &self.transport
            && !["auto", "http", "sse"].contains(&transport.as_str())
        {
            return Err(wrong("transport", format!("there is no transport `{transport}`"))
                .hint("write `auto`, `http` or `sse`"));
        }
        let grant = self.oauth.as_ref().and_then(|oauth| oauth.grant.as_deref());
        if let Some(grant) = grant
            && !["authorization_code", "client_credentials"].contains(&grant)
        {
            return Err(wrong("oauth.grant", format!("there is no grant `{grant}`"))
                .hint("write `authorization_code` or `client_credentials`"));
        }
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.contains("${") {
            let text = "variables are put in where the server's own files name them, not here";
            return Err(wrong("headers", text.to_owned())
                .hint("write it into rapport.yaml, or use `rapport mcp add`"));
        }
        Ok(())
    }
}

/// Refuses what cannot be the name of a server.
///
/// # Errors
/// `invalid_input`.
pub fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        let shown: String = name.chars().take(64).collect();
        return Err(wrong("name", format!("`{shown}` is no name of a joined server"))
            .hint(format!("write it with a-z, 0-9 and `-`, at most {NAME_MAX} characters")));
    }
    Ok(())
}

/// Refuses settings that cannot work.
pub(super) fn check_server(settings: &ServerSettings) -> Result<(), Fault> {
    check_name(&settings.name)?;
    let url = match &settings.reach {
        Reach::Address { url, .. } => url,
        Reach::Api { base_url: Some(url), .. } | Reach::Api { url: Some(url), .. } => url,
        Reach::Program(_) | Reach::Api { .. } => return Ok(()),
    };
    if url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some()) {
        return Ok(());
    }
    let shown: String = url.chars().take(100).collect();
    let text = format!("joined server `{}`: `{shown}` is no address", settings.name);
    Err(Fault::new(Code::ConfigurationError, text))
}

fn wrong(field: &str, text: String) -> Fault {
    Fault::new(Code::InvalidInput, text).details(serde_json::json!({"field": field}))
}

/// Who keeps what the API adds, so that it counts at once and survives a restart.
pub trait Keeper: Send + Sync + std::fmt::Debug {
    /// Keeps a server, in the place of one of the same name that was added before.
    fn keep(&self, server: AddedServer) -> Kept<'_>;

    /// Forgets a server that was added.
    fn forget(&self, name: String) -> Kept<'_>;
}
