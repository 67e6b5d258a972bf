//! For developers: what is in memory, and step mode. Off unless `debug` is set.

mod dump;

use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::contexts::bad_query;
use super::shape::Problem;
use crate::auth::Caller;
use crate::debug::Debugger;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// Limit: contexts, messages of each and calls of one dump.
const CONTEXTS_MAX: u32 = 100;
const MESSAGES_MAX: u32 = 50;
const EXCHANGES_MAX: u32 = 200;
/// Limit: rules at the same time.
const RULES_MAX: usize = 20;

/// How much of what is in memory to show.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DumpQuery {
    /// Contexts, the last used first, 0 to 100; 20 if absent.
    contexts: Option<u32>,
    /// Messages of each, the newest, 0 to 50; 5 if absent.
    messages: Option<u32>,
    /// Model calls, the newest, 0 to 200; 20 if absent.
    exchanges: Option<u32>,
    /// Only this context.
    context: Option<String>,
}

/// The body of `PUT /api/v1/debug/steps`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskSteps {
    /// Such as `at=prompt path=/v1/*`: words of the rules of `rapport inspect`. Without a rule all
    /// calls pass, and those that wait go on.
    rules: Vec<String>,
}

/// Whoever may look into the server: an administrator on this machine, where `debug` is set.
fn admitted<'a>(gate: &'a Gateway, caller: &Caller) -> Result<&'a dyn Debugger, Fault> {
    if !caller.peer.is_local() {
        return Err(Fault::new(Code::Forbidden, "debugging is for callers on this machine alone")
            .hint("run the command on the server's machine, or forward its port with `ssh -L`"));
    }
    let by = gate.debugging().by().filter(|_| gate.now().settings.debug);
    by.ok_or_else(|| {
        Fault::new(Code::NotFound, "debugging is switched off")
            .hint("set `debug: true` (or DEBUG_MODE=true) on a server for development")
    })
}

fn limited(name: &str, wanted: Option<u32>, (usual, most): (u32, u32)) -> Result<u32, Fault> {
    let count = wanted.unwrap_or(usual);
    if count <= most {
        return Ok(count);
    }
    let text = format!("`{name}` cannot be {count}: write 0 to {most}");
    Err(Fault::new(Code::InvalidInput, text).details(json!({"field": name})))
}

/// What is in memory, the last used contexts with their last messages, and the last model calls:
/// without secrets, long texts cut. Only with `debug: true`, for administrators on this machine.
#[utoipa::path(get, path = "/api/v1/debug", tag = "debugging", params(DumpQuery),
    responses((status = 200, description = "`memory`, `contexts`, `exchanges`", body = Object),
              (status = 404, description = "Debugging is switched off", body = Problem)))]
pub(crate) async fn dump(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<DumpQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let by = admitted(&gate, &caller)?;
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let wanted = dump::Wanted {
        contexts: limited("contexts", query.contexts, (20, CONTEXTS_MAX))?,
        messages: limited("messages", query.messages, (5, MESSAGES_MAX))?,
        exchanges: limited("exchanges", query.exchanges, (20, EXCHANGES_MAX))?,
        context: query.context.filter(|id| !id.is_empty()),
    };
    Ok(axum::Json(dump::dump(&gate, by, (caller.tenant, wanted)).await?))
}

/// The rules of step mode, and the calls that wait.
#[utoipa::path(get, path = "/api/v1/debug/steps", tag = "debugging",
    responses((status = 200, description = "`rules`, `waiting`", body = Object),
              (status = 404, description = "Debugging is switched off", body = Problem)))]
pub(crate) async fn steps(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Failed> {
    let by = admitted(&gate, &caller)?;
    Ok(axum::Json(json!({"rules": by.rules(), "waiting": by.waiting()})))
}

/// Says which calls are held where. A call goes on after a minute, and when its caller leaves.
#[utoipa::path(put, path = "/api/v1/debug/steps", tag = "debugging", request_body = AskSteps,
    responses((status = 200, description = "`rules`", body = Object),
              (status = 400, body = Problem),
              (status = 404, description = "Debugging is switched off", body = Problem)))]
pub(crate) async fn set_steps(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: asked, .. }: Json<AskSteps>,
) -> Result<axum::Json<Value>, Failed> {
    let by = admitted(&gate, &caller)?;
    let wrong = |text| Fault::new(Code::InvalidInput, text).details(json!({"field": "rules"}));
    if asked.rules.len() > RULES_MAX {
        let text = format!("{} rules are too many: {RULES_MAX} at most", asked.rules.len());
        return Err(wrong(text).into());
    }
    gate.debugging().set_rules(&asked.rules).map_err(wrong)?;
    tracing::info!(rules = asked.rules.len(), "step mode set");
    Ok(axum::Json(json!({"rules": by.rules()})))
}

/// One call that waits.
#[utoipa::path(get, path = "/api/v1/debug/steps/{number}", tag = "debugging",
    params(("number" = u64, Path)),
    responses((status = 200, description = "The call", body = Object),
              (status = 404, description = "It does not wait", body = Problem)))]
pub(crate) async fn step(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let by = admitted(&gate, &caller)?;
    let wanted: Option<u64> = number.parse().ok();
    let found = by.waiting().into_iter().find(|waiting| Some(waiting.number) == wanted);
    Ok(axum::Json(json!(found.ok_or_else(|| unknown(&number))?)))
}

/// Lets a call that waits go on.
#[utoipa::path(post, path = "/api/v1/debug/steps/{number}/go", tag = "debugging",
    params(("number" = u64, Path)),
    responses((status = 200, description = "`let_go`", body = Object),
              (status = 404, description = "It does not wait", body = Problem)))]
pub(crate) async fn go(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let number = decided(&gate, &caller, (&number, true))?;
    Ok(axum::Json(json!({"let_go": number})))
}

/// Ends a call that waits: its caller gets the error `cancelled`.
#[utoipa::path(post, path = "/api/v1/debug/steps/{number}/drop", tag = "debugging",
    params(("number" = u64, Path)),
    responses((status = 200, description = "`dropped`", body = Object),
              (status = 404, description = "It does not wait", body = Problem)))]
pub(crate) async fn drop(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let number = decided(&gate, &caller, (&number, false))?;
    Ok(axum::Json(json!({"dropped": number})))
}

fn decided(gate: &Gateway, caller: &Caller, (text, goes_on): (&str, bool)) -> Result<u64, Fault> {
    let by = admitted(gate, caller)?;
    let number = text.parse().ok().filter(|number| by.decide(*number, goes_on));
    number.ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> Fault {
    let shown: String = text.chars().take(20).collect();
    Fault::new(Code::NotFound, format!("no call with the number `{shown}` waits"))
        .hint("`rapport debug waiting`, or `GET /api/v1/debug/steps`, lists those that do")
}
