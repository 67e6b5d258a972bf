//! Context API, third shape: `/v1/predict`, `/v1/context/set`, `/v1/model/status`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use context::{Edit, Key, Map, New, NewEntry, StateEdit};
use http::HeaderMap;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::prompt::Role;
use wire::{Code, Fault};

use super::body::Json;
use super::door::RequestId;
use super::fields;
use super::native::contexts::{one_of, touched};
use super::native::shape::{NewMessage, Object, Problem, with_confidence};
use super::native::{read, turns};
use super::problem::Failed;
use super::stream::{self, Shape};
use crate::auth::{self, Caller};
use crate::flow::{self, Answered, Ask, Envelope};
use crate::gate::Gateway;
use crate::model::Door;

const SHAPE: Shape = Shape { done: output, failed: |_| Map::new() };

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(predict)).routes(routes!(set)).routes(routes!(model_status))
}

/// Runs one inference: `{session_id?, model?, input | messages, parameters?, stream?}`.
#[utoipa::path(post, path = "/v1/predict", tag = "context API", request_body = Object,
    responses((status = 200, description = "`id`, `model`, `output`, `usage`, \
                `processing_time_ms`, `session_id`", body = Object),
              (status = 400, body = Problem)))]
async fn predict(
    State(gate): State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    headers: HeaderMap,
    Json { value: Object(asked), bytes }: Json<Object>,
) -> Result<Response, Failed> {
    let (Extension(caller), Extension(request)) = who;
    let streamed = fields::flag(&asked, "stream")? || stream::wanted(&headers);
    let named = fields::text(&asked, "request_id")?;
    let idem = read::idem(&headers, named, "predict", &bytes)?;
    let (mut earlier, ask) = question(&caller, &asked)?;
    let envelope = Envelope::new(&caller, &request.0, &headers);
    let ask = Ask { idem, envelope, ..ask };
    if !earlier.is_empty() {
        prepare(&gate, &ask.key, std::mem::take(&mut earlier)).await?;
    }
    let key = ask.key.clone();
    if streamed {
        let gate = gate.clone();
        let start = move |steps| -> stream::Turning {
            Box::pin(async move { flow::turn(&gate, ask, Some(steps)).await })
        };
        return stream::respond(start, Arc::clone(&request.0), SHAPE).await;
    }
    let answered = flow::turn(&gate, ask, None).await?;
    Ok(touched(axum::Json(output(&answered)).into_response(), &key))
}

/// What is asked now, and what was said before it.
fn question(caller: &Caller, asked: &Map) -> Result<(Vec<NewEntry>, Ask), Fault> {
    let key = match fields::id(asked)? {
        Some(id) => read::key(caller, &id)?,
        None => Key::fresh(caller.tenant),
    };
    let mut flat = fields::object(asked, "parameters")?.cloned().unwrap_or_default();
    for name in ["model", "system"] {
        if let Some(value) = asked.get(name) {
            flat.insert(name.to_owned(), value.clone());
        }
    }
    let overrides = turns::loose_overrides(&flat)?;
    let (earlier, content) = match (asked.get("input"), asked.get("messages")) {
        (Some(Value::String(text)), None) => (Vec::new(), context::Content::Text(text.clone())),
        (None, Some(Value::Array(list))) => split(list)?,
        (Some(other), None) => return Err(fields::wrong("input", "a string", other)),
        (None, Some(other)) => return Err(fields::wrong("messages", "a list", other)),
        (None, None) => return Err(fields::missing("input")),
        (Some(_), Some(_)) => {
            return Err(Fault::new(Code::InvalidInput, "send `input` or `messages`, not both"));
        }
    };
    let ask = turns::plain_ask(key, String::new(), Door::Context);
    Ok((earlier, Ask { create: true, content, overrides, ..ask }))
}

/// The last message asks; the ones before it are history.
fn split(list: &[Value]) -> Result<(Vec<NewEntry>, context::Content), Fault> {
    let mut entries = entries(list)?;
    match entries.pop() {
        Some(last) if last.role == Role::User => Ok((entries, last.content)),
        Some(_) => Err(Fault::new(Code::InvalidInput, "the last of `messages` must be the user's")),
        None => Err(Fault::new(Code::InvalidInput, "`messages` is empty")),
    }
}

fn entries(list: &[Value]) -> Result<Vec<NewEntry>, Fault> {
    let read_one = |(index, value): (usize, &Value)| {
        serde_json::from_value::<NewMessage>(value.clone())
            .map_err(|e| {
                Fault::new(Code::InvalidInput, format!("`messages[{index}]`: {e}"))
                    .details(json!({"field": format!("messages[{index}]")}))
            })
            .and_then(|message| read::entry(&message))
    };
    list.iter().enumerate().map(read_one).collect()
}

/// Puts the history into a new session, or adds it to the one that is there.
async fn prepare(gate: &Gateway, key: &Key, earlier: Vec<NewEntry>) -> Result<(), Fault> {
    match gate.contexts().append(key, earlier.clone(), None, None).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.code() == Code::ContextNotFound => {
            let new = New { id: Some(key.id.to_string()), messages: earlier, ..New::default() };
            gate.contexts().create(key.tenant, new).await.map(drop)
        }
        Err(fault) => Err(fault),
    }
}

fn output(answered: &Answered) -> Value {
    let turn = &answered.turn;
    let ms = u64::try_from(answered.elapsed.as_millis()).unwrap_or(u64::MAX);
    let out = json!({
        "id": format!("{}-{}", turn.context, turn.number),
        "model": turn.message.model,
        "output": flow::plain(&turn.message.content),
        "usage": turn.message.meta.get("usage"),
        "stop_reason": turn.message.meta.get("stop_reason"),
        "processing_time_ms": ms,
        "session_id": &*turn.context,
        "updatedContext": turn.state,
    });
    with_confidence(out, &turn.message)
}

/// Creates or updates a context in one call.
#[utoipa::path(post, path = "/v1/context/set", tag = "context API", request_body = Object,
    responses((status = 200, description = "`session_id`, `version`, `context`", body = Object),
              (status = 400, body = Problem), (status = 412, body = Problem)))]
async fn set(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json { value: Object(asked), .. }: Json<Object>,
) -> Result<Response, Failed> {
    let id = fields::id(&asked)?.ok_or_else(|| fields::missing("session_id"))?;
    let key = read::key(&caller, &id)?;
    let state = fields::object(&asked, "context")?.or(fields::object(&asked, "state")?).cloned();
    let replace = match fields::text(&asked, "mode")? {
        None | Some("merge") => false,
        Some("replace") => true,
        Some(other) => return Err(one_of("mode", other, "`merge` or `replace`").into()),
    };
    let messages = match asked.get("messages") {
        None => Vec::new(),
        Some(Value::Array(list)) => entries(list)?,
        Some(other) => return Err(fields::wrong("messages", "a list", other).into()),
    };
    let edit = Edit {
        system: fields::text(&asked, "system")?.map(|text| Some(text.to_owned())),
        settings: fields::object(&asked, "overrides")?.cloned(),
        state: state
            .map(|map| if replace { StateEdit::Replace(map) } else { StateEdit::Shallow(map) }),
        ..Edit::default()
    };
    let expect = read::expected(&headers)?;
    let changed = put(&gate, &key, edit, (messages, expect)).await?;
    let body = json!({"session_id": id, "version": changed.revision, "context": changed.state});
    Ok(touched(axum::Json(body).into_response(), &key))
}

async fn put(
    gate: &Gateway,
    key: &Key,
    edit: Edit,
    (messages, expect): (Vec<NewEntry>, Option<u64>),
) -> Result<context::Context, Fault> {
    let contexts = gate.contexts();
    let changed = match contexts.edit(key, edit.clone(), expect).await {
        Err(fault) if fault.code() == Code::ContextNotFound && expect.is_none() => {
            let new = New { id: Some(key.id.to_string()), ..New::default() };
            match contexts.create(key.tenant, new).await {
                // Another request was faster: there is a context to edit now.
                Ok(_) => contexts.edit(key, edit, None).await?,
                Err(fault) if fault.code() == Code::Conflict => {
                    contexts.edit(key, edit, None).await?
                }
                Err(fault) => return Err(fault),
            }
        }
        other => other?,
    };
    if messages.is_empty() {
        return Ok(changed);
    }
    Ok(contexts.append(key, messages, None, None).await?.0)
}

/// Every model: configured, reachable, version, latency, last error.
#[utoipa::path(get, path = "/v1/model/status", tag = "context API",
    responses((status = 200, description = "`models`", body = Object)))]
async fn model_status(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> axum::Json<Value> {
    axum::Json(json!({"models": auth::shown_models(&caller.models, &gate.now())}))
}
