//! Routes: names that stand for several models.

use gateway::route::{Hedge, NoTarget, RouteSettings, Strategy, TargetSettings};

use super::problem::Place;
use super::read;
use super::values::Values;

/// Every route.
pub(super) fn all(values: &mut Values<'_>) -> Vec<RouteSettings> {
    let names = values.stack.names("routes");
    names.into_iter().map(|name| one(values, name)).collect()
}

fn one(values: &mut Values<'_>, name: String) -> RouteSettings {
    let key = |last: &str| format!("routes.{name}.{last}");
    let strategy = values.choice(&key("strategy"), Strategy::NAMES).unwrap_or_default();
    let (targets, shadow) = (list(values, &key("targets")), list(values, &key("shadow")));
    let canary = text(values, &key("canary"), TargetSettings::parse);
    let hedge = text(values, &key("hedge"), |text| Hedge::parse(text, &read::duration));
    let sticky = values.bool(&key("sticky"));
    let continues = values.bool(&key("continue"));
    RouteSettings { name, strategy, targets, canary, shadow, sticky, hedge, continues }
}

fn list(values: &mut Values<'_>, path: &str) -> Vec<TargetSettings> {
    let (lines, place) = values.list(path);
    lines
        .iter()
        .filter_map(|line| kept(values, path, &place, TargetSettings::parse(line)))
        .collect()
}

fn text<T>(
    values: &mut Values<'_>,
    path: &str,
    read: impl FnOnce(&str) -> Result<T, NoTarget>,
) -> Option<T> {
    let found = values.found(path).filter(|found| !found.text.trim().is_empty())?;
    kept(values, path, &found.place, read(&found.text))
}

fn kept<T>(
    values: &mut Values<'_>,
    path: &str,
    place: &Place,
    read: Result<T, NoTarget>,
) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(problem) => {
            values.findings.problem(place, format!("`{path}`: {problem}"));
            None
        }
    }
}
