//! The walk over the targets of a plan: whoever can answers, in the caller's own dialect.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use parking_lot::Mutex;
use wire::Fault;
use wire::dialect::{Asked, name_model, rename};
use wire::event::Event;

use super::meter::Meter;
use super::{Call, answer, relay};
use crate::client::Answer;
use crate::debug;
use crate::gate::Snapshot;
use crate::model::{Culprit, Door, Target, Upstream, culprit};
use crate::route::{self, Began, Open, Owner, Plan, Record, Wanted, copy_to};

/// Limit: bytes of an answer that are looked at before it is decided that it is one.
const PEEK_BYTES_MAX: usize = 1024 * 1024;

/// Asks one target after the other until one answers.
pub(super) async fn ask(call: Call) -> Result<Response, Fault> {
    let steps = call.gate.debugging().steps();
    if steps {
        let (about, model) = ((&call.request, call.dialect.path()), call.head.model.as_deref());
        Box::pin(debug::parsed(&call.gate, about, (model, &call.bytes))).await?;
    }
    let snapshot = call.gate.now();
    let asked = match route_of(&call, &snapshot) {
        // Only a route has to know what is asked before it decides.
        Some(_) => Some(call.asked()?),
        None => None,
    };
    let began = Began {
        id: &call.request,
        tenant: call.caller.tenant.0,
        dialect: call.dialect.name(),
        model: call.head.model.as_deref(),
        stream: call.streams(),
        context: None,
    };
    let plan = plan(&call, &snapshot, asked.as_ref())
        .inspect_err(|fault| Open::refused(call.gate.cases(), &began, fault))?;
    let record: Record = Arc::new(Mutex::new(Open::new(call.gate.cases(), &plan, &began)));
    let walk = Walk { call, plan, asked: Mutex::new(asked), record, steps };
    walk.shadow();
    let answered = walk.all().await;
    if let Err(fault) = &answered {
        walk.record.lock().failed(fault);
    }
    match answered {
        Ok(response) if steps => Box::pin(walk.held(response)).await,
        answered => answered,
    }
}

fn route_of(call: &Call, snapshot: &Snapshot) -> Option<Arc<route::RouteSettings>> {
    let default = snapshot.settings.models.default.as_deref();
    snapshot.models.route(call.head.model.as_deref().or(default)?)
}

fn plan(call: &Call, snapshot: &Snapshot, asked: Option<&Asked>) -> Result<Plan, Fault> {
    let tenant = call.caller.tenant.0;
    let prompt = asked.map(|asked| &asked.prompt);
    let wanted = Wanted {
        model: call.head.model.as_deref(),
        door: Door::Context,
        tenant,
        models: &call.caller.models,
        headers: &call.headers,
        tokens: prompt.map_or(0, super::count::estimate),
        owner: prompt.map(|prompt| Owner::of(tenant, &call.headers, prompt)),
    };
    route::plan(snapshot, call.gate.affinity(), &wanted)
}

struct Walk {
    call: Call,
    plan: Plan,
    /// The prompt, once somebody needed it.
    asked: Mutex<Option<Asked>>,
    record: Record,
    /// Step mode may hold it.
    steps: bool,
}

impl Walk {
    async fn all(&self) -> Result<Response, Fault> {
        let mut place = 0;
        if let Some(hedge) = self.plan.route.as_ref().and_then(|route| route.hedge)
            && self.plan.targets.len() > 1
            && self.call.gate.hedges().called(hedge.percent)
        {
            match self.hedged(hedge.after).await {
                Ok(response) => return Ok(response),
                Err((fault, tried)) if !self.goes_on(culprit(&fault), tried.saturating_sub(1)) => {
                    return Err(fault);
                }
                Err((_, tried)) => place = tried,
            }
        }
        while let Some(target) = self.plan.targets.get(place) {
            match Box::pin(self.one(target, place)).await {
                Ok(response) => return Ok(response),
                Err(fault) if self.goes_on(culprit(&fault), place) => place += 1,
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::internal("a plan without targets"))
    }

    /// The answer, once step mode lets it go.
    async fn held(&self, response: Response) -> Result<Response, Fault> {
        let call = &self.call;
        let about = (&call.request, call.dialect.path(), call.head.model.as_deref());
        debug::parsed_answer(&call.gate, about, (response, call.streams())).await
    }

    /// Whether the target after this one may do better.
    fn goes_on(&self, culprit: Culprit, place: usize) -> bool {
        let Some(next) = self.plan.targets.get(place + 1) else { return false };
        let window = |target: &Target| match target {
            Target::Upstream(upstream) => upstream.window_tokens(),
            Target::Offline(_) => u32::MAX,
        };
        match culprit {
            Culprit::Request => false,
            // A prompt that is too long here is not shorter there.
            Culprit::Window => {
                self.plan.targets.get(place).is_some_and(|now| window(next) > window(now))
            }
            _ => true,
        }
    }

    /// Asks the first, and after a while the second too; the first good answer counts. The number
    /// of targets that were asked comes with the fault.
    async fn hedged(&self, after: std::time::Duration) -> Result<Response, (Fault, usize)> {
        let (Some(one), Some(two)) = (self.plan.targets.first(), self.plan.targets.get(1)) else {
            return Err((Fault::internal("a hedge needs two targets"), 0));
        };
        let mut first = Box::pin(self.one(one, 0));
        let early = tokio::time::timeout(after, &mut first).await;
        match early {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(fault)) => return Err((fault, 1)),
            Err(_) => self.call.gate.hedges().sent(),
        }
        let mut second = Box::pin(self.one(two, 1));
        // Whoever loses is dropped, which closes its connection.
        tokio::select! {
            done = &mut first => match done {
                Ok(response) => Ok(response),
                Err(_) => second.await.map_err(|fault| (fault, 2)),
            },
            done = &mut second => match done {
                Ok(response) => Ok(response),
                Err(_) => first.await.map_err(|fault| (fault, 2)),
            },
        }
    }

    /// Asks one target.
    async fn one(&self, target: &Target, place: usize) -> Result<Response, Fault> {
        let response = match target {
            Target::Offline(model) => {
                let response = answer::offline(&self.call, *model, &self.asked()?);
                let mut record = self.record.lock();
                record.answers(None);
                record.done(None);
                response
            }
            Target::Upstream(upstream)
                if upstream.dialect().name() == self.call.dialect.name() && !self.rewrites() =>
            {
                self.passed(upstream, place).await?
            }
            Target::Upstream(upstream) => self.translated(upstream, place).await?,
        };
        if let (Some(owner), Target::Upstream(upstream)) = (self.plan.owner, target) {
            self.call.gate.affinity().keep(owner, upstream.provider(), upstream.model());
        }
        Ok(self.marked(response))
    }

    /// Whether the stream may go on elsewhere, so that even the same dialect is written anew.
    fn rewrites(&self) -> bool {
        let continues = self.plan.route.as_ref().is_some_and(|route| route.continues);
        continues && self.call.streams() && self.plan.targets.len() > 1
    }

    /// What is asked, read once.
    fn asked(&self) -> Result<Asked, Fault> {
        let mut held = self.asked.lock();
        if let Some(asked) = &*held {
            return Ok(asked.clone());
        }
        let asked = self.call.asked()?;
        *held = Some(asked.clone());
        Ok(asked)
    }

    /// What is asked, for who is the last to need it.
    fn taken(&self) -> Result<Asked, Fault> {
        let held = self.asked.lock().take();
        held.map_or_else(|| self.call.asked(), Ok)
    }

    fn marked(&self, mut response: Response) -> Response {
        let tries = self.record.lock().tries();
        if self.plan.route.is_some() || tries > 1 {
            let headers = response.headers_mut();
            headers.insert(HeaderName::from_static("x-rapport-attempts"), tries.into());
            if let Some(route) = &self.plan.route
                && let Ok(value) = HeaderValue::from_str(&route.name)
            {
                headers.insert(HeaderName::from_static("x-rapport-route"), value);
            }
        }
        response
    }

    /// The caller's own bytes to an upstream that speaks the same.
    async fn passed(&self, upstream: &Arc<Upstream>, place: usize) -> Result<Response, Fault> {
        let call = &self.call;
        // Some dialects have the model and the wish for a stream in the path.
        let path = call.dialect.path_for(upstream.model(), call.streams());
        let body = match call.head.model.as_deref() {
            Some(model) if model == upstream.model() => call.bytes.clone(),
            None if call.head.models.is_empty() && path == call.dialect.path() => {
                name_model(&call.bytes, upstream.model()).into()
            }
            _ => rename(&call.bytes, &call.head, upstream.model()).into(),
        };
        self.prompted(upstream, debug::Sent::Bytes(&body)).await?;
        let mut flight = upstream.begin();
        let sent = upstream.pass(body, &call.headers, (&path, call.streams())).await;
        let mut answer = sent.inspect_err(|fault| flight.failed(culprit(fault)))?;
        let mut failed = None;
        if !answer.status.is_success() {
            let (kept, fault) = upstream.fault_of(answer).await;
            answer = kept;
            let culprit = culprit(&fault);
            flight.failed(culprit);
            if self.goes_on(culprit, place) {
                answer.let_go();
                return Err(fault);
            }
            failed = Some(fault);
        } else if let Some(fault) = stranger(upstream, &answer) {
            // A page of somebody in between is no answer to anybody's question.
            flight.failed(culprit(&fault));
            answer.let_go();
            return Err(fault);
        } else if call.streams() && self.plan.targets.len() > place + 1 {
            answer = peeked(upstream, answer)
                .await
                .inspect_err(|fault| flight.failed(culprit(fault)))?;
        }
        let who = (Arc::clone(upstream), flight);
        let meter = Meter::new(call, who, (&answer, Arc::clone(&self.record)));
        {
            let mut record = self.record.lock();
            record.answers(Some(upstream));
            if let Some(fault) = &failed {
                record.failed(fault);
            }
        }
        Ok(relay::respond(upstream, answer, meter))
    }

    /// Holds what is about to be sent, where step mode says so.
    async fn prompted(&self, upstream: &Upstream, sent: debug::Sent<'_>) -> Result<(), Fault> {
        let call = &self.call;
        if !self.steps {
            return Ok(());
        }
        let about = (&call.request, call.dialect.path().to_owned(), None);
        Box::pin(debug::prompted(&call.gate, about, (upstream, sent, call.streams()))).await
    }

    /// A model of another dialect.
    async fn translated(&self, upstream: &Arc<Upstream>, place: usize) -> Result<Response, Fault> {
        let later = self.plan.targets.get(place + 1..).unwrap_or_default();
        let continues = self.rewrites();
        let next: Vec<Arc<Upstream>> = later
            .iter()
            .filter(|_| continues)
            .filter_map(|target| match target {
                Target::Upstream(upstream) => Some(Arc::clone(upstream)),
                Target::Offline(_) => None,
            })
            .collect();
        let way = answer::Way {
            upstream: Arc::clone(upstream),
            next,
            holds: !later.is_empty(),
            record: Arc::clone(&self.record),
        };
        // The last one gets what is asked itself, not a copy.
        let asked = if later.is_empty() { self.taken()? } else { self.asked()? };
        self.prompted(upstream, debug::Sent::Prompt(&asked.prompt)).await?;
        answer::translated(&self.call, way, asked).await
    }

    /// Sends copies whose answers nobody reads.
    fn shadow(&self) {
        for upstream in &self.plan.shadow {
            let Ok(asked) = self.asked() else { return };
            copy_to(&self.call.gate, upstream, asked.prompt);
        }
    }
}

/// Looks at the beginning of a stream: an error that comes before any content is no answer.
async fn peeked(upstream: &Arc<Upstream>, mut answer: Answer) -> Result<Answer, Fault> {
    let mut reader = upstream.dialect().stream();
    let (mut seen, mut bytes, mut events) = (VecDeque::new(), 0, Vec::new());
    while bytes < PEEK_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                bytes += chunk.len();
                reader.push(&chunk, &mut events);
                seen.push_back(chunk);
            }
            Ok(None) => {
                reader.finish(&mut events);
                if !events.iter().any(is_content) {
                    return Err(fault_in(&mut events).unwrap_or_else(|| empty(upstream)));
                }
                break;
            }
            Err(ended) => return Err(ended.fault),
        }
        if let Some(fault) = fault_in(&mut events) {
            return Err(fault);
        }
        if events.iter().any(is_content) {
            break;
        }
    }
    answer.put_back(seen);
    Ok(answer)
}

/// The fault of a good status with a body that is none of an API's.
pub(super) fn stranger(upstream: &Upstream, answer: &Answer) -> Option<Fault> {
    let kind = answer.headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("text/html") {
        return None;
    }
    let text = format!("provider `{}` answered with a web page", upstream.provider());
    let hint = "check that base_url leads to its API, and that no proxy or log-in page is between";
    Some(Fault::new(wire::Code::UpstreamInvalid, text).hint(hint))
}

fn empty(upstream: &Upstream) -> Fault {
    let text = format!("the answer of provider `{}` ended before it began", upstream.provider());
    Fault::new(wire::Code::UpstreamInvalid, text)
}

pub(super) fn is_content(event: &Event) -> bool {
    !matches!(event, Event::Start { .. } | Event::Ping | Event::Open { .. } | Event::Fault(_))
}

fn fault_in(events: &mut Vec<Event>) -> Option<Fault> {
    let place = events.iter().position(|event| matches!(event, Event::Fault(_)))?;
    match events.swap_remove(place) {
        Event::Fault(fault) => Some(fault),
        _ => None,
    }
}
