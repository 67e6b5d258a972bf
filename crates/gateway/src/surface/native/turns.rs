//! Turns: send a message and get the answer, whole or as a stream; retry, cancel, preview.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Key, Plan, StateEdit};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use wire::prompt::Knobs;
use wire::{Code, Fault};

use super::contexts::{bad_query, escape, tag, touched};
use super::read;
use super::shape::{self, NewTurn, Object, Problem, Retry};
use crate::auth::Caller;
use crate::flow::{self, Answered, Ask, Envelope, Overrides, Step};
use crate::gate::Gateway;
use crate::model::{Door, Target};
use crate::surface::body::{self, Json};
use crate::surface::door::RequestId;
use crate::surface::problem::Failed;
use crate::surface::stream::{self, Shape};

/// What was sent of the context: entries, tokens, cut or not, epoch, cache.
const WINDOW_HEADER: HeaderName = HeaderName::from_static("x-rapport-window");
const SHAPE: Shape = Shape { done: shape::turn, failed: |_| Map::new() };

/// Sends a message to the model and keeps both.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/turns", tag = "turns",
    params(("id" = String, Path)), request_body = NewTurn,
    responses((status = 200, description = "The turn; with `stream` Server-Sent Events `start`, \
                `delta`, `thinking`, `tool`, then `done` or `error`", body = Object),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 502, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn send(
    State(gate): State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: asked, bytes }: Json<NewTurn>,
) -> Result<Response, Failed> {
    let (Extension(caller), Extension(request)) = who;
    let key = read::key(&caller, &id)?;
    let streamed = asked.stream || stream::wanted(&headers);
    let background = asked.background;
    let place = format!("turns/{id}");
    let idem = read::idem(&headers, asked.request_id.as_deref(), &place, &bytes)?;
    let expect = read::expected(&headers)?;
    let envelope = Envelope::new(&caller, &request.0, &headers);
    let ask = Ask { idem, expect, envelope, ..ask(key.clone(), asked)? };
    if background {
        return Ok(touched(behind(&gate, ask).await?, &key));
    }
    if streamed {
        let gate = gate.clone();
        let start = move |steps| -> stream::Turning {
            Box::pin(async move { flow::turn(&gate, ask, Some(steps)).await })
        };
        return stream::respond(start, request.0, SHAPE).await;
    }
    let answered = flow::turn(&gate, ask, None).await?;
    Ok(touched(whole(&answered), &key))
}

/// Starts a turn and does not wait for it: `202` as soon as the question is stored.
async fn behind(gate: &Gateway, ask: Ask) -> Result<Response, Fault> {
    let (steps, mut came) = mpsc::channel(flow::STEPS_MAX);
    let (own, place) = (gate.clone(), format!("/api/v1/contexts/{}", escape(&ask.key.id)));
    let mut turn = gate
        .tasks()
        .spawn("background turn", async move { flow::turn(&own, ask, Some(steps)).await });
    let lost = |error| Fault::internal("the turn was cut off").because(error);
    let Some(step) = came.recv().await else {
        // It was answered, or refused, before it began.
        return turn.await.map_err(lost)?.map(|answered| whole(&answered));
    };
    let Step::Start { context, turn: number, model, provider } = step else {
        return turn.await.map_err(lost)?.map(|answered| whole(&answered));
    };
    // Nobody reads the steps any more; the turn goes on without them.
    drop(came);
    let body = json!({
        "context_id": &*context, "turn": number, "model": model, "provider": provider,
        "status": "running", "poll": format!("{place}/turns/{number}"),
        "stream": format!("{place}/turns/{number}/stream"),
        "cancel": format!("{place}/turns/cancel"),
        "events": format!("{place}/events?after=now"),
    });
    // An offline model has answered by now.
    if let Ok(Ok(Ok(done))) = tokio::time::timeout(std::time::Duration::ZERO, &mut turn).await {
        return Ok(whole(&done));
    }
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

fn ask(key: Key, asked: NewTurn) -> Result<Ask, Fault> {
    read::in_range(asked.temperature, "temperature", 2.0)?;
    read::in_range(asked.top_p, "top_p", 1.0)?;
    let content = read::content(&asked.message, "message")?;
    Ok(Ask {
        key,
        create: false,
        before: Vec::new(),
        content,
        state: asked.state.map(|Object(state)| StateEdit::MergePatch(state)),
        remember_last: false,
        door: Door::Context,
        overrides: Overrides {
            model: asked.model,
            system: asked.system,
            tools: Vec::new(),
            joined: asked.tools.as_ref().map(flow::ToolPlan::parse).transpose()?,
            knobs: Knobs {
                max_tokens: asked.max_tokens,
                temperature: asked.temperature,
                top_p: asked.top_p,
                stop: asked.stop.unwrap_or_default(),
                extra: asked.parameters.unwrap_or_default().0,
                ..Knobs::default()
            },
            window: asked.window.as_ref().map(Plan::parse).transpose()?,
            private: None,
        },
        idem: None,
        expect: None,
        envelope: Envelope::default(),
        meta: context::Map::new(),
    })
}

/// Asks the model once more about the last message, whose turn failed.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/turns/retry", tag = "turns",
    params(("id" = String, Path)), request_body = Retry,
    responses((status = 200, description = "The turn", body = Object),
              (status = 409, description = "No turn failed", body = Problem)))]
pub(crate) async fn retry(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    request_body: axum::extract::Request,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let streamed_by_header = stream::wanted(request_body.headers());
    let expect = read::expected(request_body.headers())?;
    let envelope = Envelope::new(&caller, &request.0, request_body.headers());
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request_body.into_body(), &limits).await?;
    let asked: Retry = if bytes.is_empty() {
        Retry::default()
    } else {
        body::parse_object(&bytes, limits.json_depth)?
    };
    read::still(&gate, &key, expect).await?;
    let asks = (Overrides { model: asked.model, ..Overrides::default() }, envelope);
    if asked.stream || streamed_by_header {
        let (gate, key) = (gate.clone(), key.clone());
        let start = move |steps| -> stream::Turning {
            Box::pin(async move { flow::retry(&gate, key, asks, Some(steps)).await })
        };
        return stream::respond(start, request.0, SHAPE).await;
    }
    let answered = flow::retry(&gate, key.clone(), asks, None).await?;
    Ok(touched(whole(&answered), &key))
}

/// Stops the running turn; what the model has said so far is kept as a partial reply.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/turns/cancel", tag = "turns",
    params(("id" = String, Path)),
    responses((status = 200, description = "`cancelled` tells whether a turn ran", body = Object)))]
pub(crate) async fn cancel(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    gate.contexts().get(&key).await?;
    let cancelled = gate.desk().stop(&key);
    Ok(touched(axum::Json(json!({"cancelled": cancelled})).into_response(), &key))
}

/// Which model the preview is for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct WindowQuery {
    /// As in a turn.
    model: Option<String>,
    /// `budget`, `full`, `last`, `summary` or `hierarchical`, instead of the context's.
    strategy: Option<String>,
    /// With `last`: how many turns.
    turns: Option<u32>,
    /// Tokens that messages may fill.
    tokens: Option<u32>,
    /// So many older messages that fit the newest one are told again.
    recall: Option<u32>,
    /// Results of tools older than so many turns are cleared when a cut is due.
    clear_tools: Option<u32>,
    /// What would be said: the answer is then the request of that turn, to the byte.
    message: Option<String>,
}

impl WindowQuery {
    /// The plan that the parameters choose; `None` without any.
    fn plan(&self) -> Result<Option<Plan>, Fault> {
        let mut map = Map::new();
        map.extend(self.strategy.clone().map(|word| ("strategy".to_owned(), word.into())));
        let numbers = [
            ("turns", self.turns),
            ("tokens", self.tokens),
            ("recall", self.recall),
            ("clear_tools", self.clear_tools),
        ];
        for (name, number) in numbers {
            map.extend(number.map(|number| (name.to_owned(), number.into())));
        }
        (!map.is_empty()).then(|| Plan::parse(&Value::Object(map))).transpose()
    }
}

/// The exact request that would go to the model now, and what no longer fits.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/window", tag = "turns",
    params(("id" = String, Path), WindowQuery),
    responses((status = 200, description = "The request without secrets", body = Object)))]
pub(crate) async fn window(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<WindowQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let mount = gate.through(&key).await;
    let found = gate.contexts().get(&key).await?;
    let overrides = Overrides { window: query.plan()?, ..Overrides::default() };
    let wanted = query.model.or(found.settings.model);
    let question = query.message.map(context::Content::Text);
    let answer = match gate.now().models.resolve(wanted.as_deref(), Door::Context)? {
        Target::Upstream(upstream) => {
            let about = (&overrides, question);
            axum::Json(flow::preview(&gate, &upstream, &key, about).await?).into_response()
        }
        Target::Offline(model) => axum::Json(json!({
            "model": model.name(), "provider": "offline", "body": Value::Null,
            "messages": found.size.messages, "tokens_estimated": found.size.tokens,
            "cut": Value::Null,
            "note": "an offline model answers inside the program; nothing is sent",
        }))
        .into_response(),
    };
    Ok(super::mounts::marked(touched(answer, &key), mount.as_ref()))
}

fn whole(answered: &Answered) -> Response {
    let mut response = axum::Json(shape::turn(answered)).into_response();
    tag(&mut response, answered.turn.revision);
    let facts = flow::window_line(&answered.turn.message.meta);
    if let Some(value) = facts.and_then(|line| HeaderValue::from_str(&line).ok()) {
        response.headers_mut().insert(WINDOW_HEADER, value);
    }
    response
}

/// A turn of plain text, as the doors of the context API ask for it.
pub(crate) fn plain_ask(key: Key, text: String, door: Door) -> Ask {
    Ask {
        key,
        create: false,
        before: Vec::new(),
        content: context::Content::Text(text),
        state: None,
        remember_last: false,
        door,
        overrides: Overrides::default(),
        idem: None,
        expect: None,
        envelope: Envelope::default(),
        meta: context::Map::new(),
    }
}

/// The parameters that loosely shaped doors accept beside the message.
pub(crate) fn loose_overrides(map: &Map<String, Value>) -> Result<Overrides, Fault> {
    let number = |field: &str, top: f64| -> Result<Option<f64>, Fault> {
        let value = match map.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| crate::surface::fields::wrong(field, "a number", value))?,
        };
        read::in_range(Some(value), field, top)?;
        Ok(Some(value))
    };
    let max_tokens = match map.get("max_tokens") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let whole = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            Some(whole.ok_or_else(|| {
                Fault::new(
                    Code::InvalidInput,
                    format!("`max_tokens` must be 1 or more, got {value}"),
                )
                .details(json!({"field": "max_tokens"}))
            })?)
        }
    };
    Ok(Overrides {
        model: crate::surface::fields::text(map, "model")?.map(str::to_owned),
        system: crate::surface::fields::text(map, "system")?.map(str::to_owned),
        tools: Vec::new(),
        joined: map
            .get("tools")
            .filter(|value| flow::ToolPlan::is_one(value))
            .map(flow::ToolPlan::parse)
            .transpose()?,
        knobs: Knobs {
            max_tokens,
            temperature: number("temperature", 2.0)?,
            top_p: number("top_p", 1.0)?,
            ..Knobs::default()
        },
        window: None,
        private: None,
    })
}
