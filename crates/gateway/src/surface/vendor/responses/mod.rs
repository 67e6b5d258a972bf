//! OpenAI's Responses API in front of any model, with its state on contexts.
//!
//! A stored response is a context of its own, named by the response's id: the first one begins it,
//! every further one is a fork of the one it follows, which costs a row. So an id needs no table,
//! an old response can be gone on with as often as one likes, and nothing is ever renumbered.

mod behind;
mod compact;
mod items;
mod live;
mod prompted;
mod stored;
mod wish;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use context::{Key, New};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::dialect::{Asked, Link};
use wire::{Code, Fault};

pub(super) use items::{ListQuery, find, list, of, paging, shown};
pub(crate) use live::Lives;

use self::wish::Wish;
use super::remember::{self, Extra, Seat, entry};
use super::{Call, Who, history};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// What the id of a stored response begins with.
const BEGIN: &str = "resp_";

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(compact::input_tokens))
        .routes(routes!(compact::compact))
        .routes(routes!(get, delete))
        .routes(routes!(cancel))
        .routes(routes!(input_items))
}

/// OpenAI's Responses API, answered by any model. Stored unless `store` is false;
/// `previous_response_id` goes on with any stored response, `conversation` with a context;
/// `background` answers at once, and the response is asked for later.
#[utoipa::path(post, path = "/v1/responses", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A response, or its events", body = Object),
              (status = 404, description = "The previous response is not known")))]
pub(super) async fn create(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    let mut call = Call::read(gate.0, (who.0.0, who.1.0), r, "openai_responses").await?;
    prompted::apply(&mut call)?;
    compact::open(&mut call)?;
    let mut asked = call.asked()?;
    let wish = Wish::of(&mut asked)?;
    if wish.background
        && let Some((id, is_new)) = conversation(&call, &asked)
    {
        return Ok(Box::pin(converse_behind(call, (&id, is_new), (asked, wish))).await?);
    }
    if let Some(id) = call.context() {
        let extra = Extra { name: fresh(), window: wish.window, ..Extra::default() };
        return Ok(Box::pin(remember::turn_with(call, &id, asked, extra)).await?);
    }
    let after = match asked.link.clone() {
        None | Some(Link::Context(_)) if asked.store == Some(false) => {
            return Ok(Box::pin(call.answer()).await?);
        }
        Some(Link::Conversation(id)) => {
            return Ok(Box::pin(converse(call, &id, (asked, wish))).await?);
        }
        Some(Link::Response(id)) => Some(id),
        Some(Link::Context(_)) | None => None,
    };
    remember::lead(&mut asked.prompt);
    let (seat, messages) = begin(&call, after.as_deref(), &asked, &wish).await?;
    if wish.background {
        return Ok(behind::start(call, (seat, messages), (asked, None)).await?);
    }
    let (gate, key) = (call.gate.clone(), seat.key.clone());
    match remember::turn_in(&call, seat, &asked).await {
        Ok(response) => Ok(response),
        Err(fault) => {
            remember::forget(&gate, &key, messages).await;
            Err(fault.into())
        }
    }
}

/// A turn of a conversation; the response is kept under its own id too, as a fork of it.
async fn converse(
    call: Call,
    id: &str,
    (mut asked, wish): (Asked, Wish),
) -> Result<Response, Fault> {
    let key = Key::new(call.caller.tenant, id)?;
    call.gate.contexts().get(&key).await.map_err(|fault| no_conversation(fault, id))?;
    asked.echo.retain(|(name, _)| name != "conversation");
    let echo = stored::raw(&json!({"id": id})).map(|raw| ("conversation".to_owned(), raw));
    asked.echo.extend(echo);
    let name = fresh();
    let copy = (asked.store != Some(false)).then(|| metadata(None, &asked, &wish));
    let extra = Extra { name, window: wish.window, copy };
    Box::pin(remember::turn_with(call, id, asked, extra)).await
}

/// The conversation that a call names, and whether it may begin by that.
fn conversation(call: &Call, asked: &Asked) -> Option<(String, bool)> {
    match (call.context(), &asked.link) {
        (Some(id), _) => Some((id, true)),
        (None, Some(Link::Conversation(id))) => Some((id.clone(), false)),
        (None, _) => None,
    }
}

/// A response in the background of a conversation: made in a fork of it, and added to it when it
/// is there, with its question; nothing is added when it fails.
async fn converse_behind(
    call: Call,
    (id, is_new): (&str, bool),
    (mut asked, wish): (Asked, Wish),
) -> Result<Response, Fault> {
    let contexts = call.gate.contexts();
    let named = Key::new(call.caller.tenant, id)?;
    if let Err(fault) = contexts.get(&named).await {
        let is_gone = fault.code() == Code::ContextNotFound;
        if !(is_gone && is_new) {
            return Err(no_conversation(fault, id));
        }
        let new = New { id: Some(id.to_owned()), ..New::default() };
        match contexts.create(call.caller.tenant, new).await {
            // Somebody else was faster, which is as good.
            Err(fault) if fault.code() != Code::Conflict => return Err(fault),
            Ok(_) | Err(_) => {}
        }
    }
    remember::lead(&mut asked.prompt);
    remember::must_ask(&asked.prompt.messages)?;
    let place = history::place(&call.gate, &named, &asked.prompt.messages, false).await?;
    asked.prompt.messages.drain(..place.new.start);
    asked.link = None;
    asked.echo.retain(|(name, _)| name != "conversation");
    let echo = stored::raw(&json!({"id": &*place.key.id}));
    asked.echo.extend(echo.map(|raw| ("conversation".to_owned(), raw)));
    let earlier = asked.prompt.messages.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let name = fresh();
    let new = New {
        id: Some(name.clone()),
        metadata: metadata(None, &asked, &wish),
        messages: earlier.iter().map(entry).collect(),
        ..New::default()
    };
    let made = contexts.fork(&place.key, None, new).await?;
    let shared = made.fork_seq.unwrap_or(0);
    let key = Key::new(call.caller.tenant, &name)?;
    let extra = Extra { name, window: wish.window, ..Extra::default() };
    let home = Some(behind::Home { key: place.key, shared });
    behind::start(call, (Seat { key, extra }, made.size.messages), (asked, home)).await
}

/// The fault of a conversation that is not there, as its own API says it.
pub(super) fn no_conversation(fault: Fault, id: &str) -> Fault {
    match fault.code() {
        Code::ContextNotFound | Code::ContextExpired => {
            let shown: String = id.chars().take(100).collect();
            Fault::new(Code::NotFound, format!("there is no conversation `{shown}`"))
                .hint("`POST /v1/conversations` begins one")
                .details(json!({"field": "conversation"}))
        }
        _ => fault,
    }
}

fn fresh() -> String {
    format!("{BEGIN}{}", uuid::Uuid::now_v7().simple())
}

/// Makes the context of a new response, with everything that was said before its last message;
/// how many messages it begins with comes along.
async fn begin(
    call: &Call,
    after: Option<&str>,
    asked: &Asked,
    wish: &Wish,
) -> Result<(Seat, u64), Fault> {
    let id = fresh();
    let earlier = asked.prompt.messages.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let new = New {
        id: Some(id.clone()),
        metadata: metadata(after, asked, wish),
        messages: earlier.iter().map(entry).collect(),
        ..New::default()
    };
    let contexts = call.gate.contexts();
    let made = match after {
        None => contexts.create(call.caller.tenant, new).await?,
        Some(after) => {
            let before = key(&call.caller, after).map_err(|_no_key| unknown(after))?;
            contexts.fork(&before, None, new).await.map_err(|fault| missing(fault, after))?
        }
    };
    let key = Key::new(call.caller.tenant, &id)?;
    let extra = Extra { name: id, window: wish.window.clone(), ..Extra::default() };
    Ok((Seat { key, extra }, made.size.messages))
}

/// What is noted beside a stored response. A fork inherits what it does not say itself.
fn metadata(after: Option<&str>, asked: &Asked, wish: &Wish) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("kind".to_owned(), "response".into());
    if let Some(after) = after {
        out.insert("previous_response_id".to_owned(), after.into());
    }
    out.insert("background".to_owned(), wish.background.into());
    out.insert("request".to_owned(), stored::request(asked).into());
    out
}

/// The context of a stored response.
fn key(caller: &Caller, id: &str) -> Result<Key, Fault> {
    if !id.starts_with(BEGIN) {
        return Err(unknown(id));
    }
    Key::new(caller.tenant, id)
}

fn unknown(id: &str) -> Fault {
    let shown: String = id.chars().take(100).collect();
    Fault::new(Code::NotFound, format!("there is no response `{}`", shown.escape_default()))
        .hint("responses are kept unless `store` is false, until they are deleted")
        .details(json!({"field": "previous_response_id"}))
}

fn missing(fault: Fault, id: &str) -> Fault {
    match fault.code() {
        Code::ContextNotFound | Code::ContextExpired => unknown(id),
        _ => fault,
    }
}

/// A stored response; with `stream=true` its events, those after `starting_after` alone.
#[utoipa::path(get, path = "/v1/responses/{id}", tag = "model APIs",
    params(("id" = String, Path), stored::GetQuery),
    responses((status = 200, description = "The response, or its events", body = Object),
              (status = 404)))]
async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<stored::GetQuery>, QueryRejection>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    let after = stored::after(query)?;
    let found = stored::read(&gate, &key).await.map_err(|fault| missing(fault, &id))?;
    behind::settled(&gate, &key, &found).await;
    match after {
        None => Ok(axum::Json(found.value).into_response()),
        Some(after) => Ok(behind::listen(&gate, &key, &found, after)?),
    }
}

/// Deletes a stored response; those that follow it keep what they read.
#[utoipa::path(delete, path = "/v1/responses/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object), (status = 404)))]
async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    gate.contexts().delete(&key).await.map_err(|fault| missing(fault, &id))?;
    let _running = gate.desk().stop(&key);
    let told = json!({"id": id, "object": "response.deleted", "deleted": true});
    Ok(axum::Json(told).into_response())
}

/// Stops a response that is being made in the background; what it said so far is kept.
#[utoipa::path(post, path = "/v1/responses/{id}/cancel", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "The response", body = Object),
              (status = 400, description = "It was not made in the background"),
              (status = 404)))]
async fn cancel(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    let found = behind::cancel(&gate, &key).await.map_err(|fault| missing(fault, &id))?;
    Ok(axum::Json(found.value).into_response())
}

/// What a stored response was asked, with the conversation before it.
#[utoipa::path(get, path = "/v1/responses/{id}/input_items", tag = "model APIs",
    params(("id" = String, Path), ListQuery),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
async fn input_items(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    let paging = paging(query)?;
    let upto = stored::question(&gate, &key).await.map_err(|fault| missing(fault, &id))?;
    Ok(axum::Json(list(&gate, &key, &paging, Some(upto)).await?).into_response())
}
