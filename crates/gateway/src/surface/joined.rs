//! `/api/v1/mcp/servers`: which servers are joined, how they are doing, and how to join another.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault};

use super::body::Json;
use super::native::shape::Problem;
use super::problem::Failed;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::joined::{AddedServer, Joint, Keeper};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, remove))
        .routes(routes!(accept))
        .routes(routes!(restart))
}

/// The joined servers and how each is doing.
#[utoipa::path(get, path = "/api/v1/mcp/servers", tag = "MCP",
    responses((status = 200, description = "`servers`", body = Object)))]
async fn list(State(gate): State<Gateway>) -> axum::Json<Value> {
    let servers: Vec<Value> = gate.joined().all().iter().map(|joint| joint.brief()).collect();
    axum::Json(json!({"servers": servers}))
}

/// Joins a server, or changes one that was added: it counts at once and survives a restart.
#[utoipa::path(post, path = "/api/v1/mcp/servers", tag = "MCP", request_body = AddedServer,
    responses((status = 201, description = "The server", body = Object),
              (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn add(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: added, .. }: Json<AddedServer>,
) -> Result<Response, Failed> {
    added.check()?;
    if added.command.is_some() && caller.key.is_none() {
        // Whoever reaches an open port must not get to run programs as the server's user.
        let text = "a program is only added with a key of the scope `admin`";
        return Err(Fault::new(Code::Forbidden, text)
            .hint("use `rapport mcp add NAME -- COMMAND`, or write it into rapport.yaml")
            .into());
    }
    let name = added.name.clone();
    keeper(&gate)?.keep(added).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(server = name, by, "server joined");
    let joint = found(&gate, &name)?;
    Ok((StatusCode::CREATED, axum::Json(joint.whole(&gate.joined().now()))).into_response())
}

/// One joined server with its tools, the names they are offered under, and what it said last.
#[utoipa::path(get, path = "/api/v1/mcp/servers/{name}", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 200, description = "The server", body = Object),
              (status = 404, body = Problem)))]
async fn show(
    State(gate): State<Gateway>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    Ok(axum::Json(found(&gate, &name)?.whole(&gate.joined().now())))
}

/// Leaves a server that was added by the API or by `rapport mcp add`.
#[utoipa::path(delete, path = "/api/v1/mcp/servers/{name}", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 200, description = "`removed`", body = Object),
              (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    found(&gate, &name)?;
    keeper(&gate)?.forget(name.clone()).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(server = name, by, "server left");
    Ok(axum::Json(json!({"removed": name})))
}

/// From now on the server's tools count as known as they are: nothing is marked as changed.
#[utoipa::path(post, path = "/api/v1/mcp/servers/{name}/accept", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 200, description = "The server", body = Object),
              (status = 404, body = Problem)))]
async fn accept(
    State(gate): State<Gateway>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let joint = found(&gate, &name)?;
    joint.accept().await;
    Ok(axum::Json(joint.whole(&gate.joined().now())))
}

/// Tries a server that is down again now.
#[utoipa::path(post, path = "/api/v1/mcp/servers/{name}/retry", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 202, description = "It is tried"), (status = 404, body = Problem)))]
async fn restart(
    State(gate): State<Gateway>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failed> {
    found(&gate, &name)?.again();
    Ok(StatusCode::ACCEPTED)
}

pub(super) fn found(gate: &Gateway, name: &str) -> Result<std::sync::Arc<Joint>, Fault> {
    gate.joined().find(name).ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        Fault::new(Code::NotFound, format!("no server `{shown}` is joined"))
            .hint("`GET /api/v1/mcp/servers` lists them, `rapport mcp add` joins one")
    })
}

fn keeper(gate: &Gateway) -> Result<std::sync::Arc<dyn Keeper>, Fault> {
    let nobody = || Fault::new(Code::ConfigurationError, "nothing keeps servers here");
    gate.joined().keeper().ok_or_else(nobody)
}
