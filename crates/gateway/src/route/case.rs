//! What is written down of a model call: one record, however the call ends.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use wire::Fault;
use wire::reply::Usage;

use super::{Considered, Plan};
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
    pub(crate) at: String,
    /// The dialect of the caller.
    pub(crate) dialect: &'static str,
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
    /// Until the answer began, in milliseconds.
    pub(crate) first_ms: Option<f64>,
    /// Tokens as the provider counts them.
    pub(crate) usage: Option<Value>,
    /// The cost in US dollars; nothing when usage or price are not known.
    pub(crate) cost_usd: Option<f64>,
    /// Why the cost is what it is.
    pub(crate) cost_note: String,
}

/// The last calls of this process.
#[derive(Debug, Default)]
pub(crate) struct Cases(Mutex<VecDeque<Arc<Case>>>);

impl Cases {
    fn keep(&self, case: Case) {
        let mut cases = self.0.lock();
        if cases.len() >= CASES_MAX {
            cases.pop_front();
        }
        cases.push_back(Arc::new(case));
    }

    /// A tenant's call.
    pub(crate) fn find(&self, tenant: u32, id: &str) -> Option<Arc<Case>> {
        let cases = self.0.lock();
        cases.iter().rev().find(|case| case.tenant == tenant && &*case.id == id).cloned()
    }

    /// A tenant's last calls, the newest first.
    pub(crate) fn last(&self, tenant: u32, count: usize) -> Vec<Arc<Case>> {
        let cases = self.0.lock();
        cases.iter().rev().filter(|case| case.tenant == tenant).take(count).cloned().collect()
    }
}

/// A call under way: written down when it drops.
#[derive(Debug)]
pub(crate) struct Open {
    cases: Arc<Cases>,
    trail: Arc<Trail>,
    case: Option<Case>,
    usage: Option<Usage>,
    answerer: Option<Arc<Upstream>>,
}

/// What is known of a call when it begins.
#[derive(Debug)]
pub(crate) struct Began<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) tenant: u32,
    pub(crate) dialect: &'static str,
    pub(crate) model: Option<&'a str>,
    pub(crate) stream: bool,
}

impl Open {
    /// Opens the record of a call.
    pub(crate) fn new(cases: &Arc<Cases>, plan: &Plan, began: &Began<'_>) -> Self {
        let route = plan.route.as_ref().map(|route| {
            json!({"name": route.name, "strategy": route.strategy.name(),
                   "sticky": route.sticky, "continue": route.continues})
        });
        let case = Case {
            id: Arc::clone(began.id),
            tenant: began.tenant,
            at: Timestamp::now().to_string(),
            dialect: began.dialect,
            model_asked: began.model.map(ToOwned::to_owned),
            stream: began.stream,
            route,
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
        Self { cases: Arc::clone(cases), trail, case: Some(case), usage: None, answerer: None }
    }

    /// The answer begins, and this is who gives it.
    pub(crate) fn answers(&mut self, upstream: Option<&Arc<Upstream>>) {
        let first = self.elapsed_ms();
        if let Some(case) = &mut self.case {
            case.first_ms = Some(first);
            let name = upstream.map_or("offline", |upstream| upstream.provider());
            case.provider = Some(name.to_owned());
            case.model = upstream.map(|upstream| upstream.model().to_owned());
        }
        self.answerer = upstream.cloned();
    }

    /// The answer is complete.
    pub(crate) fn done(&mut self, usage: Option<Usage>) {
        self.usage = usage;
        if let Some(case) = &mut self.case {
            "ok".clone_into(&mut case.outcome);
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

impl Drop for Open {
    fn drop(&mut self) {
        let took = self.elapsed_ms();
        let Some(mut case) = self.case.take() else { return };
        case.took_ms = took;
        case.attempts = self.trail.attempts();
        case.usage = self.usage.as_ref().map(crate::flow::usage_value);
        let known = self.answerer.as_ref().and_then(|upstream| upstream.known());
        let cost = self.answerer.as_ref().zip(self.usage.as_ref());
        let cost = cost.and_then(|(upstream, usage)| upstream.price_of(usage));
        case.cost_note = match (&self.answerer, &self.usage, known, cost) {
            (None, ..) => "nobody outside was paid".to_owned(),
            (_, None, ..) => "the provider did not say how many tokens it used".to_owned(),
            (_, _, None, _) => "the model has no price in the table".to_owned(),
            (.., None) => "the model's price is not complete".to_owned(),
            (_, _, Some(model), Some(_)) => format!("by the price of `{}` in the table", model.id),
        };
        case.cost_usd = cost.map(|micro| f64::from(u32::try_from(micro).unwrap_or(u32::MAX)) / 1e6);
        if case.provider.as_deref() == Some("offline") {
            case.cost_usd = Some(0.0);
        }
        self.cases.keep(case);
    }
}
