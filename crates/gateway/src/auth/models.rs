//! Which models a caller may use, as its key says.

use catalog::ModelLimit;
use serde_json::json;
use wire::{Code, Fault};

use crate::gate::Snapshot;
use crate::model::{Door, ModelStatus, Target};
use crate::offline;

/// Refuses a model that the caller's key does not include.
///
/// # Errors
/// `forbidden`, naming the model and what may be used.
pub(crate) fn may_use(limit: &ModelLimit, provider: &str, model: &str) -> Result<(), Fault> {
    if limit.allows(provider, model) {
        return Ok(());
    }
    Err(refused(limit, &format!("{provider}/{model}")))
}

/// As [`may_use`], for whoever a name was resolved to.
///
/// # Errors
/// As [`may_use`].
pub(crate) fn may_ask(limit: &ModelLimit, target: &Target) -> Result<(), Fault> {
    may_use(limit, target.provider(), target.model())
}

/// As [`may_use`], for a name as it was written, before anybody is routed to: a route's, a model's,
/// or the default's. What names nothing is for others to refuse.
///
/// # Errors
/// As [`may_use`].
pub(crate) fn may_name(
    limit: &ModelLimit,
    snapshot: &Snapshot,
    name: Option<&str>,
) -> Result<(), Fault> {
    if limit.is_none() {
        return Ok(());
    }
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let name = name.or(snapshot.settings.models.default.as_deref());
    if let Some(route) = name.and_then(|name| snapshot.models.route(name)) {
        let may = |model: &str| {
            let target = snapshot.models.resolve(Some(model), Door::Context);
            target.is_ok_and(|target| may_ask(limit, &target).is_ok())
        };
        let some = limit.allows_route(&route.name)
            || route.targets.iter().any(|target| may(&target.model));
        return if some { Ok(()) } else { Err(refused(limit, &route.name)) };
    }
    match snapshot.models.resolve(name, Door::Context) {
        Ok(target) => may_ask(limit, &target),
        Err(_) => Ok(()),
    }
}

/// Refuses calls that name no model, such as files: they may reach everything of the provider.
///
/// # Errors
/// `forbidden`, naming what the key would need.
pub(crate) fn may_use_all_of(limit: &ModelLimit, provider: &str) -> Result<(), Fault> {
    if limit.allows_all_of(provider) {
        return Ok(());
    }
    let text = format!("this key may not use everything of the provider `{provider}`");
    Err(Fault::new(Code::Forbidden, text)
        .hint(format!(
            "calls that name no model need `{provider}/*`; this key may use: {}",
            limit.told()
        ))
        .details(json!({"reason": "model", "provider": provider, "models": limit.patterns()})))
}

/// A listed model as it is shown to the caller, if it is: a route by what it may ask of it.
pub(crate) fn shown_as(
    limit: &ModelLimit,
    snapshot: &Snapshot,
    status: ModelStatus,
) -> Option<ModelStatus> {
    if limit.is_none() {
        return Some(status);
    }
    let provider = if status.offline { offline::PROVIDER } else { &status.provider };
    match snapshot.models.route(&status.name) {
        Some(route) if limit.allows_route(&route.name) => Some(status),
        Some(route) => {
            let may = |target: &Target| may_ask(limit, target).is_ok();
            let status = snapshot.models.route_status(&route, &may);
            status.configured.then_some(status)
        }
        None => limit.allows(provider, &status.name).then_some(status),
    }
}

/// The models that are shown to the caller.
pub(crate) fn shown_models(limit: &ModelLimit, snapshot: &Snapshot) -> Vec<ModelStatus> {
    let all = snapshot.models.list().into_iter();
    all.filter_map(|status| shown_as(limit, snapshot, status)).collect()
}

/// The refusal of a model or a route.
fn refused(limit: &ModelLimit, name: &str) -> Fault {
    Fault::new(Code::Forbidden, format!("this key may not use the model `{name}`"))
        .hint(format!(
            "it may use: {}; an administrator changes that: rapport key set ID --models …",
            limit.told()
        ))
        .details(json!({"reason": "model", "model": name, "models": limit.patterns()}))
}
