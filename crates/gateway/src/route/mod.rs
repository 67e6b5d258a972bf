//! Step 4: who answers a call, in which order others are asked, and why.
//!
//! A plan is made once per call from what is known in memory: no lock is held while anything is
//! waited for, nothing is read from the store. Names that are no route make a plan of one.

mod affinity;
mod case;
mod hedges;
mod order;
mod recorder;
mod settings;
mod tooled;

use std::sync::Arc;

use catalog::ModelLimit;
use http::HeaderMap;
use serde::Serialize;
use wire::Fault;

use crate::auth;
use crate::gate::Snapshot;
use crate::model::{Door, Target, Trail, Upstream};

pub(crate) use affinity::{Affinity, Owner};
pub(crate) use case::{Began, Cases, Open, Record};
pub(crate) use hedges::{Hedges, copy_to};
pub(crate) use recorder::Recorder;
pub use settings::{Hedge, NoTarget, RouteSettings, Strategy, TargetSettings, When};
pub(crate) use tooled::ToolCall;

/// What is known of a call before it is decided who answers.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The model's name as the caller wrote it.
    pub(crate) model: Option<&'a str>,
    /// Which doors' default counts.
    pub(crate) door: Door,
    /// The caller's tenant.
    pub(crate) tenant: u32,
    /// The models the caller may use.
    pub(crate) models: &'a ModelLimit,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// Tokens of the prompt, as estimated.
    pub(crate) tokens: u64,
    /// Which conversation this is, for staying with one target.
    pub(crate) owner: Option<Owner>,
}

/// Why a target stands where it stands, or was left out.
#[derive(Clone, Debug, Serialize)]
pub struct Considered {
    /// The provider; `offline` for what answers inside.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Its place in the order, from 1; nothing when it was left out.
    pub place: Option<usize>,
    /// Why.
    pub reason: String,
}

/// Who is asked, in order.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The route; nothing when a model was named.
    pub(crate) route: Option<Arc<RouteSettings>>,
    /// Who is asked. Never empty.
    pub(crate) targets: Vec<Target>,
    /// Who gets copies.
    pub(crate) shadow: Vec<Arc<Upstream>>,
    /// Why it is so.
    pub(crate) considered: Vec<Considered>,
    /// Where the conversation is to be remembered.
    pub(crate) owner: Option<Owner>,
    /// The tries of this call.
    pub(crate) trail: Arc<Trail>,
}

impl Plan {
    /// Whether a model of ours answers.
    pub(crate) fn is_offline(&self) -> bool {
        matches!(self.targets.first(), Some(Target::Offline(_)))
    }

    /// The upstreams among the targets, in order.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.targets.iter().filter_map(|target| match target {
            Target::Upstream(upstream) => Some(upstream),
            Target::Offline(_) => None,
        })
    }

    /// No plan, for the record of a call that nobody could be asked for.
    fn nobody() -> Self {
        Self {
            route: None,
            targets: Vec::new(),
            shadow: Vec::new(),
            considered: Vec::new(),
            owner: None,
            trail: Arc::default(),
        }
    }

    /// A plan of one, for a call that may go nowhere else.
    pub(crate) fn only(target: Target, why: &str) -> Self {
        let trail = Arc::<Trail>::default();
        Self {
            considered: vec![considered(&target, Some(1), why.to_owned())],
            targets: vec![traced(target, false, &trail)],
            route: None,
            shadow: Vec::new(),
            owner: None,
            trail,
        }
    }
}

/// Decides who answers.
///
/// # Errors
/// `model_not_found` or `configuration_error` when nobody can, `forbidden` when the caller's key
/// may not ask them; for a route only when that is so for all of its targets.
pub(crate) fn plan(
    snapshot: &Snapshot,
    affinity: &Affinity,
    wanted: &Wanted<'_>,
) -> Result<Plan, Fault> {
    let name = wanted.model.map(str::trim).filter(|name| !name.is_empty());
    let choice = &snapshot.settings.models;
    let name = name.or(choice.default.as_deref().filter(|_| !choice.mock));
    let Some(route) = name.and_then(|name| snapshot.models.route(name)) else {
        let target = snapshot.models.resolve(wanted.model, wanted.door)?;
        auth::may_ask(wanted.models, &target)?;
        return Ok(Plan::only(target, "the model was named, or is the default"));
    };
    order::of(snapshot, affinity, &route, wanted)
}

fn considered(target: &Target, place: Option<usize>, reason: String) -> Considered {
    Considered {
        provider: target.provider().to_owned(),
        model: target.model().to_owned(),
        place,
        reason,
    }
}

/// The target as this one call asks it.
fn traced(target: Target, hurried: bool, trail: &Arc<Trail>) -> Target {
    match target {
        Target::Upstream(upstream) => Target::Upstream(Arc::new(upstream.for_call(hurried, trail))),
        offline @ Target::Offline(_) => offline,
    }
}
