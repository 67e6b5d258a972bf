//! What is written down of a model call: one record, however the call ends.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use ledger::Terms;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use wire::Fault;
use wire::reply::Usage;

use super::recorder::Recorder;
use super::{Considered, Plan};
use crate::flow::Counts;
use crate::model::{Attempt, Trail, Upstream, culprit};

/// Limit: calls that are remembered; the oldest go first.
const CASES_MAX: usize = 2_000;

/// A finished call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    /// The request's id.
    pub(crate) id: Arc<str>,
    #[serde(skip)]
    pub(crate) tenant: u32,
    /// When it came.
    #[serde(serialize_with = "as_text")]
    pub(crate) at: Timestamp,
    /// The dialect of the caller; `context` for the shapes of the context API.
    pub(crate) dialect: &'static str,
    /// The context whose turn it was.
    pub(crate) context: Option<Arc<str>>,
    /// The number of the turn, from 1; nothing when it never began.
    pub(crate) turn: Option<u64>,
    /// The model the caller asked for.
    pub(crate) model_asked: Option<String>,
    /// The answer was streamed.
    pub(crate) stream: bool,
    /// The route, and how it shares its calls.
    pub(crate) route: Option<Value>,
    /// Who was to be asked, and why.
    pub(crate) plan: Vec<Considered>,
    /// Every try.
    pub(crate) attempts: Vec<Attempt>,
    /// `ok`, `hung_up`, or the code of the fault.
    pub(crate) outcome: String,
    /// Who is to blame.
    pub(crate) culprit: Option<&'static str>,
    /// Who answered.
    pub(crate) provider: Option<String>,
    /// With which model.
    pub(crate) model: Option<String>,
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub(crate) took_ms: f64,
    /// Until the first word of the answer, in milliseconds.
    pub(crate) first_ms: Option<f64>,
    /// Tokens as the provider counts them.
    pub(crate) usage: Option<Counts>,
    /// The cost in US dollars; nothing when usage or price are not known.
    pub(crate) cost_usd: Option<f64>,
    /// Why the cost is what it is.
    pub(crate) cost_note: String,
}

fn as_text<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(at)
}

impl Case {
    /// The record as JSON.
    pub(super) fn json(&self) -> Option<String> {
        /// What most records need, so that they need not grow while they are written.
        const ROOM: usize = 1536;
        let mut record = Vec::with_capacity(ROOM);
        serde_json::to_writer(&mut record, self).ok()?;
        String::from_utf8(record).ok()
    }

    /// Whether it goes by this name.
    fn is(&self, id: &str) -> bool {
        let turn = || {
            let (context, number) = id.rsplit_once('.')?;
            Some(self.context.as_deref()? == context && self.turn? == number.parse::<u64>().ok()?)
        };
        &*self.id == id || turn().unwrap_or(false)
    }
}

/// The finished calls: the last ones in memory, all that is kept of them in the store.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    last: Mutex<VecDeque<Arc<Case>>>,
    recorder: Option<Recorder>,
}

impl Cases {
    /// Calls that are also written down.
    pub(crate) fn over(recorder: Recorder) -> Self {
        Self { last: Mutex::default(), recorder: Some(recorder) }
    }

    /// Who writes them down.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    pub(super) fn keep(&self, case: Case) {
        let case = Arc::new(case);
        if let Some(recorder) = &self.recorder {
            recorder.keep(&case);
        }
        let mut last = self.last.lock();
        if last.len() >= CASES_MAX {
            last.pop_front();
        }
        last.push_back(case);
    }

    /// A tenant's call among the last ones: by its id, or as `CONTEXT.TURN`.
    pub(super) fn remembered(&self, tenant: u32, id: &str) -> Option<Arc<Case>> {
        let last = self.last.lock();
        let is_it = |case: &&Arc<Case>| case.tenant == tenant && case.is(id);
        last.iter().rev().find(is_it).cloned()
    }

    /// A tenant's last calls, the newest first.
    pub(super) fn last(&self, tenant: u32) -> Vec<Arc<Case>> {
        let last = self.last.lock();
        last.iter().rev().filter(|case| case.tenant == tenant).cloned().collect()
    }
}

/// A call under way: written down when it drops.
#[derive(Debug)]
pub(crate) struct Open {
    cases: Arc<Cases>,
    trail: Arc<Trail>,
    case: Option<Case>,
    usage: Option<Usage>,
    /// The provider did not say it: it is an estimate.
    guessed: bool,
    answerer: Option<Arc<Upstream>>,
}

/// The record of a call, shared by all that may answer it; written down when the last lets go.
pub(crate) type Record = Arc<Mutex<Open>>;

/// What is known of a call when it begins.
#[derive(Debug)]
pub(crate) struct Began<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) tenant: u32,
    pub(crate) dialect: &'static str,
    pub(crate) model: Option<&'a str>,
    pub(crate) stream: bool,
    /// The context whose turn it is.
    pub(crate) context: Option<&'a Arc<str>>,
}

impl Open {
    /// Opens the record of a call.
    pub(crate) fn new(cases: &Arc<Cases>, plan: &Plan, began: &Began<'_>) -> Self {
        let case = Case {
            id: Arc::clone(began.id),
            tenant: began.tenant,
            at: Timestamp::now(),
            dialect: began.dialect,
            context: began.context.cloned(),
            turn: None,
            model_asked: began.model.map(ToOwned::to_owned),
            stream: began.stream,
            route: told(plan),
            plan: plan.considered.clone(),
            attempts: Vec::new(),
            outcome: "hung_up".to_owned(),
            culprit: None,
            provider: None,
            model: None,
            took_ms: 0.0,
            first_ms: None,
            usage: None,
            cost_usd: None,
            cost_note: String::new(),
        };
        let trail = Arc::clone(&plan.trail);
        let (cases, case) = (Arc::clone(cases), Some(case));
        Self { cases, trail, case, usage: None, guessed: false, answerer: None }
    }

    /// Writes down a call for which nobody could be asked.
    pub(crate) fn refused(cases: &Arc<Cases>, began: &Began<'_>, fault: &Fault) {
        Self::new(cases, &Plan::nobody(), began).failed(fault);
    }

    /// Another plan than the one it began with.
    pub(crate) fn goes_by(&mut self, plan: &Plan) {
        self.trail = Arc::clone(&plan.trail);
        if let Some(case) = &mut self.case {
            case.route = told(plan);
            case.plan.clone_from(&plan.considered);
        }
    }

    /// Which turn of its context it is. A call without an id of its own goes by that.
    pub(crate) fn is_turn(&mut self, number: u64) {
        let Some(case) = &mut self.case else { return };
        case.turn = Some(number);
        if let Some(context) = case.context.as_deref().filter(|_| case.id.is_empty()) {
            case.id = format!("{context}.{number}").into();
        }
    }

    /// It was no call after all: an answer that was there already was given again.
    pub(crate) fn forget(&mut self) {
        self.case = None;
    }

    /// A model of ours answers, and has answered.
    pub(crate) fn answered_inside(&mut self, model: &str) {
        self.answers(None);
        self.done(None);
        if let Some(case) = &mut self.case {
            case.model = Some(model.to_owned());
        }
    }

    /// The first word of the answer is here; of an answer that two give, that of the first.
    pub(crate) fn speaks(&mut self) {
        let first = self.elapsed_ms();
        if let Some(case) = &mut self.case {
            case.first_ms.get_or_insert(first);
        }
    }

    /// This is who gives the answer; the last one named is who finishes it, and is paid for it.
    pub(crate) fn answers(&mut self, upstream: Option<&Arc<Upstream>>) {
        if let Some(case) = &mut self.case {
            let name = upstream.map_or("offline", |upstream| upstream.provider());
            case.provider = Some(name.to_owned());
            case.model = upstream.map(|upstream| upstream.model().to_owned());
        }
        self.answerer = upstream.cloned();
    }

    /// The answer is complete.
    pub(crate) fn done(&mut self, usage: Option<Usage>) {
        // A whole answer comes with its first word, and an empty one ends with it.
        self.speaks();
        // An answer that used nothing is one whose provider did not say what it used.
        self.usage = usage.filter(|usage| *usage != Usage::default());
        self.guessed = false;
        if let Some(case) = &mut self.case {
            "ok".clone_into(&mut case.outcome);
        }
    }

    /// What was used as far as can be told from outside, where the provider does not say it.
    pub(crate) fn guessed(&mut self, usage: Usage) {
        if self.usage.is_none() {
            (self.usage, self.guessed) = (Some(usage), true);
        }
    }

    /// There is no answer, or no whole one.
    pub(crate) fn failed(&mut self, fault: &Fault) {
        if let Some(case) = &mut self.case {
            fault.code().as_str().clone_into(&mut case.outcome);
            case.culprit = Some(culprit(fault).as_str());
        }
    }

    /// The tries so far.
    pub(crate) fn tries(&self) -> u32 {
        self.trail.tried()
    }

    fn elapsed_ms(&self) -> f64 {
        (self.trail.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

/// The route of a plan, as it is written down.
fn told(plan: &Plan) -> Option<Value> {
    let route = plan.route.as_ref()?;
    Some(json!({"name": route.name, "strategy": route.strategy.name(),
                "sticky": route.sticky, "continue": route.continues}))
}

impl Drop for Open {
    fn drop(&mut self) {
        let took = self.elapsed_ms();
        let Some(mut case) = self.case.take() else { return };
        case.took_ms = took;
        case.attempts = self.trail.attempts();
        case.usage = self.usage.as_ref().map(|usage| Counts::new(usage, self.guessed));
        let known = self.answerer.as_ref().and_then(|upstream| upstream.known());
        let cost = known.zip(self.usage.as_ref());
        let cost = cost.and_then(|(known, usage)| ledger::cost(known, usage, Terms::default()));
        let cost = cost.map(|cost| cost.micro_usd);
        case.cost_note = match (&self.answerer, &self.usage, known, cost) {
            (None, ..) => "nobody outside was paid".to_owned(),
            (_, None, ..) => "the provider did not say how many tokens it used".to_owned(),
            (_, _, None, _) => "the model has no price in the table".to_owned(),
            (.., None) => "the model's price is not complete".to_owned(),
            (_, _, Some(model), Some(_)) => format!("by the price of `{}` in the table", model.id),
        };
        if self.guessed {
            let note = std::mem::take(&mut case.cost_note);
            case.cost_note =
                format!("estimated, because the provider did not say its tokens; {note}");
        }
        case.cost_usd = cost.map(|micro| f64::from(u32::try_from(micro).unwrap_or(u32::MAX)) / 1e6);
        if case.provider.as_deref() == Some("offline") {
            case.cost_usd = Some(0.0);
        }
        self.cases.keep(case);
    }
}
