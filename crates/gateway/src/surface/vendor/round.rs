//! One target after the other, for calls whose answers come whole: embeddings and rankings.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde_json::Value;
use wire::dialect::rename;
use wire::reply::Usage;
use wire::{Code, Fault};

use super::{Call, relay, walk};
use crate::model::{Door, Target, Upstream, culprit};
use crate::route::{self, Began, Open, Plan, Record, Wanted};

/// A kind of call that is answered whole.
pub(super) trait Kind: Sync {
    /// What it is called in the record.
    fn name(&self) -> &'static str;

    /// The model of ours for it.
    fn built_in(&self) -> &'static str;

    /// Whether this provider has it.
    ///
    /// # Errors
    /// Why not, and what would be right.
    fn fits(&self, upstream: &Upstream) -> Result<(), Fault>;

    /// Tokens of what is asked, as estimated.
    ///
    /// # Errors
    /// What is wrong with the request.
    fn tokens(&self, call: &Call) -> Result<u64, Fault>;

    /// Asks one target.
    fn ask(
        &self,
        call: &Call,
        upstream: &Arc<Upstream>,
    ) -> impl Future<Output = Result<Whole, Fault>> + Send;
}

/// A whole answer.
pub(super) struct Whole {
    pub(super) response: Response,
    /// Its tokens, where they were told.
    pub(super) tokens: Option<u64>,
    /// It is a refusal, in the upstream's own words.
    pub(super) refused: Option<Fault>,
}

/// Who is asked: the targets of a route, or the one that the model's name leads to.
///
/// # Errors
/// As [`route::plan`].
pub(super) fn plan(call: &Call, kind: &impl Kind) -> Result<Plan, Fault> {
    let snapshot = call.gate.now();
    let model = call.head.model.as_deref();
    let is_route = model.is_some_and(|name| snapshot.models.route(name).is_some());
    let wanted = Wanted {
        model,
        door: Door::Context,
        tenant: call.caller.tenant.0,
        models: &call.caller.models,
        headers: &call.headers,
        tokens: if is_route { kind.tokens(call)? } else { 0 },
        owner: None,
    };
    route::plan(&snapshot, call.gate.affinity(), &wanted)
}

/// Asks one target after the other until one answers; the call is written down once.
///
/// # Errors
/// The plan's fault, or that of the target that was asked last.
pub(super) async fn ask(
    call: &Call,
    kind: &impl Kind,
    plan: Result<Plan, Fault>,
) -> Result<Response, Fault> {
    let began = Began {
        id: &call.request,
        tenant: call.caller.tenant.0,
        dialect: kind.name(),
        model: call.head.model.as_deref(),
        stream: false,
        context: None,
    };
    let cases = call.gate.cases();
    let plan = plan.inspect_err(|fault| Open::refused(cases, &began, fault))?;
    let record: Record = Arc::new(Mutex::new(Open::new(cases, &plan, &began)));
    let outcome = walk(call, kind, (&plan, &record)).await;
    let mut held = record.lock();
    let mut response = outcome.inspect_err(|fault| held.failed(fault))?;
    if let Some(route) = &plan.route
        && let Ok(value) = HeaderValue::from_str(&route.name)
    {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-rapport-route"), value);
        headers.insert(HeaderName::from_static("x-rapport-attempts"), held.tries().into());
    }
    Ok(response)
}

async fn walk(
    call: &Call,
    kind: &impl Kind,
    (plan, record): (&Plan, &Record),
) -> Result<Response, Fault> {
    let mut last = Fault::internal("a plan without targets");
    for (place, target) in plan.targets.iter().enumerate() {
        let others = place + 1 < plan.targets.len();
        let upstream = match target {
            Target::Upstream(upstream) => upstream,
            Target::Offline(model) => {
                let (model, kind_name) = (model.name(), kind.name());
                let text = format!("the built-in model `{model}` makes no {kind_name}");
                let hint = format!("ask for `{}`, or for a provider's model", kind.built_in());
                last = Fault::new(Code::InvalidInput, text).hint(hint);
                continue;
            }
        };
        if let Err(fault) = kind.fits(upstream) {
            last = fault;
            continue;
        }
        let mut flight = upstream.begin();
        let outcome = kind.ask(call, upstream).await;
        let fault = match &outcome {
            Ok(whole) => whole.refused.as_ref(),
            Err(fault) => Some(fault),
        };
        let goes_on = fault.is_some_and(|fault| {
            flight.failed(culprit(fault));
            others && culprit(fault).is_elsewhere()
        });
        match outcome {
            Ok(whole) if !goes_on => {
                let mut record = record.lock();
                record.answers(Some(upstream));
                if let Some(fault) = &whole.refused {
                    record.failed(fault);
                } else {
                    flight.worked();
                    let usage = whole.tokens.map(|input| Usage { input, ..Usage::default() });
                    if let Some(usage) = &usage {
                        call.gate.metrics().spent(upstream.model(), usage);
                    }
                    record.done(usage);
                }
                return Ok(whole.response);
            }
            Ok(whole) => last = whole.refused.unwrap_or(last),
            Err(fault) if goes_on => last = fault,
            Err(fault) => return Err(fault),
        }
        tracing::info!(provider = upstream.provider(), "asking the next target: {last}");
    }
    Err(last)
}

/// The caller's own body, under the provider's name of the model.
pub(super) fn renamed(call: &Call, upstream: &Upstream) -> Bytes {
    if call.head.model.as_deref() == Some(upstream.model()) {
        call.bytes.clone()
    } else {
        rename(&call.bytes, &call.head, upstream.model()).into()
    }
}

/// Passes a body on, and takes the whole answer as it is.
///
/// # Errors
/// What kept the answer from coming, or from being one.
pub(super) async fn pass(
    call: &Call,
    upstream: &Arc<Upstream>,
    (body, path): (Bytes, &str),
) -> Result<Whole, Fault> {
    let answer = upstream.pass(body, &call.headers, (path, false)).await?;
    if !answer.status.is_success() {
        let (mut answer, fault) = upstream.fault_of(answer).await;
        let mut response = relay::headed(upstream, &answer);
        *response.body_mut() = answer.keep_whole().await.into();
        return Ok(Whole { response, tokens: None, refused: Some(fault) });
    }
    if let Some(fault) = walk::stranger(upstream, &answer) {
        return Err(fault);
    }
    let mut answer = answer;
    let mut response = relay::headed(upstream, &answer);
    let body = answer.whole().await.map_err(|ended| ended.fault)?;
    let tokens = tokens_of(&body);
    *response.body_mut() = body.into();
    Ok(Whole { response, tokens, refused: None })
}

/// The tokens an answer speaks of, in the words of any of the APIs.
fn tokens_of(body: &[u8]) -> Option<u64> {
    /// What is read of an answer: the vectors are not.
    #[derive(serde::Deserialize)]
    struct Seen {
        usage: Option<Value>,
        meta: Option<Value>,
        prompt_eval_count: Option<u64>,
    }
    let seen: Seen = serde_json::from_slice(body).ok()?;
    let usage = seen.usage.as_ref();
    let named = |name: &str| usage?.get(name)?.as_u64();
    let billed = || seen.meta.as_ref()?.pointer("/billed_units/input_tokens")?.as_u64();
    let told = named("prompt_tokens").or_else(|| named("total_tokens"));
    told.or(seen.prompt_eval_count).or_else(billed)
}
