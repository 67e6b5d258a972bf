//! The order in which the targets of a route are asked.

use std::sync::Arc;

use tokio::time::Instant;
use wire::reply::Usage;
use wire::{Code, Fault};

use super::{Affinity, Considered, Plan, RouteSettings, Strategy, TargetSettings, Wanted, When};
use super::{considered, traced};
use crate::auth;
use crate::gate::Snapshot;
use crate::model::{HealthState, Target, Trail, Upstream, dice};

/// Tokens of an answer that is not there yet, for comparing costs.
const ANSWER_TOKENS: u64 = 500;
/// The part of all answers that counts, where weights are compared.
const PARTS: u64 = 1_000_000;

/// A target that may be asked.
struct Candidate {
    target: Target,
    weight: u32,
    reason: String,
}

/// The plan of a route for one call.
pub(super) fn of(
    snapshot: &Snapshot,
    affinity: &Affinity,
    route: &Arc<RouteSettings>,
    wanted: &Wanted<'_>,
) -> Result<Plan, Fault> {
    let mut left_out = Vec::new();
    let mut broken = None;
    let mut candidates = Vec::new();
    let mut take = |setting: &TargetSettings, reason: &str| -> Option<Candidate> {
        if let Err(why) = fits(&setting.when, wanted) {
            left_out.push(missing(setting, why));
            return None;
        }
        let found = snapshot.models.resolve(Some(&setting.model), wanted.door);
        let found = found.and_then(|target| may(route, wanted, &target).map(|()| target));
        match found {
            Ok(target) => {
                let reason = reason.to_owned();
                Some(Candidate { target, weight: setting.weight, reason })
            }
            Err(fault) => {
                left_out.push(missing(setting, fault.text().to_owned()));
                broken = Some(fault);
                None
            }
        }
    };
    for setting in &route.targets {
        candidates.extend(take(setting, ""));
    }
    // Who stays where it is takes nobody's turn.
    let stays = wanted.owner.filter(|_| route.sticky).and_then(|owner| affinity.find(owner));
    if route.strategy == Strategy::RoundRobin && stays.is_none() && candidates.len() > 1 {
        let turn = affinity.round(&route.name) % candidates.len();
        candidates.rotate_left(turn);
    }
    sort(route.strategy, &mut candidates, wanted);
    if let Some(canary) = route.canary.as_ref().and_then(|canary| take(canary, "it is the canary"))
    {
        candidates.retain(|other| !same(&other.target, &canary.target));
        candidates.insert(0, canary);
    } else {
        stay(affinity, route, &mut candidates, wanted);
    }
    let shadow = route.shadow.iter().filter_map(|setting| take(setting, ""));
    let shadow = shadow.filter_map(|candidate| match candidate.target {
        Target::Upstream(upstream) => Some(upstream),
        Target::Offline(_) => None,
    });
    let shadow = shadow.collect();
    rest(&mut candidates);
    let trail = Arc::<Trail>::default();
    let several = candidates.len() > 1;
    let mut list: Vec<Considered> = Vec::new();
    let mut targets = Vec::new();
    let count = candidates.len();
    for (place, candidate) in candidates.into_iter().enumerate() {
        list.push(considered(&candidate.target, Some(place + 1), candidate.reason));
        // The last one is asked as if it were the only one: there is nowhere else to go.
        targets.push(traced(candidate.target, several && place + 1 < count, &trail));
    }
    list.append(&mut left_out);
    if targets.is_empty() {
        return Err(broken.unwrap_or_else(|| nobody(route)));
    }
    let owner = wanted.owner.filter(|_| route.sticky);
    Ok(Plan { route: Some(Arc::clone(route)), targets, shadow, considered: list, owner, trail })
}

/// A key that may use a route may use all that is behind it; else each target counts by itself.
fn may(route: &RouteSettings, wanted: &Wanted<'_>, target: &Target) -> Result<(), Fault> {
    if wanted.models.allows_route(&route.name) {
        return Ok(());
    }
    auth::may_ask(wanted.models, target)
}

fn nobody(route: &RouteSettings) -> Fault {
    let text = format!("no target of the route `{}` fits this call", route.name);
    Fault::new(Code::ModelNotFound, text)
        .hint("give the route a target without conditions")
        .details(serde_json::json!({"model": route.name}))
}

fn missing(setting: &TargetSettings, reason: String) -> Considered {
    let (provider, model) = setting.model.split_once('/').unwrap_or(("", &setting.model));
    Considered { provider: provider.to_owned(), model: model.to_owned(), place: None, reason }
}

fn same(a: &Target, b: &Target) -> bool {
    a.provider() == b.provider() && a.model() == b.model()
}

/// Whether a target may be used for this call.
fn fits(when: &When, wanted: &Wanted<'_>) -> Result<(), String> {
    let header = |name: &str| wanted.headers.get(name).and_then(|v| v.to_str().ok());
    for (name, value) in &when.headers {
        if header(name) != Some(value) {
            return Err(format!("only for calls with `{name}: {value}`"));
        }
    }
    let tags = header("x-rapport-tags").unwrap_or_default();
    for tag in &when.tags {
        if !tags.split(',').any(|given| given.trim() == tag) {
            return Err(format!("only for calls with the tag `{tag}`"));
        }
    }
    if when.tenant.is_some_and(|tenant| tenant != wanted.tenant) {
        return Err("only for another tenant".to_owned());
    }
    if let Some(limit) = when.tokens_below.filter(|limit| wanted.tokens >= *limit) {
        return Err(format!("only for prompts below {limit} tokens, this has {}", wanted.tokens));
    }
    if let Some(limit) = when.tokens_from.filter(|limit| wanted.tokens < *limit) {
        return Err(format!("only for prompts from {limit} tokens, this has {}", wanted.tokens));
    }
    if let Some(percent) = when.percent {
        // A conversation is always on the same side; a call without one is on either.
        let side =
            wanted.owner.map_or_else(|| dice() * 100.0, |owner| f64::from(owner.percentile()));
        if side >= f64::from(percent) {
            return Err(format!("only for {percent} of a hundred calls"));
        }
    }
    Ok(())
}

fn sort(strategy: Strategy, candidates: &mut [Candidate], wanted: &Wanted<'_>) {
    let why = |candidates: &mut [Candidate], reason: &dyn Fn(&Candidate) -> String| {
        for candidate in candidates {
            candidate.reason = reason(candidate);
        }
    };
    match strategy {
        Strategy::Ordered => why(candidates, &|_| "by its place in the list".to_owned()),
        Strategy::RoundRobin => why(candidates, &|_| "by its turn".to_owned()),
        Strategy::Weighted => {
            weigh(candidates);
            why(candidates, &|candidate| format!("by its weight {}", candidate.weight));
        }
        Strategy::LeastInFlight => {
            let calls = |candidate: &Candidate| {
                upstream(&candidate.target).map_or(0, |upstream| upstream.health().in_flight())
            };
            candidates.sort_by_key(calls);
            why(candidates, &|candidate| format!("by its {} calls under way", calls(candidate)));
        }
        Strategy::Latency => {
            let now = Instant::now();
            let load = |candidate: &Candidate| {
                upstream(&candidate.target).map_or(0.0, |upstream| upstream.health().load(now))
            };
            candidates.sort_by(|a, b| load(a).total_cmp(&load(b)));
            choose_of_two(candidates, &load);
            why(candidates, &|candidate| {
                format!("by its expected latency, {:.0} ms", load(candidate) * 1e3)
            });
        }
        Strategy::Cheapest => {
            let cost = |candidate: &Candidate| cost(&candidate.target, wanted.tokens);
            candidates.sort_by_key(|candidate| cost(candidate).unwrap_or(u64::MAX));
            why(candidates, &|candidate| match cost(candidate) {
                Some(cost) => format!("by its cost, about {cost} millionths of a dollar"),
                None => "last, because its price is not known".to_owned(),
            });
        }
    }
}

/// The first by weight; the others follow in the order of their weights.
fn weigh(candidates: &mut [Candidate]) {
    let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
    let mut mark = dice() * f64::from(u32::try_from(total.min(PARTS)).unwrap_or(u32::MAX));
    let chosen = candidates.iter().position(|candidate| {
        mark -= f64::from(candidate.weight);
        mark < 0.0 && candidate.weight > 0
    });
    if let Some(chosen) = chosen
        && let Some(front) = candidates.get_mut(..=chosen)
    {
        front.rotate_right(1);
    }
    if let Some((_, others)) = candidates.split_first_mut() {
        others.sort_by_key(|candidate| std::cmp::Reverse(candidate.weight));
    }
}

/// Power of two choices: of two at random the better one comes first, so that not everybody runs
/// to the one that happened to be the best a moment ago.
fn choose_of_two(candidates: &mut [Candidate], load: &dyn Fn(&Candidate) -> f64) {
    let count = candidates.len();
    if count < 3 {
        return;
    }
    let pick = || {
        let scaled = dice() * f64::from(u32::try_from(count).unwrap_or(1));
        (0..count).find(|n| scaled < f64::from(u32::try_from(n + 1).unwrap_or(u32::MAX)))
    };
    let (Some(one), Some(two)) = (pick(), pick()) else { return };
    let better = match (candidates.get(one), candidates.get(two)) {
        (Some(a), Some(b)) if load(b) < load(a) => two,
        _ => one,
    };
    if let Some(front) = candidates.get_mut(..=better) {
        front.rotate_right(1);
    }
}

fn upstream(target: &Target) -> Option<&Arc<Upstream>> {
    match target {
        Target::Upstream(upstream) => Some(upstream),
        Target::Offline(_) => None,
    }
}

/// What the call will cost about; what answers inside costs nothing.
fn cost(target: &Target, tokens: u64) -> Option<u64> {
    let Some(upstream) = upstream(target) else { return Some(0) };
    let usage = Usage { input: tokens.max(1), output: ANSWER_TOKENS, ..Usage::default() };
    upstream.price_of(&usage)
}

/// A conversation stays with the target that answered it.
fn stay(
    affinity: &Affinity,
    route: &RouteSettings,
    candidates: &mut [Candidate],
    wanted: &Wanted<'_>,
) {
    let Some(before) = wanted.owner.filter(|_| route.sticky).and_then(|o| affinity.find(o)) else {
        return;
    };
    let is_it =
        |target: &Target| before.split_once('/') == Some((target.provider(), target.model()));
    let Some(place) = candidates.iter().position(|candidate| is_it(&candidate.target)) else {
        return;
    };
    if let Some(front) = candidates.get_mut(..=place) {
        front.rotate_right(1);
    }
    if let Some(first) = candidates.first_mut() {
        affinity.hit();
        first.reason = "it answered this conversation before".to_owned();
    }
}

/// Targets that are left alone go to the end; one whose time has come is looked after first.
fn rest(candidates: &mut Vec<Candidate>) {
    if candidates.len() < 2 {
        return;
    }
    let now = Instant::now();
    let mut resting = Vec::new();
    let mut awake = Vec::new();
    let mut probes = false;
    for mut candidate in candidates.drain(..) {
        let health = upstream(&candidate.target).map(|upstream| upstream.health());
        let state = health.map_or(HealthState::Closed, |health| health.state(now));
        let may = match state {
            HealthState::Closed => true,
            // One look after one target per call is enough.
            HealthState::HalfOpen if !probes => health.is_some_and(|health| health.admits(now)),
            HealthState::HalfOpen | HealthState::Open => false,
        };
        probes |= may && state == HealthState::HalfOpen;
        if may {
            awake.push(candidate);
        } else {
            let trouble = upstream(&candidate.target).and_then(|upstream| upstream.trouble());
            candidate.reason = match trouble {
                Some(trouble) => format!("its provider's health check fails: {trouble}"),
                None => format!("it failed again and again: {}", state.as_str()),
            };
            resting.push(candidate);
        }
    }
    candidates.append(&mut awake);
    candidates.append(&mut resting);
}
