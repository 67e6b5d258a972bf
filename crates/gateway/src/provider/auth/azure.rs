//! Azure: the key in `api-key`, the version as a query, the deployment in the path.

use http::HeaderMap;
use http::header::HeaderName;
use wire::Fault;

use super::super::path;
use super::plain::{encode, with_query};
use super::{Ask, secret_value};
use crate::settings::{ProviderSettings, Secret};

/// The newest version of the dated API that is not a preview.
const VERSION: &str = "2024-10-21";

/// The path of a request. A base URL that ends in `/v1` speaks the undated API, which is
/// addressed as OpenAI's own; elsewhere the model is the name of a deployment.
pub(super) fn route(settings: &ProviderSettings, base: &str, ask: Ask<'_>) -> String {
    let version = settings.version.as_deref();
    if base.ends_with("/v1") {
        let route = path::join("openai", base, ask.path);
        return with_query(route, "api-version", version.unwrap_or_default());
    }
    let base = base.strip_suffix("/openai").unwrap_or(base);
    let below = ask.path.strip_prefix("/v1").unwrap_or(ask.path);
    let mut route = format!("{base}/openai");
    // The list of models and what is stored belong to no deployment.
    if !ask.model.is_empty() && !below.starts_with("/models") && !below.starts_with("/files") {
        route.push_str("/deployments/");
        encode(ask.model, &mut route);
    }
    route.push_str(below);
    with_query(route, "api-version", version.unwrap_or(VERSION))
}

/// The key in its header.
pub(super) fn headers(
    settings: &ProviderSettings,
    key: &Secret,
    headers: &mut HeaderMap,
) -> Result<(), Fault> {
    let value = secret_value(&settings.name, key.expose())?;
    headers.insert(HeaderName::from_static("api-key"), value);
    Ok(())
}
