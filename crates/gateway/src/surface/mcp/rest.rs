//! A joined server's tools by plain REST: the same call as over MCP, for whoever speaks none.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use mcp::client::Failure;
use mcp::rpc::{Refusal, code};
use mcp::server::Stop;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault, nearest};

use super::super::body::Json;
use super::super::native::shape::Problem;
use super::super::problem::Failed;
use super::joined::One;
use super::{Who, fits};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::joined::{Down, Ended, Joint, Wish, down_fault, name_of, whose};

/// Limit: tools that an error names.
const NAMED: usize = 20;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(call))
}

/// Whether a path is that of a joined tool, which needs what it needs over MCP.
pub(crate) fn is_tool(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/v1/mcp/servers/") else { return false };
    let mut parts = rest.split('/');
    // A server's name, the word, a tool's name.
    parts.next().is_some()
        && parts.next() == Some("tools")
        && parts.next().is_some()
        && parts.next().is_none()
}

/// The tools of a joined server that the caller may use, as the server defines them.
#[utoipa::path(get, path = "/api/v1/mcp/servers/{name}/tools", tag = "MCP",
    params(("name" = String, Path)),
    responses((status = 200, description = "`server`, `state`, `error`, `tools`", body = Object),
              (status = 404, body = Problem)))]
async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let who = Who::new(&gate, caller);
    let joint = who.server(&name).await?;
    let seen = joint.seen();
    let tools = One(&joint).tools(&who).items;
    Ok(axum::Json(json!({"server": name, "state": seen.phase.as_str(), "error": seen.error,
                         "tools": tools})))
}

/// Calls a tool of a joined server; the body is its arguments.
#[utoipa::path(post, path = "/api/v1/mcp/servers/{name}/tools/{tool}", tag = "MCP",
    request_body = Object, params(("name" = String, Path), ("tool" = String, Path)),
    responses((status = 200, description = "`server`, `tool`, `is_error`, `text`, `content`, \
               `structured_content`, `meta`, `processing_time_ms`", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 502, body = Problem), (status = 503, body = Problem),
              (status = 504, body = Problem)))]
async fn call(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((name, tool)): Path<(String, String)>,
    Json { value: arguments, .. }: Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Failed> {
    let started = Instant::now();
    let who = Who::new(&gate, caller);
    let joint = who.server(&name).await?;
    if joint.listing().of.is_empty() {
        // Nobody knows what it offers: that is no matter of the tool's name.
        let link = joint.link(whose(&who.caller)).await;
        link.map_err(|failure| down_fault(&joint, &failure))?;
    }
    let one = One(&joint);
    let definition = one.tool(&who, &tool).ok_or_else(|| no_tool(&who, &joint, &tool))?;
    if let Some(schema) = definition.get("inputSchema") {
        let place = || format!("`GET /api/v1/mcp/servers/{name}/tools` shows what it takes");
        fits::check(schema, &arguments).map_err(|fault| fault.hint(place()))?;
    }
    let mut params = Map::new();
    params.insert("name".to_owned(), tool.clone().into());
    params.insert("arguments".to_owned(), arguments.into());
    let (joint, caller) = (&joint, &who.caller);
    let wish = Wish { joint, caller, method: "tools/call", params, context: None };
    let result = Box::pin(wish.plain(&gate, Down::default())).await;
    let mut told = told(result.map_err(|ended| fault_of(joint, ended))?);
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    told.insert("server".to_owned(), name.into());
    told.insert("tool".to_owned(), tool.into());
    told.insert("processing_time_ms".to_owned(), took.into());
    Ok(axum::Json(told.into()))
}

/// A result in the words of this API; what only the server knows of goes along.
fn told(result: Value) -> Map<String, Value> {
    let mut theirs = match result {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut take = |name: &str| theirs.shift_remove(name);
    take("resultType");
    let content = take("content").filter(Value::is_array).unwrap_or_else(|| json!([]));
    let is_error = take("isError") == Some(Value::Bool(true));
    let (structured, meta) = (take("structuredContent"), take("_meta"));
    let parts = content.as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part.get("text")?.as_str()).collect();
    let mut told = Map::new();
    told.insert("is_error".to_owned(), is_error.into());
    told.insert("text".to_owned(), texts.join("\n").into());
    told.insert("content".to_owned(), content);
    told.insert("structured_content".to_owned(), structured.unwrap_or_default());
    told.insert("meta".to_owned(), meta.unwrap_or_default());
    for (name, value) in theirs {
        told.entry(name).or_insert(value);
    }
    told
}

/// Why there is no result, with its status.
fn fault_of(joint: &Joint, ended: Ended) -> Fault {
    let refusal = match ended {
        Ended::Down(fault) => return fault,
        Ended::Stop(Stop::Refuse(refusal)) => refusal,
        // Nobody is told to come back here: a task is waited for, a question has no way.
        Ended::Stop(Stop::Input(..) | Stop::Later) => Refusal::request("it asks back"),
    };
    match refusal.code {
        code::PARAMS => {
            let text = format!("the joined server `{}` refused: {}", joint.name(), refusal.message);
            Fault::new(Code::InvalidInput, text)
        }
        code::REQUEST => down_fault(joint, &Failure::Refused(refusal))
            .hint("questions of a server reach callers over MCP, at /mcp"),
        _ => down_fault(joint, &Failure::Refused(refusal)),
    }
}

/// No such tool that the caller sees, and which there are.
fn no_tool(who: &Who, joint: &Arc<Joint>, tool: &str) -> Fault {
    let server = joint.name();
    let items = One(joint).tools(who).items;
    let names: Vec<&str> = items.iter().filter_map(name_of).collect();
    let merged = who.gate.joined().now();
    // The name it has among those of all servers.
    let own = merged.tool(tool).filter(|offer| offer.joint.name() == server);
    let own = own.and_then(|offer| names.iter().find(|name| **name == offer.theirs).copied());
    let near = own.or_else(|| nearest(tool, names.iter().copied()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it offers you none".to_owned(),
        None => format!(
            "it has {}; `GET /api/v1/mcp/servers/{server}/tools` shows all",
            names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ")
        ),
    };
    // Limit: names come from strangers.
    let shown: String = tool.chars().take(100).collect();
    let text = format!("the server `{server}` has no tool `{shown}`");
    Fault::new(Code::NotFound, text)
        .hint(hint)
        .details(json!({"server": server, "tool": shown, "nearest": near}))
}
