//! `/mcp`: the Model Context Protocol, both eras. Contexts are tools, resources and prompts.

mod prompts;
mod resources;
mod schema;
mod tools;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use http::HeaderMap;
use mcp::rpc::Refusal;
use mcp::server::{About, Ask, Offers, Page, Serve, Server, Stop};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::problem::Failed;
use crate::auth::Caller;
use crate::gate::Gateway;

/// What a model reads before it uses the tools.
const INSTRUCTIONS: &str = "Rapport keeps conversations (contexts) for any model on this machine. \
    Use context_list or context_get to look at what was said before, context_send to ask a model \
    within a conversation, context_append to keep something without asking, and context_state for \
    facts in JSON. Every context is also the resource rapport://context/{id}.";

/// The MCP server of a gateway.
pub(crate) type Contexts = Server<Offered>;

/// Makes the server; it belongs to the gateway that made it.
pub(crate) fn server() -> Contexts {
    let mut secret = [0_u8; 32];
    if getrandom::fill(&mut secret).is_err() {
        tracing::warn!("the machine has no randomness");
    }
    Server::new(Offered, secret)
}

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(post, get, delete))
}

/// The Model Context Protocol over Streamable HTTP: requests and their answers.
#[utoipa::path(post, path = "/mcp", tag = "MCP", request_body = Object,
    responses((status = 200, description = "A JSON-RPC answer, or a stream that ends with it",
               body = Object)))]
async fn post(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failed> {
    answer(gate, caller, request).await
}

/// The stream of a session of the Model Context Protocol: what changes.
#[utoipa::path(get, path = "/mcp", tag = "MCP",
    responses((status = 200, description = "Server-sent events", body = Object),
              (status = 405, description = "Without a session")))]
async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failed> {
    answer(gate, caller, request).await
}

/// Ends a session of the Model Context Protocol.
#[utoipa::path(delete, path = "/mcp", tag = "MCP",
    responses((status = 204, description = "It is ended"), (status = 404, description = "None")))]
async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failed> {
    answer(gate, caller, request).await
}

async fn answer(gate: Gateway, caller: Caller, request: Request) -> Result<Response, Failed> {
    let limits = gate.now().settings.limits.clone();
    let (head, body) = request.into_parts();
    let bytes = body::collect(body, &limits).await?;
    let server = gate.mcp().clone();
    let who = Who { gate, caller, headers: head.headers.clone() };
    let answer = mcp::http::answer(&server, who, (&head.method, &head.headers), bytes).await;
    Ok(answer.map(Body::new))
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    gate: Gateway,
    caller: Caller,
    #[expect(dead_code, reason = "the tool loop reads the caller's tags from them")]
    headers: HeaderMap,
}

/// What a gateway offers to clients of the protocol.
#[derive(Debug)]
pub(crate) struct Offered;

impl Serve for Offered {
    type Caller = Who;

    fn about(&self) -> About {
        About {
            name: "rapport".to_owned(),
            title: "Rapport".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: Some(INSTRUCTIONS.to_owned()),
        }
    }

    fn offers(&self) -> Offers {
        Offers { tools: true, resources: true, prompts: true, completions: true }
    }

    async fn tools(&self, _: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(tools::list().into())
    }

    async fn call(&self, ask: &Ask<Who>, params: &Map<String, Value>) -> Result<Value, Stop> {
        Ok(Box::pin(tools::call(ask, params)).await?)
    }

    async fn resources(&self, ask: &Ask<Who>, cursor: Option<&str>) -> Result<Page, Refusal> {
        resources::list(&ask.caller, cursor).await
    }

    async fn templates(&self, _: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(resources::templates().into())
    }

    async fn read(&self, ask: &Ask<Who>, uri: &str) -> Result<Option<Value>, Stop> {
        Ok(resources::read(&ask.caller, uri).await?)
    }

    async fn prompts(&self, _: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(prompts::list().into())
    }

    async fn prompt(&self, ask: &Ask<Who>, params: &Map<String, Value>) -> Result<Value, Stop> {
        Ok(prompts::get(&ask.caller, params).await?)
    }

    async fn complete(
        &self,
        ask: &Ask<Who>,
        params: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let argument = params.get("argument").and_then(Value::as_object);
        let field = |name: &str| argument.and_then(|a| a.get(name)).and_then(Value::as_str);
        let (Some(name), Some(begun)) = (field("name"), field("value")) else {
            return Err(Refusal::params("`argument` must have `name` and `value`"));
        };
        let values =
            if name == "id" { resources::ids(&ask.caller, begun).await? } else { Vec::new() };
        let total = values.len();
        Ok(json!({"completion": {"values": values, "total": total, "hasMore": false}}))
    }
}
