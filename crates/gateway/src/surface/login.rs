//! `/api/v1/mcp/servers/{name}/login`: logging in to a joined server, and out again.

use axum::extract::{Extension, Path, State};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault};

use super::body::Json;
use super::joined::found;
use super::native::shape::Problem;
use super::problem::Failed;
use crate::auth::Caller;
use crate::gate::Gateway;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(begin, forget)).routes(routes!(answer))
}

/// Where the browser is sent back to after a log-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// An address on the machine of whoever logs in, such as `http://127.0.0.1:49152/callback`.
    redirect_uri: String,
}

/// The end of a log-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// The whole address that the browser was sent to.
    address: String,
}

/// Begins a log-in: the address that a person has to visit within ten minutes. Where nobody has to
/// agree, `authorization_url` is null and the log-in is done.
#[utoipa::path(post, path = "/api/v1/mcp/servers/{name}/login", tag = "MCP",
    params(("name" = String, Path)), request_body = Begin,
    responses((status = 200, description = "`authorization_url`, `expires_in`", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 502, body = Problem)))]
async fn begin(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json { value: begin, .. }: Json<Begin>,
) -> Result<axum::Json<Value>, Failed> {
    let joint = found(&gate, &name)?;
    check_redirect(&begin.redirect_uri)?;
    let address = joint.log_in(&begin.redirect_uri).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(server = name, by, "a log-in began");
    let seconds = mcp::client::oauth::WAITS.as_secs();
    Ok(axum::Json(json!({"authorization_url": address, "expires_in": seconds})))
}

/// Ends a log-in: `address` is where the browser was sent to.
#[utoipa::path(post, path = "/api/v1/mcp/servers/{name}/login/answer", tag = "MCP",
    params(("name" = String, Path)), request_body = Answer,
    responses((status = 200, description = "The server", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 502, body = Problem)))]
async fn answer(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json { value: answer, .. }: Json<Answer>,
) -> Result<axum::Json<Value>, Failed> {
    let joint = found(&gate, &name)?;
    joint.logged_in(&answer.address).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(server = name, by, "logged in");
    Ok(axum::Json(joint.whole(&gate.joined().now())))
}

/// Gives the tokens of a log-in back and forgets them; `warning` says so if the authorization
/// server could not be told.
#[utoipa::path(delete, path = "/api/v1/mcp/servers/{name}/login", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 200, description = "`logged_out`, `was_logged_in`, `warning`",
               body = Object),
              (status = 404, body = Problem)))]
async fn forget(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let joint = found(&gate, &name)?;
    let was_logged_in = joint.is_logged_in();
    let warning = joint.log_out().await;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(server = name, by, "logged out");
    let value = json!({"logged_out": name, "was_logged_in": was_logged_in, "warning": warning});
    Ok(axum::Json(value))
}

/// A code must not leave the machine of whoever logs in.
fn check_redirect(redirect: &str) -> Result<(), Fault> {
    let uri = redirect.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let plain = uri.as_ref().is_some_and(|uri| uri.query().is_none()) && !redirect.contains('#');
    if plain && ["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        return Ok(());
    }
    let shown: String = redirect.chars().take(200).collect();
    let text = format!("`redirect_uri` cannot be `{shown}`");
    Err(Fault::new(Code::InvalidInput, text)
        .hint("write an address of this machine, such as http://127.0.0.1:49152/callback")
        .details(json!({"field": "redirect_uri"})))
}
