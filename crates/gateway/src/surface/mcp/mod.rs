//! `/mcp`: the Model Context Protocol, both eras. Contexts are tools, resources and prompts.

mod find;
mod fits;
mod joined;
mod models;
mod prompts;
mod resources;
mod rest;
mod schema;
mod search;
mod tasks;
mod tools;
mod watch;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use mcp::rpc::Refusal;
use mcp::server::{About, Ask, Offers, Page, Serve, Server, Stop, Subject};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::problem::Failed;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::joined::{Joint, Knows, Seer};
use joined::One;
pub(super) use rest::is_tool;
use watch::Watched;
use wire::{Code, Fault, nearest};

/// What a model reads before it uses the tools.
const INSTRUCTIONS: &str = "Rapport keeps conversations (contexts) for any model on this machine. \
    Use context_list or context_get to look at what was said before, context_send to ask a model \
    within a conversation, context_append to keep something without asking, context_search and \
    context_recall to find what was said, and context_state for facts in JSON. Every context is \
    also the resource rapport://context/{id}.";

/// The MCP server of a gateway.
pub(crate) type Contexts = Server<Offered>;

/// The names of our own tools.
pub(crate) use tools::names as own_tools;

/// Makes the server of a gateway, or of one server that is joined to it.
pub(crate) fn server(only: Option<&Arc<Joint>>) -> Contexts {
    let mut secret = [0_u8; 32];
    if getrandom::fill(&mut secret).is_err() {
        tracing::warn!("the machine has no randomness");
    }
    Server::new(Offered { only: only.cloned(), watched: Watched::default() }, secret)
}

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(post, get, delete))
        .routes(routes!(one_post, one_get, one_delete))
        .merge(rest::routes())
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

/// One joined server alone, under its own names: requests and their answers.
#[utoipa::path(post, path = "/mcp/s/{server}", tag = "MCP", request_body = Object,
    params(("server" = String, Path)),
    responses((status = 200, description = "A JSON-RPC answer, or a stream that ends with it",
               body = Object)))]
async fn one_post(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(server): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    answer_for(gate, caller, &server, request).await
}

/// The stream of a session with one joined server.
#[utoipa::path(get, path = "/mcp/s/{server}", tag = "MCP", params(("server" = String, Path)),
    responses((status = 200, description = "Server-sent events", body = Object),
              (status = 405, description = "Without a session")))]
async fn one_get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(server): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    answer_for(gate, caller, &server, request).await
}

/// Ends a session with one joined server.
#[utoipa::path(delete, path = "/mcp/s/{server}", tag = "MCP", params(("server" = String, Path)),
    responses((status = 204, description = "It is ended"), (status = 404, description = "None")))]
async fn one_delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(server): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    answer_for(gate, caller, &server, request).await
}

async fn answer_for(
    gate: Gateway,
    caller: Caller,
    server: &str,
    request: Request,
) -> Result<Response, Failed> {
    let who = Who::new(&gate, caller);
    let joint = who.server(server).await?;
    let endpoint = gate.joined().endpoint(&joint);
    carry(&endpoint, who, request).await
}

async fn answer(gate: Gateway, caller: Caller, request: Request) -> Result<Response, Failed> {
    let who = Who::new(&gate, caller);
    let server = gate.mcp().clone();
    server.watched.begin(&gate);
    carry(&server, who, request).await
}

async fn carry(server: &Contexts, who: Who, request: Request) -> Result<Response, Failed> {
    let limits = who.gate.now().settings.limits.clone();
    let (head, body) = request.into_parts();
    let bytes = body::collect(body, &limits).await?;
    let answer = mcp::http::answer(server, who, (&head.method, &head.headers), bytes).await;
    Ok(answer.map(Body::new))
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    gate: Gateway,
    caller: Caller,
    /// The names by which rules know it.
    seer: Seer,
}

impl Who {
    fn new(gate: &Gateway, caller: Caller) -> Self {
        let seer = Seer::of(&caller, gate.keys(), &gate.joined().settings());
        Self { gate: gate.clone(), caller, seer }
    }

    /// The server of this name; one that is new is given a moment to say what it offers.
    ///
    /// # Errors
    /// `not_found` when none is joined, or none that the caller sees.
    async fn server(&self, name: &str) -> Result<Arc<Joint>, Fault> {
        let joint = self.gate.joined().known(name).await;
        joint.filter(|joint| self.seer.sees(joint)).ok_or_else(|| {
            let all = self.gate.joined().all();
            let seen = all.iter().filter(|joint| self.seer.sees(joint)).map(|joint| joint.name());
            // Limit: names come from strangers.
            let shown: String = name.chars().take(64).collect();
            let hint = match nearest(name, seen) {
                Some(near) => format!("did you mean `{near}`? `rapport mcp list` shows all"),
                None => {
                    "`rapport mcp list` shows the joined servers; all of them are at /mcp".into()
                }
            };
            Fault::new(Code::NotFound, format!("no server `{shown}` is joined")).hint(hint)
        })
    }
}

fn no_tool(name: &str) -> Refusal {
    let shown: String = name.chars().take(100).collect();
    Refusal::params(format!("there is no tool `{shown}`"))
}

/// What a gateway offers to clients of the protocol.
#[derive(Debug)]
pub(crate) struct Offered {
    /// A joined server alone, under its own names.
    only: Option<Arc<Joint>>,
    /// The contexts' changes are told.
    watched: Watched,
}

impl Offered {
    /// Whether a server that the caller sees knows this of tasks.
    fn knows(&self, who: &Who, this: impl Fn(Knows) -> bool) -> bool {
        let seen = |joint: &Arc<Joint>| who.seer.sees(joint) && this(joint.knows_tasks());
        match &self.only {
            Some(joint) => seen(joint),
            None => who.gate.joined().all().iter().any(seen),
        }
    }

    fn one(&self) -> Option<One<'_>> {
        self.only.as_ref().map(One)
    }
}

impl Serve for Offered {
    type Caller = Who;

    fn about(&self) -> About {
        if let Some(one) = self.one() {
            return one.about();
        }
        About {
            name: "rapport".to_owned(),
            title: "Rapport".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: Some(INSTRUCTIONS.to_owned()),
        }
    }

    fn offers(&self) -> Offers {
        let all = Offers {
            tools: true,
            resources: true,
            prompts: true,
            completions: true,
            ..Offers::default()
        };
        self.one().map_or(all, |one| one.offers())
    }

    async fn tools(&self, ask: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        if let Some(one) = self.one() {
            return Ok(one.tools(&ask.caller));
        }
        let who = &ask.caller;
        let mut all = tools::list(who);
        all.extend(joined::tools(who).await);
        let worded = all.into_iter().map(|tool| joined::worded(who, tool));
        Ok(worded.collect::<Vec<Value>>().into())
    }

    async fn mirrors(&self, ask: &Ask<Who>, name: &str) -> Option<Option<Arc<Value>>> {
        if let Some(one) = self.one() {
            return Some(one.definition(&ask.caller, name));
        }
        if tools::is(&ask.caller, name) {
            // No argument of ours comes in a header.
            return Some(None);
        }
        let is_there = |merged: &crate::joined::Merged| merged.tool(name).is_some();
        let merged = ask.caller.gate.joined().merged_for(is_there).await;
        let offer = merged.tool(name).filter(|offer| joined::sees(&ask.caller, offer));
        Some(offer.map(|offer| Arc::clone(&offer.definition)))
    }

    async fn call(&self, ask: &Ask<Who>, params: &Map<String, Value>) -> Result<Value, Stop> {
        if let Some(one) = self.one() {
            return one.call(ask, params).await;
        }
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        if tools::is(&ask.caller, name) {
            // A request of a session runs in a task of its own, which does not know who asks.
            let who = Some(ask.caller.caller.name());
            return Ok(Box::pin(context::acting(who, tools::call(ask, params))).await?);
        }
        let joined = Box::pin(joined::call(ask, name, params)).await;
        joined.unwrap_or_else(|| Err(no_tool(name).into()))
    }

    async fn resources(&self, ask: &Ask<Who>, cursor: Option<&str>) -> Result<Page, Refusal> {
        if let Some(one) = self.one() {
            return Ok(one.resources());
        }
        let mut page = resources::list(&ask.caller, cursor).await?;
        if page.next.is_none() {
            page.items.extend(joined::resources(&ask.caller));
        }
        Ok(page)
    }

    async fn templates(&self, ask: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        if let Some(one) = self.one() {
            return Ok(one.templates());
        }
        let mut all = resources::templates();
        all.extend(joined::templates(&ask.caller));
        Ok(all.into())
    }

    async fn read(&self, ask: &Ask<Who>, uri: &str) -> Result<Option<Value>, Stop> {
        if let Some(one) = self.one() {
            return one.read(ask, uri).await;
        }
        match Box::pin(joined::read(ask, uri)).await {
            Some(read) => read.map(Some),
            None => Ok(resources::read(&ask.caller, uri).await?),
        }
    }

    async fn prompts(&self, ask: &Ask<Who>, _: Option<&str>) -> Result<Page, Refusal> {
        if let Some(one) = self.one() {
            return Ok(one.prompts());
        }
        let mut all = prompts::list(&ask.caller);
        all.extend(joined::prompts(&ask.caller).await);
        Ok(all.into())
    }

    async fn prompt(&self, ask: &Ask<Who>, params: &Map<String, Value>) -> Result<Value, Stop> {
        if let Some(one) = self.one() {
            return one.prompt(ask, params).await;
        }
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        match Box::pin(joined::prompt(ask, name, params)).await {
            Some(prompt) => prompt,
            None => Ok(prompts::get(&ask.caller, params).await?),
        }
    }

    fn has_tasks(&self, who: &Who) -> bool {
        self.knows(who, |knows| knows != Knows::Nothing)
    }

    fn has_session_tasks(&self, who: &Who) -> bool {
        self.knows(who, |knows| knows == Knows::Takes)
    }

    fn hears(&self, who: &Who, subject: &Subject) -> bool {
        match subject {
            Subject::Task(_) => tasks::hears(who, self.only.as_ref(), subject),
            Subject::Resource(uri) => match self.one() {
                Some(one) => one.0.is_watchable(),
                None => joined::hears(who, uri),
            },
        }
    }

    fn recall(&self, who: &Who, is_meant: &(dyn Fn(&str) -> bool + Send + Sync)) -> Vec<String> {
        let all = match &self.only {
            Some(joint) => joined::uris(&joint.listing().resources),
            None => joined::uris(&joined::resources(who)),
        };
        all.into_iter().filter(|uri| is_meant(uri)).collect()
    }

    async fn task(
        &self,
        ask: &Ask<Who>,
        method: &str,
        params: &Map<String, Value>,
    ) -> Option<Result<Value, Refusal>> {
        Some(Box::pin(tasks::answer(ask, self.only.as_ref(), (method, params))).await)
    }

    async fn complete(
        &self,
        ask: &Ask<Who>,
        params: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        if let Some(one) = self.one() {
            return one.complete(ask, params).await;
        }
        if let Some(completed) = Box::pin(joined::complete(ask, params)).await {
            return completed;
        }
        let argument = params.get("argument").and_then(Value::as_object);
        let field = |name: &str| argument.and_then(|a| a.get(name)).and_then(Value::as_str);
        let (Some(name), Some(begun)) = (field("name"), field("value")) else {
            return Err(Refusal::params("`argument` must have `name` and `value`"));
        };
        let reference = params.get("ref").and_then(|held| held.get("name"));
        let kept = reference.and_then(Value::as_str).unwrap_or_default();
        let is_own = kept.is_empty() || crate::prompts::TAKEN.contains(&kept);
        let values = if name == "id" && is_own {
            resources::ids(&ask.caller, begun).await?
        } else {
            prompts::complete(&ask.caller, kept, (name, begun))
        };
        let total = values.len();
        Ok(json!({"completion": {"values": values, "total": total, "hasMore": false}}))
    }
}
